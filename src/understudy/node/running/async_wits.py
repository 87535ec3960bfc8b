"""The event loops of asynchronous wits, on their own threads: a wit that computes there blocks neither steps nor the web.

The law: a wit that has not begun never waits for a loop that another wit blocks; it gets another loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from asyncio import tasks
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from weakref import WeakSet

from understudy.actors.contract import StepResult
from understudy.engines.room import LOOP_DEPTH, at_depth
from understudy.engines.tasks import Control, abandon, hide_task, watched
from understudy.node.running.slow_wits import Run

STOP_SECONDS: Final = 5.0  # how long a stop waits for wits to be cancelled
HELD_SECONDS: Final = 0.1  # if a wit waits so long for its beginning, another one blocks the loop
MAX_LOOPS: Final = 16  # wits that never return keep their loop; beyond this the others wait for them

_log = logging.getLogger("understudy.async_wits")

OnDone = Callable[[StepResult | Exception], None]


class AsyncWits:
    """Runs awaitables until they are done, and calls `done` on the thread of their loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Filled by `start`: a node that only looks has no use for a loop, and one that is never closed complains at exit.
        self._loops: list[_Loop] = []

    def start(self) -> None:
        """Start the first thread."""
        first = _Loop()
        first.thread.start()
        self._loops.append(first)

    def stop(self) -> None:
        """Cancel what still runs: its messages were not consumed and are found again at the next start.

        A wit that computes or will not be cancelled is left behind after STOP_SECONDS.
        """
        until = time.monotonic() + STOP_SECONDS
        with self._lock:
            for loop in self._loops:
                loop.stop(until)
                # A wit that has not begun by now never will.
                while (wit := loop.next_waiting()) is not None:
                    abandon(wit.awaitable)

    def run(
        self, awaitable: Awaitable[StepResult], *, actor: str, seconds: float | None, control: Control, done: OnDone
    ) -> None:
        """Await an actor's step; `done` gets its result, or the exception (TimeoutError after `seconds`). From any thread.

        `control(True)` is called whenever the code gets control, `control(False)` when it gives it away.
        """
        with self._lock:
            self._loops[-1].add(_Wit(awaitable, actor, seconds, _StepControl(control), done, time.monotonic()))

    @property
    def is_idle(self) -> bool:
        """True if nothing is under way and nothing waits."""
        return not any(loop.is_busy for loop in self._loops)

    def relieve(self) -> None:
        """Move the wits that wait for a blocked loop to a new one. Call it now and then, from one thread."""
        held = self._loops[-1]
        if not held.waits_since(time.monotonic() - HELD_SECONDS) or len(self._loops) >= MAX_LOOPS:
            return
        fresh = _started()
        if fresh is None:
            return
        with self._lock:
            self._loops.append(fresh)
        while (wit := held.next_waiting()) is not None:
            fresh.add(wit)

    def computing(self) -> list[Run]:
        """The wits that block their loop. Call it now and then, from the thread that calls `relieve`."""
        return [run for loop in self._loops if (run := loop.held_by()) is not None]


class _Wit(NamedTuple):
    awaitable: Awaitable[StepResult]
    actor: str
    seconds: float | None
    control: _StepControl
    done: OnDone
    since: float


class _StepControl:
    """Is called when code of one step gets control and when it gives it back. Meanwhile `asyncio.all_tasks()` has the step's tasks.

    So a wit finds its own tasks there, as in a replay, and not those of other actors on the same loop.
    """

    def __init__(self, tell: Control) -> None:
        self._tell = tell
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()

    def __call__(self, has_it: bool) -> None:
        change = tasks._register_task if has_it else tasks._unregister_task
        for task in list(self._tasks):
            if task.done():
                self._tasks.discard(task)
            else:
                change(task)
        self._tell(has_it)

    def add(self, task: asyncio.Task[Any]) -> None:
        """A task of the step was made."""
        self._tasks.add(task)


