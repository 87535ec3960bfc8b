"""Output that a node does not wait for: its reader is there, and does not read.

A pipe whose reader hangs is full after some 64 KiB, and a write to it then waits for ever; so does one to a terminal that was
stopped (Ctrl-S). A thread that logs may hold the step lock, so the whole node would wait. What has no room is dropped
instead, and the next line that has room is preceded by one that says how many lines are missing.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO

PATIENCE_S: Final = 0.2  # a reader that is alive and busy has taken something by then
_REST: Final = 10  # times as long as it waited, nothing waits again: a slow reader costs a tenth of the time at most
_PIECE: Final = 1024  # characters: at most 4096 bytes, which a pipe that has room takes without waiting


class Unread:
    """Writes to a stream what there is room for. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waits_from = 0.0
        self._lines = 0  # that were dropped and not yet told
        self._is_cut = False  # the last line was begun and not ended

    def write(self, stream: TextIO, text: str) -> None:
        """Write the text, or its beginning if there is no room for more. Raises OSError."""
        # A thread that is in the stream may have been forked away, or wait there; it is not waited for either.
        if not self._lock.acquire(timeout=PATIENCE_S):
            return
        try:
            if self._told(stream):
                self._write(stream, text)
            else:
                self._lines += text.count("\n")
        finally:
            self._lock.release()

    def flush(self, stream: TextIO) -> None:
        """Hand on what was written past this. Raises OSError."""
        if _has_room(stream, 0):
            stream.flush()

    def _told(self, stream: TextIO) -> bool:
        if self._lines == 0 and not self._is_cut:
            return True
        end = "\n" if self._is_cut else ""
        told = self._put(stream, f"{end}understudy: {self._lines} lines are missing here: nobody read this output\n")
        if told:
            self._lines, self._is_cut = 0, False
        return told

    def _write(self, stream: TextIO, text: str) -> None:
        for begin in range(0, len(text), _PIECE):
            if not self._put(stream, text[begin : begin + _PIECE]):
                self._lines += text.count("\n", begin)
                self._is_cut = begin > 0
                return

    def _put(self, stream: TextIO, piece: str) -> bool:
        if not _has_room(stream, 0) and not self._wait(stream):
            return False
        stream.write(piece)
        # Kept back, it would need more room later than is known to be there now.
        stream.flush()
        return True

    def _wait(self, stream: TextIO) -> bool:
        begun = self._clock()
        if begun < self._waits_from:
            return False
        has_room = _has_room(stream, PATIENCE_S)
        ended = self._clock()
        self._waits_from = ended + _REST * (ended - begun)
        return has_room


def _has_room(stream: TextIO, seconds: float) -> bool:
    """False if a write would wait. A file on a disk has room always; so has what is no file, and all where none can be asked."""
    if not hasattr(select, "poll"):
        return True  # Windows
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return True
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
