"""The backend `postgresql://…`: a database of a PostgreSQL server, written by one process at a time.

The law: what a reader sees is committed, and committed is durable: the server makes nothing visible before its log is on its
disk. A server that went away is waited for; who has waited for too long, or finds another writer, writes no more.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, NoReturn, Protocol

from understudy.objects.ids import Id
from understudy.store.errors import StoreClosed, StoreError, StoreLost
from understudy.store.high_water import HighWater, Mark, read_mark
from understudy.store.keys import feed_row
from understudy.store.port import Receipt, Unit
from understudy.store.postgres import schema
from understudy.store.postgres.connections import OneView, ReadingPool
from understudy.store.postgres.loss import loss_of
from understudy.store.postgres.scan import page_of
from understudy.store.postgres.url import PostgresUrl
from understudy.store.postgres.writer import Writer

_BLOCKS: Final = "SELECT id, data FROM understudy_blocks WHERE id = ANY(%b::bytea[])"
_REF: Final = "SELECT value FROM understudy_refs WHERE name = %b"
_ID_PAGE: Final = "SELECT id FROM understudy_blocks WHERE id > %b ORDER BY id LIMIT 1024"
_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"
_FSYNC: Final = "SELECT current_setting('fsync')"
_PAGES: Final = (64, 1024)  # keys of the first page of a scan, and of every further one

_log = logging.getLogger(__name__)


class _Asks(Protocol):
    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def close(self) -> None: ...


class PostgresBackend:
    """A store that was opened. After a commit that failed, every call raises that error until it is opened again."""

    def __init__(self, url: PostgresUrl, reads: _Asks, writer: Writer | None) -> None:
        self._url = url
        self._reads = reads
        self._writer = writer
        self._lock = Lock()
        self._stopped: tuple[type[StoreError], str] | None = None
        self._high_water: HighWater | None = None
        self._last_step: bytes | None = None

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        if not ids:
            self._check()
            return []
        found = dict(self._ask(_BLOCKS, ([bytes(id) for id in ids],)))
        return [found.get(bytes(id)) for id in ids]

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        with self._lock:
            self._check()
            if self._writer is None:
                raise StoreError(f"{self._url.shown} was opened for reading only")
            try:
                written = self._writer.write(units)
            except StoreError as error:
                self._stopped = type(error), str(error)
                raise
            self._last_step = written.last or self._last_step
            self._write_mark(written.feed, written.commits)
            return written.receipts

    def ref(self, name: bytes) -> bytes | None:
        return self._value(_REF, name)

    def row(self, key: bytes) -> bytes | None:
        return self._value(schema.ROW, key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._scan("understudy_refs", "name", prefix, start, reverse=False)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._scan("understudy_rows", "key", prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        last = b""
        while page := self._ask(_ID_PAGE, (last,)):
            for (id,) in page:
                yield Id(id)
            last = page[-1][0]

    def now(self) -> int:
        return int(self._ask(_NOW)[0][0])

    def close(self) -> None:
        """Release the store; closing twice is harmless."""
        with self._lock:
            self._stopped = StoreClosed, f"{self._url.shown} was closed"
            self._reads.close()
            if self._writer is not None:
                self._writer.close()
            if self._high_water is not None:
                self._high_water.close()

    def keep_mark(self, folder: Path) -> None:
        """From now on, write down in a folder of this machine how far the store went."""
        assert self._writer is not None
        self._high_water = HighWater(folder)
        self._last_step = self.row(feed_row(self._writer.feed))
        self._write_mark(self._writer.feed, self._writer.commits)

    def _write_mark(self, feed: int, commits: int) -> None:
        if self._high_water is not None:
            step = None if self._last_step is None else str(Id(self._last_step))
            self._high_water.write(Mark(feed=feed, step=step, sequence=commits))

    def _value(self, sql: str, key: bytes) -> bytes | None:
        found = self._ask(sql, (key,))
        return found[0][0] if found else None

    def _scan(
        self, table: str, column: str, prefix: bytes, start: bytes, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        size, past = _PAGES[0], False
        while True:
            page = self._ask(*page_of(table, column, prefix, start, reverse=reverse, past=past, size=size))
            yield from page
            if len(page) < size:
                return
            start, past, size = page[-1][0], True, _PAGES[1]

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._check()
        return self._reads.ask(sql, values)

    def _check(self) -> None:
        if self._stopped is not None:
            self._refuse()

    def _refuse(self) -> NoReturn:
        kind, text = self._stopped or (StoreClosed, f"{self._url.shown} was closed")
        raise kind(text)


def open_backend(
    url: PostgresUrl,
    *,
    folder: Path,
    read_only: bool = False,
    accept_loss: bool = False,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> PostgresBackend:
    """Open a store, and make it if there is none and it is not only read.

    With `read_only` it is a view of what was there at opening, also beside a writer and on a standby. Raises StoreInUse,
    StoreFormat, StoreLost, StoreError.
    """
    if read_only:
        return _open_view(url)
    _make_folder(folder)
    writer = Writer(url)
    backend = PostgresBackend(url, ReadingPool(url), writer)
    try:
        if not accept_loss and (loss := loss_of(writer.ask, url, read_mark(folder))):
            raise StoreLost(loss)
        writer.claim(entropy=entropy)
        backend.keep_mark(folder)
        if writer.ask(_FSYNC) == [("off",)]:
            _log.warning(
                "%s: fsync is off, so a crash of the server's machine may take what was acknowledged", url.shown
            )
        return backend
    except BaseException:
        backend.close()
        raise


def is_made(url: PostgresUrl) -> bool:
    """True if there is a store in the database. Raises StoreError if that can't be asked."""
    view = OneView(url)
    try:
        return schema.is_made(view.ask)
    finally:
        view.close()


def find_loss(url: PostgresUrl, *, folder: Path) -> str | None:
    """What the store lost of what it had acknowledged to a process on this machine; None if nothing is known."""
    mark = read_mark(folder)
    if mark is None:
        return None
    view = OneView(url)
    try:
        return loss_of(view.ask, url, mark)
    finally:
        view.close()


def _open_view(url: PostgresUrl) -> PostgresBackend:
    view = OneView(url)
    try:
        if not schema.is_made(view.ask):
            raise StoreError(f"there is no store in {url.shown}: `understudy serve` makes one")
        schema.check_version(schema.facts(view.ask), schema.format_of(view.ask), url.shown)
    except BaseException:
        view.close()
        raise
    return PostgresBackend(url, view, None)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder} can't be made, where tokens and notes of this machine belong ({error.strerror}): set XDG_STATE_HOME"
        ) from error
