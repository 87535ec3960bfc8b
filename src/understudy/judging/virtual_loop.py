"""An event loop whose time is virtual: when nothing is left to do, the clock jumps to the next timer.

The law: a wit that sleeps costs nothing, and what happens depends on its code and on `on_idle` alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from understudy.engines.room import LOOP_DEPTH, at_depth
from understudy.engines.tasks import begin_at_depth
from understudy.judging.other_threads import others_run

_TICK: Final = 1e-9
_HAND_OVER_SECONDS: Final = 1.0
_PIECE_SECONDS: Final = 0.01
_LONGEST_SELECT: Final = 24 * 3600  # asyncio asks a selector for no more at once
_SELF_PIPE: Final = 1  # the loop's own entry in its selector
# A jump goes a little beyond the timer: after a year, its exact time and the loop's resolution are one float, and asyncio
# would wait for a later one for ever.
_BEYOND: Final = 1e-6

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Stuck(Exception):
    """Everything waits, and nothing can come any more."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Before time moves, `on_idle` may make something happen (True: it did); before giving up, so may `on_stuck`.

    `on_idle` is told whether a timer is set, which goes off if it returns False.

    Work that the loop handed to a thread, or a socket that it listens to, is waited for in real time.
    """

    def __init__(self, on_idle: Callable[[bool], bool], on_stuck: Callable[[], bool]) -> None:
        self._virtual = _VirtualSelector(on_idle, on_stuck)
        super().__init__(self._virtual)
        self.set_task_factory(begin_at_depth)

    def run_forever(self) -> None:
        """As asyncio has it, at the depth where a node has its loops."""
        at_depth(LOOP_DEPTH, super().run_forever)

    def time(self) -> float:
        """Seconds since the loop was made."""
        # Never the same twice: as in a living loop, timers of one length go off in the order in which they were set.
        self._virtual.now += _TICK
        return self._virtual.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Arguments]], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        """As asyncio has it."""
        future = super().run_in_executor(executor, func, *args)
        self._virtual.outside += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _: asyncio.Future[Any]) -> None:
        self._virtual.outside -= 1


def run_virtually(
    awaitable: Awaitable[Result], *, on_idle: Callable[[bool], bool], on_stuck: Callable[[], bool]
) -> Result:
    """Await something on a virtual loop of its own; what it leaves running is cancelled. Raises Stuck."""
    loop = VirtualLoop(on_idle, on_stuck)
    try:
        task = loop.create_task(_as_coroutine(awaitable))
        while not task.done():
            # A task that the wit left behind and that exits ends the loop of asyncio, and not the wit.
            with contextlib.suppress(SystemExit):
                loop.run_until_complete(task)
        return task.result()
    finally:
        _close(loop)


def _close(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    try:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True) if left else _nothing())
        loop.run_until_complete(loop.shutdown_asyncgens())
    except Stuck:
        # A task that takes no cancel: it ends with its loop.
        pass
    finally:
        loop.close()


async def _as_coroutine(awaitable: Awaitable[Result]) -> Result:
    return await awaitable


async def _nothing() -> None:
    return None


class _VirtualSelector(selectors.DefaultSelector):
    def __init__(self, on_idle: Callable[[bool], bool], on_stuck: Callable[[], bool]) -> None:
        super().__init__()
        self.now = 0.0
        self.outside = 0
        self._goes_on = False  # the last select was a piece of a longer one
        self._on_idle = on_idle
        self._on_stuck = on_stuck

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            self._goes_on = False
            return found
        if self.outside or len(self.get_map()) > _SELF_PIPE:
            found = super().select(timeout)
            if not found and timeout is not None:
                self.now += timeout + _BEYOND
            return found
        if self._on_idle(timeout is not None):
            self._goes_on = False
            return []
        # Of a sleep of years the loop asks for a day at a time, and nothing runs in between.
        goes_on = timeout is not None and timeout >= _LONGEST_SELECT
        if others_run() and not (goes_on and self._goes_on):
            # A thread of the wit's own may hand something over; how long that takes is not virtual.
            found = self._wait(_HAND_OVER_SECONDS)
            if found:
                return found
        self._goes_on = goes_on
        if timeout is not None:
            self.now += timeout + _BEYOND
        elif not self._on_stuck():
            raise Stuck("the wit waits for something that never comes")
        return []

    def _wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time while other threads do something."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and others_run():
            found = super().select(_PIECE_SECONDS)
            if found:
                return found
        return super().select(0)
