"""The step lock: only the thread that holds it steps actors. A wit that holds it too long loses it, and goes on without it.

The law: at most one thread holds the step lock. A thread that lost it touches no entry and no output any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from understudy.node.running.slow_wits import Run

MAX_THREADS: Final = 64  # wits that never return keep their thread; with more of them, the step lock is not handed over
# The same for wits that wait for an answer, which comes some day; with more of them, they are run again later.
MAX_WAITING_THREADS: Final = 512
LOCK_SECONDS: Final = 0.02  # how long a wit may hold the step lock while others are ready


class StepLock:
    """`work` is what a thread does while it holds the step lock. It gets the epoch of its turn, and passes it to `run_ends`."""

    def __init__(self, work: Callable[[int], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._epoch = 0
        self._threads = 0
        self._running: Run | None = None
        self._left: list[Run] = []

    def start(self) -> None:
        """Give the step lock to the first thread."""
        with self._lock:
            self._hand_over()

    def run_begins(self, run: Run) -> None:
        """The thread that holds the step lock runs a wit from now on."""
        self._running = run

    def run_ends(self, run: Run, epoch: int) -> bool:
        """The wit has returned. False if its thread has lost the step lock meanwhile."""
        with self._lock:
            if self._epoch != epoch:
                # Another thread's wit runs now, and the watchdog must see that one.
                self._left.remove(run)
                return False
            self._running = None
            return True

    def leave(self, run: Run, most: int = MAX_THREADS) -> None:
        """Give the step lock to a fresh thread while a wit runs on. Not if the wit has returned, or if too many run like this."""
        with self._lock:
            if self._running is not run or self._threads >= most:
                return
            self._running = None
            self._left.append(run)
            try:
                self._hand_over()
            except RuntimeError:
                # The machine has no thread left: one wit that blocks the others is better than no steps at all.
                self._running = run
                self._left.remove(run)

    def leave_to_wait(self, run: Run) -> bool:
        """The same for a wit that is about to wait for an answer. True if others step meanwhile."""
        self.leave(run, MAX_WAITING_THREADS)
        return self._running is not run

    def leave_if_long(self, now: float) -> None:
        """The same for the wit that runs, if it has held the step lock for too long."""
        run = self._running
        if run is not None and self.is_long(now - run.since):
            self.leave(run)

    def is_long(self, seconds: float) -> bool:
        """True for a run that should have released the step lock."""
        return seconds >= LOCK_SECONDS

    @property
    def seconds_between_looks(self) -> float:
        """How often the watchdog should look whether a wit holds it too long."""
        return LOCK_SECONDS / 2

    @property
    def epoch(self) -> int:
        """How often the step lock was handed over."""
        return self._epoch

    @property
    def is_shared(self) -> bool:
        """True if wits run on without it."""
        return bool(self._left)

    @property
    def is_idle(self) -> bool:
        """True if no wit runs, with it or without."""
        return self._running is None and not self._left

    def runs(self) -> list[Run]:
        """The wits that run."""
        with self._lock:
            return [*self._left, *([] if self._running is None else [self._running])]

    def _hand_over(self) -> None:
        self._epoch += 1
        self._threads += 1
        epoch = self._epoch
        try:
            threading.Thread(target=self._hold, args=(epoch,), name=f"understudy-steps-{epoch}", daemon=True).start()
        except RuntimeError:
            self._epoch -= 1
            self._threads -= 1
            raise

    def _hold(self, epoch: int) -> None:
        try:
            self._work(epoch)
        finally:
            with self._lock:
                self._threads -= 1
