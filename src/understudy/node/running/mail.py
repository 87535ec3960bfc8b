"""The mail of the runner: what is posted from any thread, for the one thread that takes it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


class Mail(Generic[Item]):
    """A queue with one lock. Anybody may post; one thread at a time takes."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._posted = threading.Condition()

    def __bool__(self) -> bool:
        return bool(self._items)

    def __iter__(self) -> Iterator[Item]:
        """What was posted and not taken."""
        return iter(list(self._items))

    def post(self, item: Item) -> None:
        """Append an item, and wake the thread that waits for it."""
        with self._posted:
            self._items.append(item)
            self._posted.notify()

    def wake(self) -> None:
        """Have the thread that waits look again whether it is needed."""
        with self._posted:
            self._posted.notify_all()

    def take(self, is_needed: Callable[[], bool], seconds: Callable[[], float | None]) -> list[Item]:
        """All items; waits until there is one, `is_needed` says True, or so many `seconds` are over (None: no end)."""
        with self._posted:
            while not self._items and not is_needed():
                pause = seconds()
                if pause is not None and pause <= 0:
                    break
                self._posted.wait(pause)
            items = list(self._items)
            self._items.clear()
        return items


class Errands:
    """Functions that are posted by somebody who waits for their result."""

    def __init__(self) -> None:
        self._open: set[Future[Any]] = set()

    def make(self, action: Callable[[], Value]) -> tuple[Future[Value], Callable[[], None]]:
        """The result to wait for, and what is to be posted."""
        done: Future[Value] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(action())
            except Exception as error:
                done.set_exception(error)

        self._open.add(done)
        done.add_done_callback(self._open.discard)
        return done, run

    def cancel(self) -> None:
        """Cancel those that have not begun."""
        for done in list(self._open):
            done.cancel()
