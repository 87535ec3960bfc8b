"""Actors whose every step can be replayed, and proved. Here is what the author of a Python actor imports."""

from __future__ import annotations

from understudy.wit import (
    ActorId,
    CallFailed,
    Context,
    Core,
    Draft,
    Id,
    Inbox,
    Message,
    MessageId,
    Outbox,
    Outgoing,
    Reader,
    Refusal,
    Retry,
    Staging,
    StepId,
    TreeId,
    Verdict,
    Wit,
    WitError,
)

__all__ = [
    "ActorId",
    "CallFailed",
    "Context",
    "Core",
    "Draft",
    "Id",
    "Inbox",
    "Message",
    "MessageId",
    "Outbox",
    "Outgoing",
    "Reader",
    "Refusal",
    "Retry",
    "Staging",
    "StepId",
    "TreeId",
    "Verdict",
    "Wit",
    "WitError",
]
