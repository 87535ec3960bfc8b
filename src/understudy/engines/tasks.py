"""Tasks of an author's code: they begin at one depth, and can't see the runtime's own tasks that wait for them."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task, current_task, tasks
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from inspect import iscoroutine
from typing import Any, Generic, TypeVar

from understudy.engines.room import DEPTH, at_depth

Value = TypeVar("Value")
Control = Callable[[bool], None]


def hide_task() -> None:
    """Keep the running task out of `asyncio.all_tasks()`: a wit that cancels all tasks there would never end."""
    task = current_task()
    if task is not None:
        # Documented for whoever writes tasks of their own, under "Extending asyncio".
        tasks._unregister_task(task)


class Unfinished(Generic[Value]):
    """Work of ours around an author's awaitable, for somebody else to await. `close` if nobody does."""

    def __init__(self, work: Coroutine[Any, Any, Value], around: Awaitable[Any]) -> None:
        self._work = work
        self._around = around

    def __await__(self) -> Generator[Any, Any, Value]:
        return self._work.__await__()

    def close(self) -> None:
        """Release both."""
        self._work.close()
        abandon(self._around)


def abandon(awaitable: object) -> None:
    """Close an awaitable that may never have been awaited: Python warns of a coroutine that is only dropped. Harmless if done."""
    if iscoroutine(awaitable) or isinstance(awaitable, Unfinished):
        awaitable.close()


async def watched(awaitable: Awaitable[Value], control: Control) -> Value:
    """Await something at one depth. `control(True)` is called when its code gets control, `control(False)` when it gives it."""
    return await _Watched(awaitable, control)


def begin_at_depth(loop: AbstractEventLoop, coroutine: Any, **more: Any) -> Task[Any]:
    """A task factory: the same frames around each task as in a node, where it is heard which task has control."""
    return Task(watched(coroutine, _tell_nobody), loop=loop, **more)


class _Watched(Generic[Value]):
    """An awaitable that says when its code has control."""

    def __init__(self, awaitable: Awaitable[Value], control: Control) -> None:
        self._awaitable = awaitable
        self._control = control

    def __await__(self) -> Generator[Any, Any, Value]:
        inner = self._awaitable.__await__()
        resume: Callable[[], Any] = partial(next, inner)
        while True:
            self._control(True)
            try:
                waits_for = at_depth(DEPTH, resume)
            except StopIteration as end:
                value: Value = end.value
                return value
            finally:
                self._control(False)
            try:
                sent = yield waits_for
                resume = partial(inner.send, sent) if isinstance(inner, Generator) else partial(next, inner)
            except BaseException as error:
                if not isinstance(inner, Generator):
                    raise
                resume = partial(inner.throw, error)


def _tell_nobody(_: bool) -> None:
    pass
