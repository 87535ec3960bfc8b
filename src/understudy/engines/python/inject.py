"""The low-level form: a function whose parameters name the parts of a step that it wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy.wit.parameters import (
    ACTOR,
    CONTEXT,
    CORE,
    INBOX,
    MESSAGES,
    OUTBOX,
    STEP,
    STORE,
    Fill,
    describe_sources,
    fill_parameters,
)

SOURCES: Final = (STEP, MESSAGES, STORE, CORE, INBOX, OUTBOX, ACTOR, CONTEXT)


def inject(function: Callable[..., Any]) -> Fill:
    """The function as one of the context alone. Raises WitError("WrongSignature") that names the parameter."""
    return fill_parameters(function, SOURCES, describe_sources(SOURCES))
