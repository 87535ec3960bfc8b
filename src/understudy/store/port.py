"""The port every backend implements: blocks, refs and rows; a few verbs; durable when `commit` returns.

The law of a unit: all of it is there after a crash, or nothing. Units of one commit are independent:
one that fails its compare-and-set does not fail its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from understudy.objects.codec import Block
from understudy.objects.ids import Id, StepId


class Move(Struct, frozen=True, gc=False):
    """A compare-and-set of one ref; None means that the ref does not exist (before, or after)."""

    ref: bytes
    expected: bytes | None
    new: bytes | None


class Row(Struct, frozen=True, gc=False):
    """A row to write, or with the value None to delete."""

    key: bytes
    value: bytes | None


class Unit(Struct, frozen=True, kw_only=True):
    """What is committed atomically. `feed` lists steps that get the next feed numbers."""

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

    def now(self) -> int:
        """The store's clock, in microseconds since 1970. Whoever uses the store at the same time is told the same."""

    def close(self) -> None:
        """Release the store. A closed backend raises StoreError."""


class Kind(Protocol):
    """What a backend declares of itself, and answers about a store that is not open. A place is a URL without its scheme."""

    @property
    def scheme(self) -> str:
        """What a store's URL begins with, before the colon."""

    @property
    def place(self) -> str:
        """What stands behind the colon, for a person: `DIRECTORY`; empty if nothing may."""

    @property
    def lasting(self) -> bool:
        """True if a store outlives the process that made it. Such a kind has a folder and is made once."""

    @property
    def exclusive(self) -> bool:
        """True if one process at a time writes: whoever opens the store for writing as the second gets StoreInUse.

        A lasting kind that is not exclusive must keep the promise of `commit` among all its writers.
        """

    def open(self, place: str, *, read_only: bool = False, accept_loss: bool = False) -> Backend:
        """Open a store, made if there is none and it is not only read. Raises StoreError and its kinds.

        StoreLost, with nothing changed, if it no longer holds what it acknowledged, until that is accepted once.
        """

    def is_made(self, place: str) -> bool:
        """True if there is a store already."""

    def folder(self, place: str) -> Path | None:
        """The directory for what belongs to a store without being in it (`node.json`, `token`); None for one in memory."""

    def seen_from(self, folder: Path, place: str) -> str:
        """The place, where it is relative, counted from a folder."""

    def shown(self, place: str) -> str:
        """The place without what only its owner may see, such as a password; the same text if there is nothing of that kind."""

    def find_loss(self, place: str) -> str | None:
        """What the store lost of what it had acknowledged, as a sentence; None if nothing is known. Changes nothing."""
