"""The threads that queries run on: their own, so that no number of slow ones holds up a step.

The law: what waits for a thread is bounded, and a query that never ends costs one thread, which another replaces.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

from understudy.node.errors import Busy
from understudy.node.slow_wits import place_in

MAX_AT_WORK: Final = 8  # queries that run at once: they share one interpreter, and each wants its turn of it
MAX_LOST: Final = 56  # threads of queries that went on past their deadline; beyond this no new ones replace them
MAX_WAITING: Final = 1_000  # queries that wait for a thread: some seconds of work for those that take milliseconds
IDLE_SECONDS: Final = 10.0  # how long a thread waits for the next query before it ends

STOPPING: Final = "the node is stopping and takes no queries any more"

Value = TypeVar("Value")

_log = logging.getLogger("understudy.queries")


class Job(Generic[Value]):
    """One query that was handed in; `done` gets its result or what it raised."""

    def __init__(self, label: str, work: Callable[[], Value]) -> None:
        self.done: Future[Value] = Future()
        self.label = label
        self.work = work
        self.thread: int | None = None
        self.lost = False


class QueryPool:
    """Runs queries, the one that came first before the others. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._waiting: deque[Job[Any]] = deque()
        self._threads = 0
        self._idle = 0
        self._lost = 0
        self._closed = False

    def submit(self, label: str, work: Callable[[], Value]) -> Job[Value]:
        """Run something as soon as there is a thread. Raises Busy."""
        job = Job(label, work)
        with self._lock:
            if self._closed:
                raise Busy(STOPPING)
            if len(self._waiting) >= MAX_WAITING:
                raise Busy(f"{MAX_WAITING:,} queries wait already{self._why_so_many()}; ask again later")
            self._waiting.append(job)
            self._wake()
        return job

    def abandon(self, job: Job[Any]) -> None:
        """Nobody waits for a job any more. If it runs, it goes on, and another thread takes its place."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            if job.done.done() or job.lost or job.done.cancel():
                return
            job.lost = True
            self._lost += 1
            self._wake()
        place = None if job.thread is None else place_in(job.thread)
        _log.warning(
            "%s was given up and goes on, now at %s; it can't be stopped and keeps one of %d threads",
            job.label,
            place or "a place that can't be told",
            MAX_AT_WORK + MAX_LOST,
        )

    def close(self) -> None:
        """Take nothing more; what waits is told so, what runs is left behind."""
        with self._lock:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._lock.notify_all()
        for job in left:
            if job.done.set_running_or_notify_cancel():
                job.done.set_exception(Busy(STOPPING))

    def _wake(self) -> None:
        if self._idle >= len(self._waiting):
            self._lock.notify()
        elif self._threads - self._lost < MAX_AT_WORK and self._threads < MAX_AT_WORK + MAX_LOST:
            self._threads += 1
            threading.Thread(target=self._work, name="understudy-query", daemon=True).start()

    def _work(self) -> None:
        job: Job[Any] | None = None
        while (job := self._next(job)) is not None:
            if not job.done.set_running_or_notify_cancel():
                continue
            try:
                job.done.set_result(job.work())
            except BaseException as error:
                # Whoever asked gets it, whatever it is; a thread that died of it would be missing.
                job.done.set_exception(error)

    def _next(self, before: Job[Any] | None) -> Job[Any] | None:
        """The next job, None if this thread is to end."""
        with self._lock:
            if before is not None and before.lost:
                self._lost -= 1
            while not self._waiting:
                if self._closed or self._threads - self._lost > MAX_AT_WORK or not self._wait():
                    self._threads -= 1
                    return None
            job = self._waiting.popleft()
            job.thread = threading.get_ident()
            return job

    def _wait(self) -> bool:
        self._idle += 1
        woken = self._lock.wait(IDLE_SECONDS)
        self._idle -= 1
        # Its time may have been over in the moment in which it was woken.
        return woken or bool(self._waiting)

    def _why_so_many(self) -> str:
        if not self._lost:
            return ""
        return f", and {self._lost} of the threads are held by queries that never end: see the log"
