"""The high-water mark of a store: a small file that says how far the store went.

A log that was cut short looks like one whose last record was never finished. With the mark beside it, a store that lost
its end says so. The law: the mark is written after the commit that it tells of is durable, so it is never ahead of what
a crash leaves. A mark that is torn, older or absent proves no loss.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import google_crc32c
import msgspec
from msgspec import Struct

NAME: Final = "high-water"
_SIZE: Final = 256  # less than a sector of any disk: the disk writes it atomically


class Mark(Struct, frozen=True, kw_only=True):
    """The last feed number with its step, as text, and the backend's own count of writes."""

    feed: int
    step: str | None
    sequence: int


class HighWater:
    """The file in a store's directory, open for writing. Errors are ignored: the commit was durable before."""

    def __init__(self, store: Path) -> None:
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = os.open(store / NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, mark: Mark) -> None:
        """Put a mark in the place of the one before. The system brings it to the disk when it likes; `close` waits for that."""
        if self._fd is not None:
            with suppress(OSError):
                os.pwrite(self._fd, _encode(mark), 0)

    def close(self) -> None:
        """Bring the mark to the disk."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.fsync(fd)
            os.close(fd)


def read_mark(store: Path) -> Mark | None:
    """The mark in a store's directory; None if there is none, or none that was written whole."""
    try:
        data = (store / NAME).read_bytes()
        checksum, text = data[:8], data[9:].strip()
        if len(data) == _SIZE and checksum == _checksum(text):
            return msgspec.json.decode(text, type=Mark)
    except (OSError, msgspec.DecodeError):
        pass
    return None


def _encode(mark: Mark) -> bytes:
    text = msgspec.json.encode(mark)
    return (_checksum(text) + b" " + text).ljust(_SIZE - 1) + b"\n"


def _checksum(text: bytes) -> bytes:
    return b"%08x" % google_crc32c.value(text)
