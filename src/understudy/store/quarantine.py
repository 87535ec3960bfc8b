"""Quarantine: blocks from outside, kept apart from a store until somebody judged them.

The law: a block enters the store after all that it links to, so that a crash leaves no link to nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from understudy.objects import ids
from understudy.objects.codec import Block, decode
from understudy.objects.ids import ID_BYTES, Id
from understudy.objects.kinds import STEP, kind_of
from understudy.store.car import BATCH, BATCH_BYTES, Progress, unseen
from understudy.store.errors import StoreError
from understudy.store.open import open_temporary
from understudy.store.port import Backend, Receipt, Row, Unit
from understudy.store.walk import links

_TAKEN: Final = b"taken/"  # rows of the quarantine's own store: what was taken over already


@contextmanager
def quarantine(store: Backend) -> Iterator[Quarantine]:
    """A place for the blocks of a file, on disk (`TMPDIR` says where): a file may be larger than memory. Gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        blocks = open_temporary(folder)
        try:
            yield Quarantine(blocks, store)
        finally:
            blocks.close()


class Quarantine:
    """A backend to judge with: the blocks that are held here and those of a store, with the refs and rows of the store."""

    def __init__(self, blocks: Backend, store: Backend) -> None:
        self.blocks = blocks
        self._store = store
        self._batch: dict[bytes, Block] = {}
        self._size = 0
        self._taken = 0

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        found = self.blocks.get(ids)
        rest = [id for id, data in zip(ids, found, strict=True) if data is None]
        theirs = iter(self._store.get(rest) if rest else ())
        return [next(theirs) if data is None else data for data in found]

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        raise StoreError("nothing is written to a store that only looks at what came from outside")

    def ref(self, name: bytes) -> bytes | None:
        return self._store.ref(name)

    def row(self, key: bytes) -> bytes | None:
        return self._store.row(key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._store.refs(prefix, start)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._store.rows(prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        return self.blocks.ids()

    def now(self) -> int:
        return self._store.now()

    def close(self) -> None:
        """Nothing: who opened the two stores closes them."""

    def take_over(self, root: bytes, *, progress: Progress = unseen) -> None:
        """Write what can be reached from an object, as far as it is held here, into the store; the rest stays outside.

        `progress` counts blocks. In memory are the ids of one history, and one batch.
        """
        waiting: list[tuple[bytes | None, Iterator[bytes]]] = [(None, iter([root]))]
        while waiting:
            owner, below = waiting[-1]
            id = next(below, None)
            if id is not None:
                waiting += self._visit(id)
                continue
            waiting.pop()
            if owner is not None:
                self._take(owner, progress)
        self._flush(progress)

    def _visit(self, id: bytes) -> list[tuple[bytes | None, Iterator[bytes]]]:
        """What must be taken before an object; nothing if that was done."""
        data = None if self._is_taken(id) else self._held(id)
        if data is None:
            return []
        if ids.is_raw(id):
            return [(id, iter(()))]
        node = decode(data)
        if kind_of(node) == STEP and node["parent"] is not None and not self._is_taken(node["parent"]):
            trail = self._trail(id)
            if len(trail) > ID_BYTES:
                # Oldest first: a chain of a million steps is then no stack of a million objects.
                return [(None, (trail[at - ID_BYTES : at] for at in range(len(trail), 0, -ID_BYTES)))]
        return [(id, iter(list(links(node))))]

    def _trail(self, id: bytes) -> bytes:
        """The ids of a step and of those before it that were not taken yet, newest first."""
        trail = bytearray()
        at: bytes | None = id
        while at is not None and not self._is_taken(at) and (data := self._held(at)) is not None:
            trail += at
            at = decode(data)["parent"]
        return bytes(trail)

    def _held(self, id: bytes) -> bytes | None:
        return self.blocks.get([id])[0]

    def _is_taken(self, id: bytes) -> bool:
        return id in self._batch or self.blocks.row(_TAKEN + id) is not None

    def _take(self, id: bytes, progress: Progress) -> None:
        data = None if id in self._batch else self._held(id)
        if data is not None:
            self._batch[bytes(id)] = Block(Id(id), data)
            self._size += len(data)
            if len(self._batch) >= BATCH or self._size >= BATCH_BYTES:
                self._flush(progress)

    def _flush(self, progress: Progress) -> None:
        """Commit a batch, and only then note that it was."""
        if not self._batch:
            return
        known = dict(zip(self._batch, self._store.get(list(self._batch)), strict=True))
        new = [block for id, block in self._batch.items() if known[id] != block.data]
        if new:
            self._store.commit([Unit(blocks=new)])
        self.blocks.commit([Unit(rows=[Row(_TAKEN + id, b"") for id in self._batch])])
        self._taken += len(self._batch)
        self._batch, self._size = {}, 0
        progress(self._taken, 0)
