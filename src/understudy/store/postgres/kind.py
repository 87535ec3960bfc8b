"""The kind of store `postgresql://…`.

The driver is an extra, and takes as long to load as many commands take as a whole. So it is loaded by name, when a store
of this kind is opened for the first time.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from understudy.store.errors import StoreError
from understudy.store.port import Backend
from understudy.store.postgres.url import SCHEME, read_url, state_folder

_BACKEND: Final = "understudy.store.postgres.backend"
_DRIVER: Final = "psycopg"


class PostgresKind:
    """`postgresql://USER@HOST:PORT/DATABASE`, and all else that libpq takes in a URL."""

    scheme = SCHEME
    place = "//USER@HOST:PORT/DATABASE"
    lasting = True
    exclusive = True

    def open(self, place: str, *, read_only: bool = False, accept_loss: bool = False) -> Backend:
        url = read_url(place)
        backend: Backend = _driven().open_backend(
            url, folder=state_folder(url), read_only=read_only, accept_loss=accept_loss
        )
        return backend

    def is_made(self, place: str) -> bool:
        return bool(_driven().is_made(read_url(place)))

    def folder(self, place: str) -> Path:
        return state_folder(read_url(place))

    def seen_from(self, folder: Path, place: str) -> str:
        return place

    def shown(self, place: str) -> str:
        return read_url(place).shown.removeprefix(f"{SCHEME}:")

    def find_loss(self, place: str) -> str | None:
        url = read_url(place)
        loss: str | None = _driven().find_loss(url, folder=state_folder(url))
        return loss


def _driven() -> Any:
    try:
        return import_module(_BACKEND)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != _DRIVER:
            raise
        raise StoreError(
            f"a store in PostgreSQL needs the driver {_DRIVER}: pip install 'understudy[postgres]'"
        ) from error
