"""The backend `rocksdb:DIR`: one process writes, and a commit of many units costs one fdatasync.

The law: the refs and rows that a reader sees are durable, also while a commit waits for its sync. One is looked up in
a snapshot that moves on after the sync; what the commit under way has touched is put right in a scan.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import Lock
from time import sleep
from traceback import clear_frames
from typing import Final, NamedTuple, NoReturn

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    Snapshot,
    WriteBatch,
)

from understudy.objects.ids import Id
from understudy.store.errors import Corrupt, StoreClosed, StoreError, StoreFormat, StoreFull, StoreInUse, StoreLost
from understudy.store.high_water import NAME as HIGH_WATER
from understudy.store.high_water import HighWater, Mark, read_mark
from understudy.store.keys import FEED, feed_row
from understudy.store.meta import FORMAT_ROW, check_format, new_meta
from understudy.store.port import Receipt, Unit
from understudy.store.rocksdb.log import check_logs
from understudy.store.rocksdb.loss import CURE, describe_loss, is_short, is_short_for_sure

_TRIES: Final = 8  # to open beside processes that open and close: each of them can be in the way once
_FILE_GONE: Final = re.compile(r"No such file or directory: .*")  # RocksDB's words; the rest names the file
_CURRENT: Final = "CURRENT"  # the file that every RocksDB database has, once it was made
_OPEN_HERE: Final[set[Path]] = set()  # stores that this process writes to

_OBJECTS: Final = b"o"
_REFS: Final = b"r"
_ROWS: Final = b"w"

_MIB: Final = 1024 * 1024
_MEMTABLE: Final = 16 * _MIB  # measured: 1.24 times the throughput of 64 MiB
_MEMTABLES: Final = 3  # so a crash leaves at most 48 MiB of log to read again: well under a second
_BLOCK_CACHE: Final = 16 * _MIB  # full after some 300,000 steps; what is read often is in the cache of the door
_INDEX_BLOCK: Final = 4096
_OPEN_FILES: Final = 512  # half of the usual limit of 1,024; the rest is for connections. Half of any smaller one too
_CACHED_REFS: Final = 65_536  # some 16 MB: the heads of the actors that moved last
_PAGES: Final = (64, 1024)  # keys of the first page of a scan, and of every further one

# What is in a directory when its creation was cut short. Without a CURRENT file, anything else in it is either
# not ours or what is left of a damaged store.
_BIRTH = re.compile(r"(LOCK|LOG.*|IDENTITY|MANIFEST-000001|OPTIONS-.*|.*\.dbtmp|rocksdict-config.json|lost\+found)\Z")

_MANIFEST_BLAMED = re.compile(r"The file \S.*MANIFEST-[0-9]+ may be corrupted\.")


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
            _raise_named(error, path)
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
            _raise_named(error, self._path)

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        with self._lock:
            if self._stopped is not None:
                self._refuse()
            if self._read_only:
                raise StoreError(f"{self._path} was opened for reading only")
            try:
                ready = self._prepare(units)
            except BaseException as error:
                _raise_named(error, self._path)
            if not ready.batch.is_empty():
                self._under_way = _Commit(units, range(self._feed + 1, ready.feed + 1))
                try:
                    # Not one write with sync: that holds the GIL while the disk works.
                    self._db.write(ready.batch)
                    self._db.flush_wal(True)
                    self._durable = self._db.snapshot()
                except BaseException as error:
                    # RocksDB may now hold in memory what is not on the disk: nobody shall see it.
                    self._stop(*_named(error, self._path))
                    _raise_named(error, self._path)
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

    def close(self) -> None:
        """Write what is in memory to its tables and release the store; closing twice is harmless."""
        with self._lock:
            before, closed = self._stopped, (StoreClosed, f"{self._path} was closed")
            if before == closed:
                return
            self._stop(*closed)
            try:
                _close(self._db)
            except BaseException as error:
                # Whoever saw a commit fail knows already that this store is not well.
                if before is None:
                    _raise_named(error, self._path)
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
            after: dict[bytes, bytes | None] = {}
            conflict = None
            for move in unit.moves:
                found = after[move.ref] if move.ref in after else held[move.ref]
                if found != move.expected:
                    conflict = Receipt(conflict=move, found=found)
                    break
                after[move.ref] = move.new
            if conflict is not None:
                receipts.append(conflict)
                continue
            for id, data in unit.blocks:
                # A block that is there already is written again: it is the same bytes, and to look costs more.
                put(_OBJECTS + id, data)
            for key, value in unit.rows:
                if value is None:
                    delete(_ROWS + key)
                else:
                    put(_ROWS + key, value)
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
            _raise_named(error, self._path)

    def _scan(self, table: bytes, prefix: bytes, start: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        # In pages: an iterator of RocksDB that somebody forgot would keep the database open after `close`.
        low = table + prefix
        span = _Span(low, table + start if start else _after(low) if reverse else low, b"", reverse)
        size = _PAGES[0]
        while True:
            if self._stopped is not None:
                self._refuse()
            try:
                page = _read_page(self._db, span, size)
            except BaseException as error:
                _raise_named(error, self._path)
            last = page[-1][0] if len(page) == size else None
            for key, value in page if table == _OBJECTS else self._settled(page, span, last):
                yield key[1:], value
            if last is None:
                return
            span, size = _Span(low, last, last, reverse), _PAGES[1]

    def _settled(self, page: list[tuple[bytes, bytes]], span: _Span, last: bytes | None) -> list[tuple[bytes, bytes]]:
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
            return _holds_nothing(self._db)
        except BaseException as error:
            _raise_named(error, self._path)

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


class RocksKind:
    """`rocksdb:DIRECTORY`."""

    scheme = "rocksdb"
    place = "DIRECTORY"
    lasting = True
    exclusive = True

    def open(self, place: str, *, read_only: bool = False, accept_loss: bool = False) -> RocksBackend:
        return RocksBackend(self.folder(place), read_only=read_only, accept_loss=accept_loss)

    def is_made(self, place: str) -> bool:
        return (self.folder(place) / _CURRENT).exists()

    def folder(self, place: str) -> Path:
        if not place:
            raise StoreError("'rocksdb:' wants a directory, as in rocksdb:.understudy")
        return Path(place)

    def seen_from(self, folder: Path, place: str) -> str:
        return str(folder / self.folder(place))

    def find_loss(self, place: str) -> str | None:
        return find_loss(self.folder(place))


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


class _Span(NamedTuple):
    """The keys that begin with `low`, from `at` on or back from it, without the key `skip`."""

    low: bytes
    at: bytes
    skip: bytes
    reverse: bool

    def holds(self, key: bytes, last: bytes | None) -> bool:
        if not key.startswith(self.low) or key == self.skip:
            return False
        if self.reverse:
            return key <= self.at and (last is None or key >= last)
        return key >= self.at and (last is None or key <= last)


def find_loss(path: Path) -> str | None:
    """What the store in a directory lost that it had acknowledged, as a sentence; None if it has all that is known of.

    Changes nothing. A store that another process has open is not looked at: it was when that opened it.
    """
    if path.resolve() in _OPEN_HERE or not (path / _CURRENT).exists():
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
        _make_directory(path)
    if _holds_database(path):
        ends = check_logs(path)
        if not read_only and not accept_loss and is_short(ends, read_mark(path)) and (loss := find_loss(path)):
            raise StoreLost(loss)
    elif read_only:
        raise StoreError(f"there is no store at {path}")
    if not read_only:
        _keep_private(path)
    access = AccessType.read_only() if read_only else AccessType.read_write()
    with _one_opens(path):
        return _open_beside_others(path, access)


def _open_beside_others(path: Path, access: AccessType) -> Rdict:
    """Open again where another process has just removed a file that RocksDB was about to open.

    A writer removes logs and tables that it no longer needs while it opens, works and closes. A view that read the list
    of files before that finds one gone. The list that it reads next does not name that file: one that is missing twice
    in a row is damage.
    """
    gone = ""
    for _ in range(_TRIES):
        try:
            return Rdict(str(path), options=options(), access_type=access)
        except Exception as error:
            found = _FILE_GONE.search(str(error))
            if found is None or found[0] == gone:
                raise
            gone = found[0]
    return Rdict(str(path), options=options(), access_type=access)


@contextmanager
def _one_opens(path: Path) -> Iterator[None]:
    """Keep other processes from opening the store meanwhile, for reading too.

    RocksDB moves the text log of its last run away before it takes its own lock, and removes the oldest of such logs.
    Two processes that do so at once find each other's files gone, and one of them fails. A process that closes the
    store removes such logs too, and is not kept out here: see `_open_beside_others`.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make_directory(path: Path) -> None:
    new = [level for level in (path, *path.parents) if not level.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for level in new:
        # RocksDB syncs its own directory only: after a power cut, the entry that leads to it could be missing.
        handle = os.open(level.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _open_files() -> int:
    limit = -1 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _OPEN_FILES if limit < 0 else min(_OPEN_FILES, limit // 2)


def _keep_private(path: Path) -> None:
    """Take from others what an older store, or RocksDB, lets them read: the node's secret is in it.

    RocksDB goes on making files that everybody may read, as far as the umask lets it; the folder shuts them in.
    """
    for entry, mode in ((path, 0o700), *((entry, 0o600) for entry in path.iterdir() if entry.is_file())):
        # Whoever may write here without owning it has to leave the mode to the owner; a process that is just closing
        # the store takes files of its own away.
        with suppress(PermissionError, FileNotFoundError):
            if entry.stat().st_mode & 0o077:
                entry.chmod(mode)


def _holds_database(path: Path) -> bool:
    names = sorted(entry.name for entry in path.iterdir())
    if _CURRENT in names:
        _check_mode(path / "rocksdict-config.json")
        return True
    strange = [name for name in names if not _BIRTH.match(name)]
    if any(name.endswith((".sst", ".log")) or name == HIGH_WATER for name in strange):
        # RocksDB would make a new, empty database over the old one.
        raise Corrupt(f"{path / _CURRENT} is missing, and there is data beside it: restore the file from a copy")
    if strange:
        raise StoreFormat(
            f"{path} is not empty (there is {strange[0]!r}) and holds no Understudy store: choose a new directory"
        )
    return False


def _check_mode(config: Path) -> None:
    # rocksdict would open the database all the same, after it has overwritten what says how to read it.
    if config.exists() and b'"raw_mode":false' in config.read_bytes():
        raise StoreFormat(f"{config.parent} holds a rocksdict database, but no Understudy store: choose another place")


def _read_page(db: Rdict, span: _Span, size: int) -> list[tuple[bytes, bytes]]:
    low, at, skip, reverse = span
    found: list[tuple[bytes, bytes]] = []
    # Without this bound, a scan that finds little would walk over everything that was deleted behind it.
    # A lower bound would be as good backwards, but rocksdict 0.3.29 sets the upper one instead.
    bounds = ReadOptions()
    bounds.set_iterate_upper_bound(_after(low))
    cursor = db.iter(bounds)
    if reverse:
        cursor.seek_for_prev(at)
    else:
        cursor.seek(max(at, low))
    step = cursor.prev if reverse else cursor.next
    while len(found) < size and cursor.valid():
        key = cursor.key()
        if not key.startswith(low):
            break
        if key != skip:
            found.append((key, cursor.value()))
        step()
    # A cursor ends in the same way after the last key and at a block that it could not read.
    cursor.status()
    return found


def _holds_nothing(db: Rdict) -> bool:
    cursor = db.iter()
    cursor.seek_to_first()
    cursor.status()
    return not cursor.valid()


def _close(db: Rdict) -> None:
    while True:
        try:
            return db.close()
        except RuntimeError as error:
            # A thread is in the middle of a read. It is the last one: nobody begins another.
            if "borrowed" not in str(error):
                raise
            sleep(0.0005)


def options() -> Options:
    """What a store is opened with; also for a measurement of RocksDB alone, with the same settings."""
    table = BlockBasedOptions()
    table.set_format_version(6)  # from 6 on, footers and the place of a block are under a checksum too
    table.set_bloom_filter(10, False)
    table.set_block_cache(Cache(_BLOCK_CACHE))
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    # In pieces: a whole index and filter of a file is a megabyte, and a look far back would push out all others.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(_INDEX_BLOCK)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_paranoid_checks(True)
    # The default mode drops all that follows a flipped bit, silently; this one refuses it, and forgives a record
    # that was never finished. What it cannot tell apart, check_logs does.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_write_buffer_size(_MEMTABLE)
    options.set_max_write_buffer_number(_MEMTABLES)
    options.set_max_total_wal_size(_MEMTABLES * _MEMTABLE)
    options.set_max_manifest_file_size(4 * _MIB)
    options.set_max_open_files(_open_files())
    options.set_keep_log_file_num(4)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _after(prefix: bytes) -> bytes:
    """The first key behind all that begin with the prefix, which begins with a letter of a table."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1])


def _raise_named(error: BaseException, path: Path) -> NoReturn:
    """Raise what rocksdict or the system raised as an error of ours; what is neither passes as it is."""
    if _is_foreign(error):
        # Whoever keeps the error would keep a cursor in one of its frames, and with it the database open.
        clear_frames(error.__traceback__)
        kind, text = _named(error, path)
        raise kind(text) from error
    raise error


def _is_foreign(error: BaseException) -> bool:
    # rocksdict raises plain Exceptions with RocksDB's text; a panic of its Rust code is a BaseException.
    if isinstance(error, RuntimeError):
        return "borrowed" in str(error)
    return type(error) is Exception or isinstance(error, OSError | DbClosedError) or _is_panic(error)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


def _beside_the_manifest(text: str) -> str:
    # RocksDB blames the manifest for all that goes wrong while it loads what the manifest lists: for the properties
    # of a table too, which it parses before it looks at their checksum. We have checked the manifest's records.
    if ".sst" in text or not _MANIFEST_BLAMED.search(text):
        return ""
    return " Its records match their checksums: it was cut short, or the damage is in a table beside it (*.sst)"


def _named(error: BaseException, path: Path) -> tuple[type[StoreError], str]:
    text = str(error)
    if isinstance(error, DbClosedError | RuntimeError):
        return StoreClosed, f"{path} was closed"
    if "lock hold by current process" in text or ("While lock file" in text and "temporarily unavailable" in text):
        return StoreInUse, f"{path} is in use by another process: stop it, or talk to it instead"
    if any(sign in text for sign in ("No space left on device", "File too large", "Disk quota exceeded")):
        return StoreFull, f"{path}: the disk is full. Nothing that was acknowledged is lost: free space and start again"
    if any(sign in text for sign in ("Permission denied", "Read-only file system", "Operation not permitted")):
        return StoreError, f"{path} cannot be written ({text}): make it writable, or choose another --store"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreError, f"{path} is no directory and cannot become one ({text}): choose another --store"
    if "Corruption" in text or ("No such file or directory" in text and ".sst" in text):
        return Corrupt, f"{path} is damaged: {text}{_beside_the_manifest(text)}"
    if text.startswith("Invalid argument"):
        return StoreFormat, f"{path} holds a RocksDB database, but no Understudy store: {text}"
    if _is_panic(error):
        return StoreError, f"{path}: RocksDB's library failed: {text}"
    return StoreError, f"{path}: {text or type(error).__name__}"
