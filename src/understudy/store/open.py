"""Which backend a store's URL means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from understudy.store.errors import StoreError
from understudy.store.memory import MemoryBackend
from understudy.store.port import Backend
from understudy.store.rocksdb import RocksBackend, holds_store


def open_store(url: str, *, read_only: bool = False) -> Backend:
    """Open `rocksdb:DIRECTORY` (made if there is none) or `memory:`. Raises StoreError and its kinds."""
    scheme, colon, place = url.partition(":")
    if not colon or scheme not in _BACKENDS:
        known = ", ".join(f"{name}:" for name in _BACKENDS)
        raise StoreError(f"no store is called {url!r}: a store begins with one of {known}")
    return _BACKENDS[scheme](place, read_only)


def is_made(url: str) -> bool:
    """True if there is a store at a URL already; opening it for writing would make one else."""
    scheme, _, place = url.partition(":")
    return scheme != "rocksdb" or holds_store(Path(place))


def _memory(place: str, read_only: bool) -> Backend:
    if place:
        raise StoreError(f"'memory:' takes no place, and {place!r} was given")
    return MemoryBackend()


def _rocksdb(place: str, read_only: bool) -> Backend:
    if not place:
        raise StoreError("'rocksdb:' wants a directory, as in rocksdb:.understudy")
    return RocksBackend(Path(place), read_only=read_only)


_BACKENDS: Final[dict[str, Callable[[str, bool], Backend]]] = {
    "memory": _memory,
    "rocksdb": _rocksdb,
}
