"""The event loop of one flow: it runs what is ready and returns, and its timers are asks like any other.

The law: what happens, and in which order, depends on the flow's code and on what it was answered alone.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, Future, Handle, Task, TimerHandle, events, tasks
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context as Variables
from typing import Any, Final, TypeVar

from understudy.actors.author_errors import is_interrupt
from understudy.actors.errors import WitError

Value = TypeVar("Value")
MAX_CALLBACKS: Final = 1_000_000  # in one turn: what goes on without awaiting anything never ends
SECOND_US: Final = 1_000_000
TakeBack = Callable[[], object]
SetTimer = Callable[[int, Callable[[], None]], TakeBack]
_Loop: Any = AbstractEventLoop  # what a loop may do that this one can't raises NotImplementedError


class FlowLoop(_Loop):  # type: ignore[misc]
    """An event loop without a thread, a clock, sockets or processes of its own.

    `now` gives the time in microseconds; `set_timer(due, what)` asks for a timer.
    """

    def __init__(self, now: Callable[[], int], set_timer: SetTimer) -> None:
        self._now = now
        self._set_timer = set_timer
        self._ready: deque[Handle] = deque()
        self._tasks: list[FlowTask] = []
        self._numbers = 0
        self._is_closed = False
        self._is_running = False
        self._outer: AbstractEventLoop | None = None

    def next_number(self) -> int:
        """Another number for each future and task, in the order in which they are made."""
        self._numbers += 1
        return self._numbers

    def run(self) -> None:
        """Run what is ready, and what becomes ready by that, until everything waits."""
        left = MAX_CALLBACKS
        with nullcontext() if self._is_running else self.running():
            while self._ready:
                left -= 1
                if left < 0:
                    raise WitError(
                        "FlowNeverWaits", f"a flow ran {MAX_CALLBACKS:,} callbacks without waiting for anything"
                    )
                handle = self._ready.popleft()
                if not handle.cancelled():
                    _run(handle)
        self._tasks = [task for task in self._tasks if not task.done()]

    def discard(self) -> None:
        """End all that waits, without letting it go on. What its `finally` blocks do has no effect."""
        self._is_closed = True
        self._ready.clear()
        with self.running():
            for task in self._tasks:
                task.end()
        self._tasks.clear()
        self._ready.clear()

    def create_task(self, coro: Any, *, name: Any = None, context: Variables | None = None, **_: Any) -> Any:
        """See asyncio."""
        # Not eagerly, whoever asks for it: the order must be the same under each Python.
        task = FlowTask(coro, loop=self, name=name or "flow", context=context)
        self._tasks.append(task)
        return task

    def create_future(self) -> Future[Any]:
        """See asyncio."""
        return FlowFuture(self)

    def call_soon(self, callback: Any, *args: Any, context: Variables | None = None) -> Handle:
        """See asyncio."""
        handle = Handle(callback, args, self, context)
        if not self._is_closed:
            self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Variables | None = None) -> TimerHandle:
        """See asyncio. The timer is kept in the core, like one of `ctx.sleep`."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Variables | None = None) -> TimerHandle:
        """See asyncio."""
        timer = _Timer(when, callback, args, self, context)
        due = round(when * SECOND_US)
        if due <= self._now():
            self._ready.append(timer)
        else:
            timer.take_back = self._set_timer(due, lambda: self._ready.append(timer))
        return timer

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        assert isinstance(handle, _Timer)
        if handle.take_back is not None:
            handle.take_back()

    def time(self) -> float:
        """Seconds since 1970, by the time of the step that the flow's code goes on in."""
        return self._now() / SECOND_US

    def get_debug(self) -> bool:
        """See asyncio."""
        return False

    def is_running(self) -> bool:
        """See asyncio."""
        return self._is_running

    def is_closed(self) -> bool:
        """See asyncio."""
        return self._is_closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing: an exception that nobody asked for is nobody's."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Raise WitError: a thread's work would not be in the record."""
        raise WitError("NotInAFlow", "a flow has no threads: await ctx.effect(function, …), whose result is recorded")

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Variables | None = None) -> Handle:
        """Raise WitError."""
        raise WitError("NotInAFlow", "a flow has no threads: await ctx.effect(function, …), whose result is recorded")

    @contextmanager
    def stepped_out(self) -> Iterator[None]:
        """Let something of ours run in this thread as if this loop did not: it may block, or have a loop of its own."""
        task = asyncio.current_task(self)
        if task is not None:
            tasks._leave_task(self, task)
        events._set_running_loop(self._outer)
        try:
            yield
        finally:
            events._set_running_loop(self)
            if task is not None:
                tasks._enter_task(self, task)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this the loop that runs in this thread. Another one may run here: that of an asynchronous step."""
        outer = self._outer = events._get_running_loop()
        task = None if outer is None else asyncio.current_task(outer)
        hooks = sys.get_asyncgen_hooks()
        if outer is not None and task is not None:
            tasks._leave_task(outer, task)
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(None, None)
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(outer)
            if outer is not None and task is not None:
                tasks._enter_task(outer, task)


class _Timer(TimerHandle):
    take_back: TakeBack | None = None


class FlowFuture(Future[Value]):
    """A future whose hash is its number, so that a set of them has the same order whenever the flow is run."""

    def __init__(self, loop: FlowLoop) -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class FlowTask(Task[Any]):
    """The same for tasks."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: FlowLoop, name: str, context: Variables | None) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number

    def end(self) -> None:
        """Close the coroutine where it waits."""
        self._log_destroy_pending = False
        coroutine = self.get_coro()
        try:
            if coroutine is not None:
                coroutine.close()
        except BaseException:
            # A `finally` that awaits, or one that stumbles: it ran for nothing, and nothing of it counts.
            return


def _run(handle: Handle) -> None:
    try:
        handle._run()
    except (SystemExit, KeyboardInterrupt) as error:
        # The task has it as its exception, too.
        if is_interrupt(error):
            raise
