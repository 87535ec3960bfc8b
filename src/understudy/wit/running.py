"""The step or query that runs at this moment, for functions that are imported. Each thread or task runs one."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from contextvars import ContextVar
from typing import Any, Final, Protocol

from understudy.actors.calls import Calls
from understudy.actors.errors import WitError
from understudy.store.reader import Reader


class Run(Protocol):
    """A step or a query while it runs."""

    @property
    def reader(self) -> Reader:
        """What it may read."""

    @property
    def calls(self) -> Calls:
        """How it reaches the world."""

    @property
    def network(self) -> Any:
        """What its clients of HTTP have in common. Raises WitError in a query."""

    @property
    def blocked_loop(self) -> AbstractEventLoop | None:
        """The event loop of this thread that is blocked while a function that can't await waits."""


RUNNING: Final[ContextVar[Run]] = ContextVar("understudy-running")


def running(what: str) -> Run:
    """The step or query that runs. Raises WitError("NotRunning") that says what was asked for."""
    run = RUNNING.get(None)
    if run is None:
        raise WitError("NotRunning", f"{what} can only be used while a step or a query runs")
    return run


def current_loop() -> AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
