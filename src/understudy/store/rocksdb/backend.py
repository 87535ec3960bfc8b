"""The backend `rocksdb:DIR`: one process writes, and a commit of many units costs one fdatasync.

The law: the refs and rows that a reader sees are durable, also while a commit waits for its sync. One is looked up in
a snapshot that moves on after the sync; what the commit under way has touched is put right in a scan.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, NoReturn

from rocksdict import (
    Rdict,
    Snapshot,
    WriteBatch,
)

from understudy.objects.ids import Id
from understudy.store.clock import system_time_us
from understudy.store.errors import StoreClosed, StoreError, StoreFormat, StoreLost
from understudy.store.high_water import HighWater, Mark, read_mark
from understudy.store.keys import FEED, feed_row
from understudy.store.loss import describe_loss
from understudy.store.meta import FORMAT_ROW, check_format, new_meta
from understudy.store.moves import try_moves
from understudy.store.port import Receipt, Unit
from understudy.store.rocksdb.database import close_database, holds_nothing, open_database
from understudy.store.rocksdb.errors import named, raise_named
from understudy.store.rocksdb.folder import CURRENT, holds_database, keep_private, make_directory
from understudy.store.rocksdb.log import check_logs
from understudy.store.rocksdb.loss import CURE, is_short, is_short_for_sure
from understudy.store.rocksdb.scan import Span, after, read_page

_OPEN_HERE: Final[set[Path]] = set()  # stores that this process writes to

_OBJECTS: Final = b"o"
_REFS: Final = b"r"
_ROWS: Final = b"w"

_CACHED_REFS: Final = 65_536  # some 16 MB: the heads of the actors that moved last
_PAGES: Final = (64, 1024)  # keys of the first page of a scan, and of every further one


class RocksBackend:
    """The store in the directory `path`, made if there is none.

    With `read_only` it is a view of what was there at opening, also of a store that a node is serving; the directory
    must be writable all the same, as rocksdict writes its own configuration into it.
    Raises StoreInUse, StoreFormat, StoreFull, StoreLost, Corrupt, StoreError. With `accept_loss` a store that lost its
    end is opened all the same, and its end is from then on where it is found. A view does not look for the end.

    After a commit that the disk refused, every call raises that error until the store is opened again. When the disk
    took the bytes and failed in the sync itself, the units of that commit may all be there then.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        accept_loss: bool = False,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        mark = None if read_only or accept_loss else read_mark(path)
        self._path = path
        self._read_only = read_only
        self._lock = Lock()
        self._stopped: tuple[type[StoreError], str] | None = None
        self._recent: dict[bytes, bytes] = {}
        self._feed = 0
        self._last_step: bytes | None = None
        self._high_water: HighWater | None = None
        self._under_way = _Commit((), range(0))
        try:
            self._db = _open(path, read_only=read_only, accept_loss=accept_loss)
            self._durable: Snapshot | None = self._db.snapshot()
        except BaseException as error:
            raise_named(error, path)
        try:
            self._describe(entropy, may_be_new=not (read_only or accept_loss))
            self._feed = self._last_feed_number()
            if mark is not None and self._is_before(mark):
                raise StoreLost(f"{path} {describe_loss(self._feed_numbers(), mark)}. {CURE}")
        except BaseException:
            self.close()
            raise
        if not read_only:
            _OPEN_HERE.add(path.resolve())
            self._last_step = self.row(feed_row(self._feed))
            self._high_water = HighWater(path)
            self._write_mark()

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        if self._stopped is not None:
            self._refuse()
        try:
            if len(ids) == 1:
                return [self._db.get(_OBJECTS + ids[0])]
            return self._values([_OBJECTS + id for id in ids])
        except BaseException as error:
            raise_named(error, self._path)

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        with self._lock:
            if self._stopped is not None:
                self._refuse()
            if self._read_only:
                raise StoreError(f"{self._path} was opened for reading only")
            try:
                ready = self._prepare(units)
            except BaseException as error:
                raise_named(error, self._path)
            if not ready.batch.is_empty():
                self._under_way = _Commit(units, range(self._feed + 1, ready.feed + 1))
                try:
                    # Not one write with sync: that holds the GIL while the disk works.
                    self._db.write(ready.batch)
                    self._db.flush_wal(True)
                    self._durable = self._db.snapshot()
                except BaseException as error:
                    # RocksDB may now hold in memory what is not on the disk: no reader may see it.
                    self._stop(*named(error, self._path))
                    raise_named(error, self._path)
                self._under_way = _Commit((), range(0))
                self._feed = ready.feed
                self._remember(ready.moved)
                self._last_step = ready.last or self._last_step
                self._write_mark()
            return ready.receipts

    def ref(self, name: bytes) -> bytes | None:
        recent = self._recent.get(name)
        return self._value(_REFS + name) if recent is None else recent

    def row(self, key: bytes) -> bytes | None:
        return self._value(_ROWS + key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._scan(_REFS, prefix, start, reverse=False)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._scan(_ROWS, prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        return (Id(key) for key, _ in self._scan(_OBJECTS, b"", b"", reverse=False))

    def now(self) -> int:
        if self._stopped is not None:
            self._refuse()
        return system_time_us()

    def close(self) -> None:
        """Write what is in memory to its tables and release the store; closing twice is harmless."""
        with self._lock:
            before, closed = self._stopped, (StoreClosed, f"{self._path} was closed")
            if before == closed:
                return
            self._stop(*closed)
            try:
                close_database(self._db)
            except BaseException as error:
                # A failed commit was reported already.
                if before is None:
                    raise_named(error, self._path)
            finally:
                _OPEN_HERE.discard(self._path.resolve())
                if self._high_water is not None:
                    self._high_water.close()

    def _prepare(self, units: Sequence[Unit]) -> _Ready:
        held = self._held_refs(units)
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        feed, last, receipts = self._feed, None, []
        moved: dict[bytes, bytes | None] = {}
        for unit in units:
            after, conflict = try_moves(unit.moves, held)
            if conflict is not None:
                receipts.append(conflict)
                continue
            for block in unit.blocks:
                # A block that is there already is written again: it is the same bytes, and to look costs more.
                put(_OBJECTS + block.id, block.data)
            for row in unit.rows:
                if row.value is None:
                    delete(_ROWS + row.key)
                else:
                    put(_ROWS + row.key, row.value)
            receipts.append(Receipt(feed=feed + 1 if unit.feed else 0))
            for step in unit.feed:
                feed, last = feed + 1, step
                put(_ROWS + feed_row(feed), step)
            held.update(after)
            moved.update(after)
        # Once for each ref: a busy actor moves its head a hundred times in one commit.
        for ref, value in moved.items():
            if value is None:
                delete(_REFS + ref)
            else:
                put(_REFS + ref, value)
        return _Ready(batch, moved, feed, last, receipts)

    def _held_refs(self, units: Sequence[Unit]) -> dict[bytes, bytes | None]:
        held: dict[bytes, bytes | None] = {}
        unknown: list[bytes] = []
        for move in chain.from_iterable(unit.moves for unit in units):
            if move.ref not in held:
                held[move.ref] = found = self._recent.get(move.ref)
                if found is None:
                    unknown.append(move.ref)
        if unknown:
            held.update(zip(unknown, self._values([_REFS + ref for ref in unknown]), strict=True))
        return held

    def _values(self, keys: list[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = self._db.get(keys)  # type: ignore[assignment,arg-type]
        return values

    def _remember(self, moved: dict[bytes, bytes | None]) -> None:
        # Nothing but a commit fills this: a reader could put back a value from before a move.
        recent = self._recent
        for ref, value in moved.items():
            recent.pop(ref, None)
            if value is not None:
                recent[ref] = bytes(value)
        while len(recent) > _CACHED_REFS:
            del recent[next(iter(recent))]

    def _value(self, key: bytes) -> bytes | None:
        try:
            value: bytes = self._snapshot()[key]
            return value
        except BaseException as error:
            if type(error) is Exception and error.args == ("key not found",):
                return None
            raise_named(error, self._path)

    def _scan(self, table: bytes, prefix: bytes, start: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        # In pages: an iterator of RocksDB that somebody forgot would keep the database open after `close`.
        low = table + prefix
        span = Span(low, table + start if start else after(low) if reverse else low, b"", reverse)
        size = _PAGES[0]
        while True:
            if self._stopped is not None:
                self._refuse()
            try:
                page = read_page(self._db, span, size)
            except BaseException as error:
                raise_named(error, self._path)
            last = page[-1][0] if len(page) == size else None
            for key, value in page if table == _OBJECTS else self._settled(page, span, last):
                yield key[1:], value
            if last is None:
                return
            span, size = Span(low, last, last, reverse), _PAGES[1]

    def _settled(self, page: list[tuple[bytes, bytes]], span: Span, last: bytes | None) -> list[tuple[bytes, bytes]]:
        # An iterator sees what is written and not yet synced, and rocksdict 0.3.29 has none over a snapshot. Only
        # one commit is under way at a time, so what it does not touch was durable when the page was read.
        touched = [key for key in self._under_way.touched() if span.holds(key, last)]
        if not touched:
            return page
        rows = dict(page)
        for key in touched:
            value = self._value(key)
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        return sorted(rows.items(), reverse=span.reverse)

    def _describe(self, entropy: Callable[[int], bytes], *, may_be_new: bool) -> None:
        found = self.row(FORMAT_ROW)
        if found is None and may_be_new and self._is_empty():
            self.commit([Unit(rows=new_meta(entropy))])
        else:
            check_format(found, where=str(self._path))

    def _is_empty(self) -> bool:
        try:
            return holds_nothing(self._db)
        except BaseException as error:
            raise_named(error, self._path)

    def _last_feed_number(self) -> int:
        return next(self._feed_numbers(reverse=True), 0)

    def _feed_numbers(self, *, reverse: bool = False) -> Iterator[int]:
        return (int.from_bytes(key[len(FEED) :], "big") for key, _ in self.rows(FEED, reverse=reverse))

    def _is_before(self, mark: Mark) -> bool:
        """True if the store does not hold what the mark says; then it is another one, or an older copy."""
        found = self.row(feed_row(mark.feed))
        return self._db.latest_sequence_number() < mark.sequence or mark.step != (found and str(Id(found)))

    def _write_mark(self) -> None:
        if self._high_water is None:
            return
        step = None if self._last_step is None else str(Id(self._last_step))
        self._high_water.write(Mark(feed=self._feed, step=step, sequence=self._db.latest_sequence_number()))

    def _snapshot(self) -> Snapshot:
        snapshot = self._durable
        if snapshot is None:
            self._refuse()
        return snapshot

    def _stop(self, kind: type[StoreError], text: str) -> None:
        self._stopped = kind, text
        self._durable = None
        self._recent.clear()

    def _refuse(self) -> NoReturn:
        kind, text = self._stopped or (StoreClosed, f"{self._path} was closed")
        raise kind(text)


class _Ready(NamedTuple):
    batch: WriteBatch
    moved: dict[bytes, bytes | None]
    feed: int
    last: bytes | None
    receipts: list[Receipt]


class _Commit(NamedTuple):
    units: Sequence[Unit]
    feed: range

    def touched(self) -> Iterator[bytes]:
        for unit in self.units:
            for move in unit.moves:
                yield _REFS + move.ref
            for row in unit.rows:
                yield _ROWS + row.key
        for number in self.feed:
            yield _ROWS + feed_row(number)


def find_loss(path: Path) -> str | None:
    """What the store in a directory lost that it had acknowledged, as a sentence; None if it has all that is known of.

    Changes nothing. A store that another process has open is not looked at: it was when that opened it.
    """
    if path.resolve() in _OPEN_HERE or not (path / CURRENT).exists():
        return None
    mark = read_mark(path)
    if not is_short(check_logs(path), mark) or not is_short_for_sure(path):
        return None
    try:
        view = RocksBackend(path, read_only=True)
    except StoreFormat:
        # Not even the row is left that says what it is.
        return f"{path} {describe_loss((), mark)}. {CURE}"
    try:
        return f"{path} {describe_loss(view._feed_numbers(), mark)}. {CURE}"
    finally:
        view.close()


def _open(path: Path, *, read_only: bool, accept_loss: bool) -> Rdict:
    if read_only and not path.is_dir():
        raise StoreError(f"there is no store at {path}")
    if not read_only:
        make_directory(path)
    if holds_database(path):
        ends = check_logs(path)
        if not read_only and not accept_loss and is_short(ends, read_mark(path)) and (loss := find_loss(path)):
            raise StoreLost(loss)
    elif read_only:
        raise StoreError(f"there is no store at {path}")
    if not read_only:
        keep_private(path)
    return open_database(path, read_only=read_only)
