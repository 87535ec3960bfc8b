"""A store copied into another one, whatever keeps the two.

The law: the copy is what the source is, or it can't be opened: from its first commit to its last one it says that it is
unfinished. Whoever copies again goes on, by comparing the two from the beginning: what is there is not sent again, and what
the source has changed since is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, takewhile, zip_longest
from typing import Final

from msgspec import Struct

from understudy.objects.codec import Block
from understudy.objects.ids import Id, StepId
from understudy.store.car import BATCH, BATCH_BYTES
from understudy.store.errors import Missing, StoreError, StoreFormat
from understudy.store.keys import FEED, META, meta_row
from understudy.store.meta import FORMAT_ROW, NODE_ROW, SECRET_ROW
from understudy.store.port import Backend, Move, Row, Unit
from understudy.store.verified import Grit

COPY_ROW: Final = meta_row("copy")
_IDENTITY: Final = (FORMAT_ROW, NODE_ROW, SECRET_ROW, COPY_ROW)
_AFTER_FEED: Final = bytes([FEED[0] + 1])
_READ: Final = 16  # blocks read at once: they have at most 2 MiB each
_ROWS: Final = 4096  # rows to a commit, about a MiB

Progress = Callable[[int, int], None]
Item = tuple[bytes, bytes]


class Copied(Struct, frozen=True):
    """How much was written: what was there already is not counted."""

    blocks: int
    heads: int
    rows: int
    steps: int


def check_finished(backend: Backend, shown: str) -> None:
    """Raise StoreFormat if a store is a copy that was not finished."""
    if backend.row(COPY_ROW) is not None:
        raise StoreFormat(
            f"{shown} is a copy that was not finished: run `understudy store copy` again, from the same store"
        )


def copy_store(source: Backend, target: Backend, *, progress: Progress = lambda done, total: None) -> Copied:
    """Make the target what the source is. Nobody may write either meanwhile. Raises StoreError, Corrupt.

    The target is new, or an unfinished copy of this source: its node, its secret and all else become the source's.
    """
    _begin(source, target)
    count = _Count(progress)
    blocks = sum(count(target, batch) for batch in _blocks(source, target))
    steps = sum(count(target, batch) for batch in _feed(source, target))
    rows = sum(count(target, batch) for batch in _rows(source, target))
    heads = sum(count(target, batch) for batch in _refs(source, target))
    identity = [Row(key, source.row(key)) for key in (NODE_ROW, SECRET_ROW)]
    target.commit([Unit(rows=[*identity, Row(COPY_ROW, None)])])
    return Copied(blocks=blocks, heads=heads, rows=rows, steps=steps)


class _Count:
    """Commits a unit, and says how far the copy is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, target: Backend, unit: Unit) -> int:
        (receipt,) = target.commit([unit])
        if receipt.conflict is not None:
            raise StoreError("the target of the copy was written by somebody else meanwhile")
        size = len(unit.blocks) + len(unit.moves) + len(unit.rows) + len(unit.feed)
        self._done += size
        self._progress(self._done, 0)
        return size


def _begin(source: Backend, target: Backend) -> None:
    name, copied = source.row(NODE_ROW) or b"", target.row(COPY_ROW)
    if copied is None:
        is_new = not any(chain(target.ids(), target.refs(b""), _ordinary_rows(target), target.rows(FEED)))
        if not is_new:
            raise StoreError("the target of the copy holds a store already: name a place where there is none")
        target.commit([Unit(rows=[Row(COPY_ROW, name)])])
    elif copied != name:
        raise StoreError(f"the target holds an unfinished copy of another store, that of the node {copied.decode()}")


def _blocks(source: Backend, target: Backend) -> Iterator[Unit]:
    reader = Grit(source)
    batch: list[Block] = []
    size = 0
    missing = (id for id, wanted, _ in _differences(_keys(source.ids()), _keys(target.ids())) if wanted is not None)
    while ids := list(islice(missing, _READ)):
        for id, data in zip(ids, reader.blocks(ids), strict=True):
            if data is None:
                raise Missing(Id(id))
            batch.append(Block(Id(id), data))
            size += len(data)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield Unit(blocks=batch)
            batch, size = [], 0
    if batch:
        yield Unit(blocks=batch)


def _feed(source: Backend, target: Backend) -> Iterator[Unit]:
    more: list[StepId] = []
    for number, (there, here) in enumerate(zip_longest(source.rows(FEED), target.rows(FEED)), 1):
        if there is None or there[0] != FEED + number.to_bytes(8, "big") or (here is not None and here != there):
            raise StoreError(f"the feeds of the two stores part at number {number}: remove the copy and begin again")
        if here is None:
            more.append(StepId(Id(there[1])))
        if len(more) == _ROWS:
            yield Unit(feed=more)
            more = []
    if more:
        yield Unit(feed=more)


def _rows(source: Backend, target: Backend) -> Iterator[Unit]:
    found = _differences(_ordinary_rows(source), _ordinary_rows(target))
    while batch := [Row(key, wanted) for key, wanted, _ in islice(found, _ROWS)]:
        yield Unit(rows=batch)


def _refs(source: Backend, target: Backend) -> Iterator[Unit]:
    found = _differences(source.refs(b""), target.refs(b""))
    while batch := [Move(name, held, wanted) for name, wanted, held in islice(found, _ROWS)]:
        yield Unit(moves=batch)


def _ordinary_rows(backend: Backend) -> Iterator[Item]:
    """All rows but those of the feed, which get their numbers at the commit, and those that say whose store it is."""
    before = takewhile(lambda row: row[0] < FEED, backend.rows(b""))
    found = chain(before, backend.rows(b"", _AFTER_FEED))
    return (row for row in found if not (row[0].startswith(META) and row[0] in _IDENTITY))


def _keys(ids: Iterable[Id]) -> Iterator[Item]:
    return ((id, b"") for id in ids)


def _differences(wanted: Iterator[Item], found: Iterator[Item]) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """The keys of two sorted sequences whose values differ, each with both values; None where a key is not there."""
    one, other = next(wanted, None), next(found, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(wanted, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(found, None)
        else:
            if one[1] != other[1]:
                yield one[0], one[1], other[1]
            one, other = next(wanted, None), next(found, None)
