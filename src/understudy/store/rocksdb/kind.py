"""The kind of store `rocksdb:DIRECTORY`."""

from __future__ import annotations

from pathlib import Path

from understudy.store.errors import StoreError
from understudy.store.rocksdb.backend import RocksBackend, find_loss
from understudy.store.rocksdb.folder import CURRENT


class RocksKind:
    """`rocksdb:DIRECTORY`."""

    scheme = "rocksdb"
    place = "DIRECTORY"
    lasting = True
    exclusive = True

    def open(self, place: str, *, read_only: bool = False, accept_loss: bool = False) -> RocksBackend:
        return RocksBackend(self.folder(place), read_only=read_only, accept_loss=accept_loss)

    def is_made(self, place: str) -> bool:
        return (self.folder(place) / CURRENT).exists()

    def folder(self, place: str) -> Path:
        if not place:
            raise StoreError("'rocksdb:' wants a directory, as in rocksdb:.understudy")
        return Path(place)

    def seen_from(self, folder: Path, place: str) -> str:
        return str(folder / self.folder(place))

    def shown(self, place: str) -> str:
        return place

    def find_loss(self, place: str) -> str | None:
        return find_loss(self.folder(place))
