"""Which backend a store's URL means. A new backend is one file, and one line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from understudy.store.copy import check_finished
from understudy.store.errors import StoreError
from understudy.store.memory import MemoryKind
from understudy.store.port import Backend, Kind
from understudy.store.postgres.kind import PostgresKind
from understudy.store.rocksdb.kind import RocksKind

KINDS: Final[tuple[Kind, ...]] = (
    RocksKind(),
    PostgresKind(),
    MemoryKind(),
)


def kind_of(url: str) -> tuple[Kind, str]:
    """The kind of a store, and its place. Raises StoreError."""
    scheme, colon, place = url.partition(":")
    for kind in KINDS:
        if colon and kind.scheme == scheme:
            return kind, place
    known = ", ".join(f"{kind.scheme}:{kind.place}" for kind in KINDS)
    # What stands before an '@' may be a password.
    called = repr(url) if "@" not in url else f"'{scheme}:…'"
    raise StoreError(f"no store is called {called}: a store is one of {known}")


def open_store(
    url: str, *, read_only: bool = False, accept_loss: bool = False, may_be_unfinished: bool = False
) -> Backend:
    """Open `rocksdb:DIRECTORY` or `postgresql://…` (made if there is none), or `memory:`. Raises StoreError and its kinds."""
    kind, place = kind_of(url)
    backend = kind.open(place, read_only=read_only, accept_loss=accept_loss)
    try:
        if not may_be_unfinished:
            check_finished(backend, shown_store(url))
        return backend
    except BaseException:
        backend.close()
        raise


def open_temporary(folder: str) -> Backend:
    """A new store on disk in an empty folder, which the caller removes: for what may be larger than memory."""
    return open_store(f"rocksdb:{folder}/store")


def is_made(url: str) -> bool:
    """True if there is a store at a URL already; opening it for writing would make one else. Raises StoreError."""
    kind, place = kind_of(url)
    return kind.is_made(place)


def store_folder(url: str) -> Path | None:
    """Where the files that belong to a store lie; None for one in memory. Raises StoreError."""
    kind, place = kind_of(url)
    return kind.folder(place)


def shown_store(url: str) -> str:
    """The URL as people and programs may see it: without a password. Raises StoreError."""
    kind, place = kind_of(url)
    return f"{kind.scheme}:{kind.shown(place)}"


def store_seen_from(folder: Path, url: str) -> str:
    """The URL, where it is relative, counted from a folder. Raises StoreError."""
    kind, place = kind_of(url)
    return f"{kind.scheme}:{kind.seen_from(folder, place)}"


def find_loss(url: str) -> str | None:
    """What a store lost of what it had acknowledged; None if nothing is known. Changes nothing. Raises StoreError."""
    kind, place = kind_of(url)
    return kind.find_loss(place)
