"""The backend `memory:`, for tests and trials: everything is gone with the process."""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock

from understudy.objects.ids import Id
from understudy.store.clock import system_time_us
from understudy.store.errors import StoreClosed, StoreError
from understudy.store.keys import feed_row
from understudy.store.meta import new_meta
from understudy.store.moves import try_moves
from understudy.store.port import Receipt, Unit


class MemoryBackend:
    """A new, empty store; `entropy(n)` gives the n random bytes that its name and its secret are made of.

    `clock` gives its time in microseconds since 1970.
    """

    def __init__(
        self, *, entropy: Callable[[int], bytes] = secrets.token_bytes, clock: Callable[[], int] = system_time_us
    ) -> None:
        self._clock = clock
        self._lock = Lock()
        self._blocks: dict[bytes, bytes] = {}
        self._refs = _Table()
        self._rows = _Table()
        self._feed = 0
        self._closed = False
        for row in new_meta(entropy):
            self._rows.put(row.key, row.value)

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            self._check_open()
            return [self._blocks.get(id) for id in ids]

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        with self._lock:
            self._check_open()
            return [self._commit(unit) for unit in units]

    def ref(self, name: bytes) -> bytes | None:
        with self._lock:
            self._check_open()
            return self._refs.values.get(name)

    def row(self, key: bytes) -> bytes | None:
        with self._lock:
            self._check_open()
            return self._rows.values.get(key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._scan(self._refs, prefix, start, reverse=False)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._scan(self._rows, prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        with self._lock:
            self._check_open()
            found = sorted(self._blocks)
        return map(Id, found)

    def now(self) -> int:
        with self._lock:
            self._check_open()
        return self._clock()

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _commit(self, unit: Unit) -> Receipt:
        moved, conflict = try_moves(unit.moves, self._refs.values)
        if conflict is not None:
            return conflict
        for block in unit.blocks:
            self._blocks[bytes(block.id)] = block.data
        for ref, value in moved.items():
            self._refs.put(ref, value)
        for row in unit.rows:
            self._rows.put(row.key, row.value)
        first = self._feed + 1 if unit.feed else 0
        for step in unit.feed:
            self._feed += 1
            self._rows.put(feed_row(self._feed), step)
        return Receipt(feed=first)

    def _scan(self, table: _Table, prefix: bytes, start: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            self._check_open()
            found = table.scan(prefix, start, reverse=reverse)
        return iter(found)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store was closed")


class _Table:
    """Keys in order, by the first byte: the many rows of one kind do not slow down the few of another."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self._order: dict[bytes, list[bytes]] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        order = self._order.setdefault(key[:1], [])
        if value is None:
            if self.values.pop(key, None) is not None:
                del order[bisect_left(order, key)]
            return
        if key not in self.values:
            insort(order, key)
        self.values[key] = bytes(value)

    def scan(self, prefix: bytes, start: bytes, *, reverse: bool) -> list[tuple[bytes, bytes]]:
        order = self._order.get(prefix[:1], []) if prefix else sorted(self.values)
        first, last = bisect_left(order, prefix), bisect_left(order, True, key=lambda key: key[: len(prefix)] > prefix)
        if reverse:
            last = min(last, bisect_right(order, start)) if start else last
            return [(key, self.values[key]) for key in reversed(order[first:last])]
        return [(key, self.values[key]) for key in order[max(first, bisect_left(order, start)) : last]]


class MemoryKind:
    """`memory:`, which takes no place."""

    scheme = "memory"
    place = ""
    lasting = False
    exclusive = False

    def open(self, place: str, *, read_only: bool = False, accept_loss: bool = False) -> MemoryBackend:
        if place:
            raise StoreError(f"'memory:' takes no place, and {place!r} was given")
        return MemoryBackend()

    def is_made(self, place: str) -> bool:
        return True

    def folder(self, place: str) -> Path | None:
        return None

    def seen_from(self, folder: Path, place: str) -> str:
        return place

    def shown(self, place: str) -> str:
        return place

    def find_loss(self, place: str) -> str | None:
        return None
