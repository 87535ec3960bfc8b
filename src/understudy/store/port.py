"""The port every backend implements: blocks, refs and rows; a few verbs; durable when `commit` returns.

The law of a unit: all of it is there after a crash, or nothing. Units of one commit are independent:
one that fails its compare-and-set does not fail its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from understudy.objects.codec import Block
from understudy.objects.ids import Id, StepId


class Move(NamedTuple):
    """A compare-and-set of one ref; None means that the ref does not exist (before, or after)."""

    ref: bytes
    expected: bytes | None
    new: bytes | None


class Row(NamedTuple):
    """A row to write, or with the value None to delete."""

    key: bytes
    value: bytes | None


class Unit(Struct, frozen=True, kw_only=True):
    """What is committed together or not at all. `feed` lists steps that get the next feed numbers."""

    blocks: Sequence[Block] = ()
    moves: Sequence[Move] = ()
    rows: Sequence[Row] = ()
    feed: Sequence[StepId] = ()


class Receipt(Struct, frozen=True):
    """What became of a unit: the feed number of its first step (0 without one), or the move that failed and what the ref held."""

    feed: int = 0
    conflict: Move | None = None
    found: bytes | None = None


class Backend(Protocol):
    """A place that keeps blocks, refs and rows. It never verifies and never caches absence; the door above it does the checking.

    Thread-safe: many threads may read while one commits.
    """

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """The blocks with these ids, None where there is none. Raises StoreError if one could not be read."""

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        """Write the units, in order, with one sync; durable on return.

        Raises StoreError. What became of the units is then unknown until the store is opened again: each is there as a
        whole or not at all, and from here on every call raises, so that nobody acts on either.
        """

    def ref(self, name: bytes) -> bytes | None:
        """The value of a ref."""

    def row(self, key: bytes) -> bytes | None:
        """The value of a row."""

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Refs whose name begins with the prefix, from `start` (a full name, inclusive) on, in order."""

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key begins with the prefix, in order from `start` (a full key, inclusive) on; or backwards from it."""

    def ids(self) -> Iterator[Id]:
        """The id of every block, in order."""

    def close(self) -> None:
        """Release the store. A closed backend raises StoreError."""
