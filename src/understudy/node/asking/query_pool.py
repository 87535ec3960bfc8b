"""The threads that queries run on: their own, so that no number of slow ones holds up a step.

The laws: what waits for a thread is bounded, and a query that never ends costs one thread, which another replaces.
Handing something to another thread costs about as much as a quick query. So queries are handed over by all that came
in at once, their answers too, and one thread does them all as long as none of them waits for long.
A large answer keeps the interpreter while it is made, and memory until it is sent. So queries whose last answer was large
run one at a time, and the next one begins when the event loop has the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from understudy.node.errors import Busy
from understudy.node.running.slow_wits import place_in

MAX_AT_WORK: Final = 8  # queries that run at once: they share one interpreter, and each wants its turn of it
MAX_LOST: Final = 56  # threads of queries that went on past their deadline; beyond this no new ones replace them
MAX_OF_ONE: Final = 4  # queries of one actor that run at once: the others have the rest of the threads
SLOW_SECONDS: Final = (
    0.5  # a query that runs for longer does not count as one of MAX_AT_WORK: quick ones have their turn
)
LOOK_SECONDS: Final = 0.25  # how often one that waits asks again for one more thread
MAX_LARGE: Final = 1_000  # names of queries with large answers that are remembered
MAX_WAITING: Final = 1_000  # queries that wait for a thread: some seconds of work for those that take milliseconds
IDLE_SECONDS: Final = 10.0  # how long a thread waits for the next query before it ends
PATIENCE_SECONDS: Final = 0.05  # how long a query waits behind others before it calls for one more thread

STOPPING: Final = "the node is stopping and takes no queries any more"

Value = TypeVar("Value")

_log = logging.getLogger("understudy.queries")


class Job(Generic[Value]):
    """One query that was handed in; `done` gets its result or what it raised, on the event loop that it came from."""

    def __init__(self, label: str, owner: str, name: str, work: Callable[[], Value], loop: AbstractEventLoop) -> None:
        self.done: Future[Value] = loop.create_future()
        self.label = label
        self.key = (owner, name)
        self.owner = owner
        self.since = 0.0
        self.work = work
        self.loop = loop
        self.patience: TimerHandle | None = None
        self.thread: int | None = None
        self.over = False
        self.lost = False
        self.result: Value | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work, and keep what comes of it."""
        try:
            self.result = self.work()
        except BaseException as error:
            # Whoever asked gets it, whatever it is; a thread that died of it would be missing.
            self.error = error

    def settle(self) -> None:
        """Tell whoever asked. On the job's event loop."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]


class QueryPool:
    """Runs queries, the one that came first before the others. From any running event loop."""

    def __init__(self, is_large: Callable[[Any], bool] = lambda result: False) -> None:
        """`is_large` is asked of each result."""
        self._is_large = is_large
        self._large: dict[tuple[str, str], None] = {}  # the owners and names whose last result was large
        self._handed: set[Job[Any]] = set()  # those with large results that their event loop does not have yet
        self._lock = threading.Condition()
        self._waiting: deque[Job[Any]] = deque()
        self._over: dict[AbstractEventLoop, list[Job[Any]]] = {}
        self._threads = 0
        self._idle = 0
        self._at_work: set[Job[Any]] = set()  # those that run and that somebody waits for
        self._called = 0  # idle threads that were called and have not come yet
        self._lost = 0
        self._closed = False

    def submit(self, label: str, work: Callable[[], Value], *, owner: str = "", name: str = "") -> Job[Value]:
        """Run something as soon as there is a thread; of one owner only some at once. Raises Busy."""
        job = Job(label, owner, name, work, asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                raise Busy(STOPPING)
            if len(self._waiting) >= MAX_WAITING:
                raise Busy(f"{MAX_WAITING:,} queries wait already{self._why_so_many()}; ask again later")
            self._waiting.append(job)
        # Once the event loop is through with everything that came in: a thread that ran now would fight it for the interpreter.
        job.loop.call_soon(self._begin)
        job.patience = job.loop.call_later(PATIENCE_SECONDS, self._call_one_more, job)
        return job

    def abandon(self, job: Job[Any]) -> None:
        """Nobody waits for a job any more. If it runs, it goes on, and another thread takes its place."""
        if job.patience is not None:
            job.patience.cancel()
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                return
            if job.over or job.lost:
                return
            job.lost = True
            self._at_work.discard(job)
            self._lost += 1
            if self._find() is not None:
                self._call()
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
            job.error = Busy(STOPPING)
            self._hand_back(job)

    # On the event loop of a job.

    def _begin(self) -> None:
        with self._lock:
            if self._find() is not None and not self._threads - self._lost - self._idle:
                self._call()

    def _call_one_more(self, job: Job[Any]) -> None:
        with self._lock:
            if job not in self._waiting:
                return
            if self._find() is not None:
                self._call()
        # Those that run may turn out to be slow ones.
        job.patience = job.loop.call_later(LOOK_SECONDS, self._call_one_more, job)

    def _tell(self, loop: AbstractEventLoop) -> None:
        with self._lock:
            over = self._over.pop(loop)
        for job in over:
            job.settle()
        if not self._handed.isdisjoint(over):
            with self._lock:
                self._handed.difference_update(over)
                if self._find() is not None:
                    self._call()

    # On any thread.

    def _call(self) -> None:
        if self._idle:
            self._idle -= 1
            self._called += 1
            self._lock.notify()
        elif self._quick_threads() < MAX_AT_WORK and self._threads < MAX_AT_WORK + MAX_LOST:
            threading.Thread(target=self._work, name="understudy-query", daemon=True).start()
            # Now, not before: the machine may have refused one, and one that is nowhere would be waited for.
            self._threads += 1

    def _quick_threads(self) -> int:
        """The threads that are not held by a query that takes long."""
        slow = time.monotonic() - SLOW_SECONDS
        return self._threads - self._lost - sum(job.since < slow for job in self._at_work)

    def _find(self) -> Job[Any] | None:
        """The first that waits and whose owner has not as many at work as one may have."""
        at_work = Counter(job.owner for job in self._at_work)
        has_large = bool(self._large) and self._has_large()
        for job in self._waiting:
            if job.owner and at_work[job.owner] >= MAX_OF_ONE:
                continue
            if not (has_large and job.key in self._large):
                return job
        return None

    def _has_large(self) -> bool:
        """True while a large answer is made or handed over; one that takes long waits for something, and holds up none."""
        slow = time.monotonic() - SLOW_SECONDS
        is_made = any(job.key in self._large and job.since >= slow for job in self._at_work)
        return is_made or any(not job.loop.is_closed() for job in self._handed)

    def _learn(self, job: Job[Any]) -> None:
        self._large.pop(job.key, None)
        if job.error is None and self._is_large(job.result):
            self._large[job.key] = None
            self._handed.add(job)
            if len(self._large) > MAX_LARGE:
                del self._large[next(iter(self._large))]

    def _hand_back(self, job: Job[Any]) -> None:
        with self._lock:
            job.over = True
            self._learn(job)
            # A loop that was closed is never told, and would be kept for ever.
            for loop in [loop for loop in self._over if loop.is_closed()]:
                self._handed.difference_update(self._over.pop(loop))
            over = self._over.setdefault(job.loop, [])
            over.append(job)
            first = len(over) == 1
        # With others before it, the event loop was told already, and has not come round to it yet.
        if first:
            # Its loop may be closed: nobody waits any more.
            with contextlib.suppress(RuntimeError):
                job.loop.call_soon_threadsafe(self._tell, job.loop)

    # On the threads that do the work.

    def _work(self) -> None:
        job: Job[Any] | None = None
        while (job := self._next(job)) is not None:
            job.run()
            self._hand_back(job)

    def _next(self, before: Job[Any] | None) -> Job[Any] | None:
        """The next job, None if this thread is to end."""
        with self._lock:
            if before is not None:
                self._lost -= before.lost
                self._at_work.discard(before)
            while (job := self._find()) is None:
                if self._closed or self._quick_threads() > MAX_AT_WORK or not self._wait():
                    self._threads -= 1
                    return None
            self._waiting.remove(job)
            self._at_work.add(job)
            job.since = time.monotonic()
            job.thread = threading.get_ident()
            return job

    def _wait(self) -> bool:
        """True once this thread is called, False if there was nothing to do for long."""
        self._idle += 1
        self._lock.wait_for(lambda: self._called or self._closed, IDLE_SECONDS)
        if self._called:
            self._called -= 1
            return True
        self._idle -= 1
        return False

    def _why_so_many(self) -> str:
        if not self._lost:
            return ""
        return f", and {self._lost} of the threads are held by queries that never end: see the log"
