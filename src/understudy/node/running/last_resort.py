"""The last resort: ends the process when an author's code never releases the interpreter, so that a supervisor starts it again.

An extension that keeps the interpreter's lock stops every thread of Python: no request is answered, no log is written, and
the watchdog can't run. Only a timer that needs no interpreter is left, and `faulthandler` has one. While code runs, this
timer is set again every few seconds; if nobody can do that for SECONDS, it writes the lines that all threads are at to
stderr and ends the process. What ran stands in the marks (marks.py), so the next node knows whom to suspect.
"""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import stat
import sys
import threading
from typing import Final, TextIO

from understudy.node.running.marks import Marks

# A sort or a regular expression may keep the interpreter for a minute and then end; nobody waits for an answer that long.
SECONDS: Final = 120.0
_BEATS: Final = 12  # how often the timer is set again in that time

_log = logging.getLogger("understudy.runner")


class LastResort:
    """There can be one in a process. While no code runs, the timer is off: a process that is stopped for a night goes on."""

    def __init__(self, marks: Marks, seconds: float = SECONDS) -> None:
        self._marks = marks
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_set = False  # False makes `wake` look again
        self._runs = False
        self._may_run = threading.Event()
        self._stopped = threading.Event()
        self._told: TextIO | None = None

    def start(self) -> None:
        """From now on, running code is watched."""
        self._told = open_unwaiting(sys.__stderr__ or sys.stderr)
        self._marks.on_busy(self.wake)
        threading.Thread(target=self._run, name="understudy-last-resort", daemon=True).start()

    def stop(self) -> None:
        """End that."""
        self._stopped.set()
        self._may_run.set()
        with self._lock:
            self._cancel()

    def pause(self) -> None:
        """The process is about to be stopped by a signal (Ctrl-Z): the timer must not count that time."""
        with self._lock:
            self._cancel()

    def wake(self) -> None:
        """Code runs now. Quick if the timer is set already."""
        if not self._is_set:
            with self._lock:
                self._set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds / _BEATS):
            self._beat()
            self._may_run.wait()

    def _beat(self) -> None:
        with self._lock:
            # Before the look: what begins after it finds that the timer has to be set.
            self._is_set = False
            if self._marks.is_idle:
                self._cancel()
            else:
                self._set()

    def _set(self) -> None:
        if self._is_set or self._stopped.is_set():
            return
        try:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._told or sys.stderr)
        except (AttributeError, io.UnsupportedOperation, ValueError, RuntimeError) as error:
            # No stderr, or no thread: the node can do without.
            _log.debug("no timer for code that keeps the interpreter: %s", error)
        self._is_set = self._runs = True
        self._may_run.set()

    def _cancel(self) -> None:
        if self._runs:
            faulthandler.cancel_dump_traceback_later()
        self._is_set = self._runs = False
        if not self._stopped.is_set():
            self._may_run.clear()


def open_unwaiting(stream: TextIO) -> TextIO:
    """The same pipe or terminal, opened so that a write gives up where it would wait; else the stream itself.

    The timer writes before it ends the process: if nobody reads, it would never get that far. Opened again, since what is
    set for the stream itself holds for every process that shares it. A socket can't be opened again.
    """
    try:
        number = stream.fileno()
        if not (stat.S_ISFIFO(os.fstat(number).st_mode) or os.isatty(number)):
            return stream
        again = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (AttributeError, OSError, ValueError):
        return stream  # no such folder: not Linux
    return os.fdopen(again, "w")
