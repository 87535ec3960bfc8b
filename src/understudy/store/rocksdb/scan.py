"""Scans of a RocksDB database in pages.

In pages, because an iterator of RocksDB that somebody forgot would keep the database open after `close`.
"""

from __future__ import annotations

from typing import NamedTuple

from rocksdict import Rdict, ReadOptions


class Span(NamedTuple):
    """The keys that begin with `low`, from `at` on or back from it, without the key `skip`."""

    low: bytes
    at: bytes
    skip: bytes
    reverse: bool

    def holds(self, key: bytes, last: bytes | None) -> bool:
        if not key.startswith(self.low) or key == self.skip:
            return False
        if self.reverse:
            return key <= self.at and (last is None or key >= last)
        return key >= self.at and (last is None or key <= last)


def read_page(db: Rdict, span: Span, size: int) -> list[tuple[bytes, bytes]]:
    low, at, skip, reverse = span
    found: list[tuple[bytes, bytes]] = []
    # Without this bound, a scan that finds little would walk over everything that was deleted behind it.
    # A lower bound would be as good backwards, but rocksdict 0.3.29 sets the upper one instead.
    bounds = ReadOptions()
    bounds.set_iterate_upper_bound(after(low))
    cursor = db.iter(bounds)
    if reverse:
        cursor.seek_for_prev(at)
    else:
        cursor.seek(max(at, low))
    step = cursor.prev if reverse else cursor.next
    while len(found) < size and cursor.valid():
        key = cursor.key()
        if not key.startswith(low):
            break
        if key != skip:
            found.append((key, cursor.value()))
        step()
    # A cursor ends in the same way after the last key and at a block that it could not read.
    cursor.status()
    return found


def after(prefix: bytes) -> bytes:
    """The first key behind all that begin with the prefix, which begins with a letter of a table."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1])
