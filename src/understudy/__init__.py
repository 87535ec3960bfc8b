"""Actors whose every step can be replayed, and proved. Here is what the author of a Python actor imports."""

from __future__ import annotations

import importlib

# Not from typing, whose import is what this spares the command.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from understudy.wit import (
        ActorId,
        Await,
        BadTimer,
        Blob,
        CallFailed,
        Context,
        Core,
        Draft,
        Error,
        Failure,
        FlowContext,
        Id,
        Inbox,
        Message,
        MessageId,
        NewState,
        Origin,
        Outbox,
        Outgoing,
        QueryContext,
        Rang,
        Reader,
        Refusal,
        Request,
        Retry,
        Sent,
        Spawned,
        Staging,
        Step,
        StepId,
        Tree,
        TreeId,
        Verdict,
        Wit,
        WitError,
        object_store,
        query_a_wit,
    )

__all__ = [
    "ActorId",
    "Await",
    "BadTimer",
    "Blob",
    "CallFailed",
    "Context",
    "Core",
    "Draft",
    "Error",
    "Failure",
    "FlowContext",
    "Id",
    "Inbox",
    "Message",
    "MessageId",
    "NewState",
    "Origin",
    "Outbox",
    "Outgoing",
    "QueryContext",
    "Rang",
    "Reader",
    "Refusal",
    "Request",
    "Retry",
    "Sent",
    "Spawned",
    "Staging",
    "Step",
    "StepId",
    "Tree",
    "TreeId",
    "Verdict",
    "Wit",
    "WitError",
    "object_store",
    "query_a_wit",
]


def __getattr__(name: str) -> object:
    """A name of the wit room, which is loaded at the first question: the command has to be quick to heed Ctrl-C."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module("understudy.wit"), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
