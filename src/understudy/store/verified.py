"""The door: every block that comes out of a backend, or in from outside, is checked against its id here.

The law: no caller gets bytes that do not hash to the id that it asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.codec import MAX_BLOCK, MAX_RAW, Block, decode
from understudy.objects.errors import ObjectError, TooLarge, WrongKind
from understudy.objects.ids import Id
from understudy.objects.kinds import read_any
from understudy.store.errors import Corrupt, Missing
from understudy.store.port import Backend
from understudy.store.reader import Reader
from understudy.store.recent import Recent

_MIB: Final = 1024 * 1024
_CACHE: Final = 32 * _MIB  # some 100,000 small nodes and blobs, the newest of a hundred thousand steps
_CACHED_BLOB: Final = 64 * 1024  # a larger raw block would push out hundreds of nodes, and is seldom read twice
_SWELL: Final = 5  # measured: one byte of a node becomes two to five bytes of Python objects

NO_NODES: Final[Mapping[bytes, Any]] = {}


def checked_block(id: bytes, data: bytes) -> Block:
    """A block from outside, if it is what its id says and, as a node, canonical.

    Raises Corrupt when the bytes do not hash to the id, TooLarge, NotCanonical.
    """
    return _checked(id, data)[0]


def checked_object(id: bytes, data: bytes) -> Block:
    """The same, if a node also keeps the rules of its kind. Raises WrongKind, too."""
    block, node = _checked(id, data)
    if not ids.is_raw(id):
        read_any(node)
    return block


def _checked(id: bytes, data: bytes) -> tuple[Block, Any]:
    """A block and, unless it is raw, its node."""
    good = ids.from_bytes(id)
    most = MAX_RAW if ids.is_raw(good) else MAX_BLOCK
    if len(data) > most:
        raise TooLarge(f"{good} has {len(data):,} bytes: at most {most:,} are allowed")
    _check(good, data)
    return Block(good, data), None if ids.is_raw(good) else decode(data)


class Grit(Reader):
    """The objects of a backend, checked; decoded nodes and small blobs are kept in at most `cache_bytes`, or in a cache of the caller's.

    Thread-safe. A node that is in the cache costs a third of a microsecond.
    """

    def __init__(self, backend: Backend, cache_bytes: int = _CACHE, *, cache: Recent[bytes, Any] | None = None) -> None:
        self._backend = backend
        self._cache = Recent[bytes, Any](cache_bytes) if cache is None else cache

    def block(self, id: bytes) -> bytes:
        if ids.is_raw(id):
            cached: bytes | None = self._cache.get(id)
            if cached is not None:
                return cached
        data = self._backend.get([id])[0]
        if data is None:
            # Absence is never cached: a concurrent commit would stay invisible.
            raise Missing(Id(id))
        _check(id, data)
        if ids.is_raw(id) and len(data) <= _CACHED_BLOB:
            self._cache.put(id, data, len(data))
        return data

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        found = self._backend.get(ids)
        for id, data in zip(ids, found, strict=True):
            if data is not None:
                _check(id, data)
        return found

    def node(self, id: bytes) -> Any:
        if ids.is_raw(id):
            raise WrongKind(f"{Id(id)} is a blob, not a node")
        node = self._cache.get(id)
        if node is not None:
            return node
        data = self.block(id)
        try:
            node = decode(data)
        except ObjectError as error:
            raise Corrupt(f"{Id(id)} is stored in a form that was never written by us: {error}", Id(id)) from error
        self._cache.put(id, node, _SWELL * len(data))
        return node

    def has(self, id: bytes) -> bool:
        return self._cache.get(id) is not None or super().has(id)

    def keep(self, made: Iterable[Block], nodes: Mapping[bytes, Any] = NO_NODES) -> None:
        """Put what was just made durable into the cache where it is likely to be read next: small blobs, trees, and nodes of large maps.

        `nodes` are some of the blocks as they were before they were encoded. No other node is kept: its maps may stand in
        another order than in the block.
        """
        kept: list[tuple[bytes, Any, int]] = []
        for block in made:
            id = block.id
            if id[:4] == ids.RAW:
                size = len(block.data)
                if size <= _CACHED_BLOB:
                    kept.append((id, block.data, size))
            elif id in nodes:
                node = nodes[id]
                if type(node) is list or (type(node) is dict and "tree" in node):
                    kept.append((id, node, _SWELL * len(block.data)))
        self._cache.put_all(kept)


class InFlight(Reader):
    """A reader that also sees blocks which were submitted and are not durable yet.

    For the one who submitted them: an actor that runs ahead reads its own steps. Thread-safe.
    """

    def __init__(self, base: Grit) -> None:
        self._base = base
        self._lock = Lock()
        self._held: dict[bytes, Block] = {}
        self._nodes: dict[bytes, Any] = {}  # of some of them, decoded
        self._again: dict[bytes, int] = {}  # how many more units carry a block; most are in one alone

    def add(self, blocks: Iterable[Block], nodes: Mapping[bytes, Any] = NO_NODES) -> None:
        """Show these blocks until they were removed as often as they were added; `nodes` are some of them, decoded."""
        held, again = self._held, self._again
        with self._lock:
            for block in blocks:
                id = block.id
                if id in held:
                    again[id] = again.get(id, 0) + 1
                else:
                    held[id] = block
            # A wit may have staged nodes that its step does not keep.
            for made, node in nodes.items():
                if made in held:
                    self._nodes[made] = node

    def remove(self, blocks: Iterable[Block], *, durable: bool) -> None:
        """The unit of these blocks is durable, and the reader below has them; or it failed, and they are not needed."""
        held, decoded, again = self._held, self._nodes, self._again
        with self._lock:
            gone = [block for block in blocks if block.id not in again or not self._is_carried_again(block.id)]
            if durable:
                # Before it is gone from here. What failed must not be found in the cache: it is in no store.
                self._base.keep(gone, decoded)
            for block in gone:
                del held[block.id]
                decoded.pop(block.id, None)

    def _is_carried_again(self, id: bytes) -> bool:
        """True if another unit carries the block too: one of them is settled now."""
        count = self._again.pop(id, 0)
        if count > 1:
            self._again[id] = count - 1
        return count > 0

    def keep(self, blocks: Iterable[Block]) -> None:
        """These blocks became durable without having been added: the small ones are likely to be read next."""
        self._base.keep(blocks)

    def block(self, id: bytes) -> bytes:
        held = self._held.get(id)
        return self._base.block(id) if held is None else held.data

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        held = [self._held.get(id) for id in ids]
        rest = [id for id, entry in zip(ids, held, strict=True) if entry is None]
        below = iter(self._base.blocks(rest) if rest else ())
        return [next(below) if entry is None else entry.data for entry in held]

    def has(self, id: bytes) -> bool:
        return id in self._held or self._base.has(id)

    def node(self, id: bytes) -> Any:
        node = self._nodes.get(id)
        if node is not None:
            return node
        held = self._held.get(id)
        if held is None:
            return self._base.node(id)
        if ids.is_raw(id):
            raise WrongKind(f"{Id(id)} is a blob, not a node")
        node = decode(held.data)
        with self._lock:
            # Not if it became durable meanwhile: no call would remove it again.
            if id in self._held:
                self._nodes[id] = node
        return node


def _check(id: bytes, data: bytes) -> None:
    if not ids.matches(id, data):
        raise Corrupt(f"{Id(id)} is damaged: its {len(data):,} bytes do not hash to it", Id(id))