class _Loop:
    """One event loop, its thread, and the wits that wait for their beginning."""

    def __init__(self) -> None:
        self._waiting: deque[_Wit] = deque()
        self.thread = threading.Thread(target=self._run, name="understudy-async-wits", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_named_like_its_parent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: float | None = None  # since when the loop has not answered
        self._is_stopped = False

    def add(self, wit: _Wit) -> None:
        self._waiting.append(wit)
        self._loop.call_soon_threadsafe(self._begin_next)

    @property
    def is_busy(self) -> bool:
        """True if a wit waits for its beginning or its end."""
        return bool(self._waiting or self._tasks)

    def next_waiting(self) -> _Wit | None:
        """Take the next wit that has not begun. From any thread: only one caller gets it."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def waits_since(self, moment: float) -> bool:
        """True if a wit has waited since then or longer."""
        try:
            return self._waiting[0].since <= moment
        except IndexError:
            return False

    def held_by(self) -> Run | None:
        """The wit that blocks the loop, which has not answered since an earlier call. If it has, it is asked again."""
        if self.thread.ident is None or not self._tasks:
            return None
        if self._asked is None:
            self._asked = time.monotonic()
            # The loop was closed at this moment, so nothing blocks it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer)
            return None
        task = asyncio.current_task(self._loop)
        return None if task is None else Run(task.get_name(), self._asked, self.thread.ident)

    def close(self) -> None:
        self._loop.close()

    def stop(self, until: float) -> None:
        if not self.thread.is_alive():
            self.close()
            return
        cancelled = asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop)
        try:
            cancelled.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            return
        self._is_stopped = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.thread.join()
        self.close()

    def _run(self) -> None:
        # What a wit leaves to the loop, a task or a callback, may call `exit()`: asyncio then ends the loop, and all would
        # wait on it for ever.
        while not self._is_stopped:
            try:
                at_depth(LOOP_DEPTH, self._loop.run_forever)
            except (SystemExit, KeyboardInterrupt):
                _log.warning("what a wit left running wanted the process to exit; it goes on", exc_info=True)

    def _answer(self) -> None:
        self._asked = None

    def _begin_next(self) -> None:
        task = self._loop.create_task(self._drive_next())
        # The loop holds its tasks weakly: without this one could be collected while it waits.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive_next(self) -> None:
        # Taken when the task runs, not when it is made: until then the wit of another task may hold the loop.
        wit = self.next_waiting()
        if wit is not None:
            await _drive(wit)

    async def _cancel_all(self) -> None:
        under_way = list(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _started() -> _Loop | None:
    """A new loop that runs; None if the machine has no thread or file descriptor left now. The watchdog then tries again."""
    try:
        loop = _Loop()
    except OSError:
        return None
    try:
        loop.thread.start()
    except RuntimeError:
        loop.close()
        return None
    return loop


def _named_like_its_parent(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    """A task that bears the name of the actor whose wit began it: it may be the one that holds the loop."""
    parent = asyncio.current_task(loop)
    # Not by a context variable: a wit has a context of its own.
    control: _StepControl | None = getattr(parent, "control", None)
    if control is not None:
        coroutine = watched(coroutine, control)
    # Python 3.14 hands the name over too; before, the loop sets it afterwards.
    name = more.pop("name", None) or (None if parent is None else parent.get_name())
    task = _Task(coroutine, loop=loop, name=name, **more)
    task.control = control
    if control is not None:
        control.add(task)
    return task


class _Task(asyncio.Task[Any]):
    """A task that says when its code has control. All tasks of one step say it to the same listener."""

    control: _StepControl | None = None

    def cancel(self, msg: Any = None) -> bool:
        """Cancel it, but not if the code of another step asks for that: a loop has tasks of several actors."""
        by = getattr(asyncio.current_task(self.get_loop()), "control", None)
        if by is not None and by is not self.control:
            return False
        return super().cancel(msg)


async def _drive(wit: _Wit) -> None:
    hide_task()
    # Tasks that the wit starts on its loop are noticed too.
    task = asyncio.current_task()
    assert isinstance(task, _Task)
    task.set_name(wit.actor)
    task.control = wit.control
    try:
        result: StepResult | Exception = await asyncio.wait_for(watched(wit.awaitable, wit.control), wit.seconds)
    except Exception as error:
        result = error
    finally:
        # Cancelled before it began, it was never awaited.
        abandon(wit.awaitable)
    wit.done(result)
