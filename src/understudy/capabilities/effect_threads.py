"""The threads that run the functions of `ctx.effect`.

The law: a function that does not end takes no thread from the others, as long as there are not too many of them.
"""

from __future__ import annotations

import contextvars
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Lock, Thread, current_thread
from types import FrameType
from typing import Any, Final

MAX_THREADS: Final = 32  # functions that run at once on the node; the others wait
MAX_GIVEN_UP: Final = (
    64  # functions that nobody waits for any more and that still run; beyond these they count as the others
)
NAME: Final = "understudy-effect"
_OURS: Final = str(Path(__file__).parent.parent)


class Job:
    """A function that waits for a thread, runs, or has run."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self.work = work
        self.thread: str | None = None  # the name of the one that runs it
        self.ident: int | None = None
        self.is_given_up = False

    def run(self) -> None:
        """On a thread."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:
            self.future.set_exception(error)


class EffectThreads:
    """Threads that are made when they are needed, and end when there is nothing to do."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[Job] = deque()
        self._threads = 0
        self._given_up = 0
        self._made = 0

    def submit(self, work: Callable[[], Any]) -> Job:
        """Have a thread do the work, in a copy of the caller's context. Raises RuntimeError if the machine has none for it."""
        job = Job(partial(contextvars.copy_context().run, work))
        with self._lock:
            if self._threads < MAX_THREADS:
                self._begin()
            self._waiting.append(job)
        return job

    def give_up(self, job: Job) -> str | None:
        """Nobody waits for a job any more: its thread is replaced. The line that it is at; None if it was not begun."""
        with self._lock:
            if job.future.cancel() or job.future.cancelled():
                return None
            assert job.ident is not None
            if self._given_up < MAX_GIVEN_UP and not job.future.done():
                job.is_given_up = True
                self._given_up += 1
                self._threads -= 1
                if self._waiting:
                    self._begin()
        return _place_in(job.ident) or "its end"

    def stop(self) -> None:
        """Begin nothing new. What runs is not waited for: Python can't stop it."""
        with self._lock:
            for job in self._waiting:
                job.future.cancel()
            self._waiting.clear()

    def _begin(self) -> None:
        # Daemons: the interpreter joins those of an executor when it ends, however long they run.
        Thread(target=self._work, name=f"{NAME}-{self._made + 1}", daemon=True).start()
        self._made += 1
        self._threads += 1

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            if self._was_given_up(job):
                return

    def _next(self) -> Job | None:
        with self._lock:
            if not self._waiting:
                self._threads -= 1
                return None
            job = self._waiting.popleft()
            job.thread, job.ident = current_thread().name, current_thread().ident
            return job

    def _was_given_up(self, job: Job) -> bool:
        with self._lock:
            self._given_up -= job.is_given_up
            return job.is_given_up


def _place_in(thread: int) -> str | None:
    """The line that the function itself is at, whatever it called in turn."""
    frame, found = sys._current_frames().get(thread), None
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        found, frame = frame, frame.f_back
    return None if found is None else _place(found)


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_qualname}"
