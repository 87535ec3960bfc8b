"""The watchdog: a thread that takes the step lock from wits that hold it too long, and names those that never end.

It sleeps while nothing runs, so an idle node costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from understudy.node.running.async_wits import AsyncWits
from understudy.node.running.slow_wits import SlowWits
from understudy.node.running.step_lock import StepLock


class Watchdog:
    """Calls `others_wait` on its own thread: whether others could use the step lock if it were free."""

    def __init__(self, step_lock: StepLock, async_wits: AsyncWits, others_wait: Callable[[float], bool]) -> None:
        self._step_lock = step_lock
        self._async_wits = async_wits
        self._others_wait = others_wait
        self._slow_wits = SlowWits()
        self._something_runs = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="understudy-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._something_runs.set()

    def wake(self) -> None:
        """Something runs now."""
        # Mostly it is awake already, and setting the event costs more than checking it.
        if not self._something_runs.is_set():
            self._something_runs.set()

    @property
    def sleeps(self) -> bool:
        """True if nothing runs that it would have to watch."""
        return not self._something_runs.is_set()

    def _run(self) -> None:
        while not self._stopped.wait(self._step_lock.seconds_between_looks):
            self._something_runs.clear()
            # Checked after that: a wit that begins now sets it again.
            if self._step_lock.is_idle and self._async_wits.is_idle:
                self._something_runs.wait()
                continue
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        self._async_wits.relieve()
        if self._others_wait(now):
            self._step_lock.leave_if_long(now)
        self._slow_wits.look([*self._step_lock.runs(), *self._async_wits.computing()], now)
