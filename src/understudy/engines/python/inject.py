"""The low-level form: a function that declares any part of what a step is made of, and gets it."""

from __future__ import annotations

import inspect
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
    bind,
    describe_sources,
    find_source,
    parameters_of,
    wrong_signature,
)

SOURCES: Final = (STEP, MESSAGES, STORE, CORE, INBOX, OUTBOX, ACTOR, CONTEXT)


def inject(function: Callable[..., Any]) -> Fill:
    """The function as one of the context alone. Raises WitError("WrongSignature") that names the parameter."""
    parameters, _ = parameters_of(function)
    fills: dict[str, Fill] = {}
    for parameter in parameters:
        source = find_source(parameter, SOURCES)
        if source is not None:
            fills[parameter.name] = source.fill
        elif parameter.default is inspect.Parameter.empty:
            raise wrong_signature(function, parameter, f"can't be filled; possible are {describe_sources(SOURCES)}")
    return bind(function, parameters, fills)
