"""Waiters: coroutines that wait for something, on whichever event loops they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any


class Waiter:
    """One coroutine that waits, on whichever loop it runs."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()


def tell(told: Sequence[tuple[Waiter, object]]) -> None:
    """Give each its result, or raise it where it is an exception. From any thread; one hand-over for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, object]]] = {}
    for waiter, result in told:
        by_loop.setdefault(waiter.loop, []).append((waiter, result))
    for loop, waiting in by_loop.items():
        # A loop that was closed meanwhile has nobody who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set_all, waiting)


def _set_all(told: Sequence[tuple[Waiter, object]]) -> None:
    for waiter, result in told:
        if waiter.future.done():
            continue
        if isinstance(result, BaseException):
            waiter.future.set_exception(result)
        else:
            waiter.future.set_result(result)
