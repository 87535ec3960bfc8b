"""What disks, users and kill -9 do to a RocksDB store: every committed fact is read back, or the damage is named.

Tests of store/rocksdb/log.py, store/rocksdb/ends.py, store/rocksdb/loss.py, store/rocksdb/errors.py, store/rocksdb/folder.py and
store/rocksdb/options.py.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread

import pytest
from rocksdict import Options, Rdict

from tests.node.living import Living
from understudy.node.errors import NodeFailed
from understudy.objects.codec import raw_block
from understudy.objects.ids import StepId
from understudy.store.errors import Corrupt, StoreClosed, StoreError, StoreFormat, StoreFull, StoreInUse, StoreLost
from understudy.store.fsck import fsck
from understudy.store.keys import FEED, feed_row
from understudy.store.meta import FORMAT_ROW
from understudy.store.port import Move, Row, Unit
from understudy.store.rocksdb import database
from understudy.store.rocksdb.backend import RocksBackend, find_loss
from understudy.store.rocksdb.log import check_logs
from understudy.store.rocksdb.options import options


def unit(number, size=100):
    """A unit whose every part names its number."""
    block = raw_block(random.Random(number).randbytes(size))
    name = b"%06d" % number
    return Unit(
        blocks=[block],
        moves=[Move(b"head/" + name, None, block.id)],
        rows=[Row(b"i" + name, b"v")],
        feed=[StepId(block.id)],
    )


def facts(store):
    """Everything that a store holds, by every way to ask."""
    ids = list(store.ids())
    return (
        dict(zip(ids, store.get(ids), strict=True)),
        {ref: store.ref(ref) for ref, _ in store.refs(b"")},
        dict(store.refs(b"")),
        {key: store.row(key) for key, _ in store.rows(b"")},
        dict(store.rows(b"", reverse=True)),
    )


def lookups(store, known):
    """The same facts, asked for by name and not found by scanning."""
    blocks, refs, _, rows, _ = known
    return (
        dict(zip(blocks, store.get(list(blocks)), strict=True)),
        {ref: store.ref(ref) for ref in refs},
        {key: store.row(key) for key in rows},
    )


def lookups_in(found, known):
    """What `lookups` has to say of a store in which these facts were found."""
    return tuple({key: found[table].get(key) for key in known[table]} for table in (0, 1, 3))


class Crashed:
    """A store as a process left it that was killed: two tables, and a log whose every record was synced."""

    def __init__(self, directory):
        self.path = directory / "crashed"
        self._copy = directory / "copy"
        live = directory / "live"
        for numbers, size in ((range(40), 300), (range(40, 80), 100)):
            store = RocksBackend(live)
            store.commit([unit(number, size) for number in numbers])
            store.close()
        store = RocksBackend(live)
        sizes = [(80, 300), (81, 90_000), (82, 20), (83, 20), (84, 20)]
        self.log_sizes, self.marks = [], []
        for number, size in sizes:
            store.commit([unit(number, size)])
            self.log_sizes.append(sum(path.stat().st_size for path in live.glob("*.log")))
            self.marks.append((live / "high-water").read_bytes())
        self.facts = facts(store)
        shutil.copytree(live, self.path)
        store.close()
        (self.log,) = [path.name for path in self.path.glob("*.log") if path.stat().st_size]

    def files(self):
        return sorted(path.name for path in self.path.iterdir() if not path.name.startswith(("LOG", "LOCK")))

    def copy(self):
        shutil.rmtree(self._copy, ignore_errors=True)
        return Path(shutil.copytree(self.path, self._copy))

    def after(self, change, name, mark=-1):
        """What opening and reading everything gives when the bytes of one file were changed: facts, or the error.

        The high-water mark is that of the last commit, or of an earlier one: then what follows was never acknowledged.
        """
        copy = self.copy()
        (copy / "high-water").write_bytes(self.marks[mark])
        data = bytearray((copy / name).read_bytes())
        change(data)
        (copy / name).write_bytes(data)
        try:
            store = RocksBackend(copy)
        except StoreError as error:
            return error
        try:
            found = facts(store)
            assert lookups(store, self.facts) == lookups_in(found, self.facts)
            return found
        except StoreError as error:
            return error
        finally:
            store.close()


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    return Crashed(tmp_path_factory.mktemp("crashed"))


def test_a_store_that_was_killed_has_all_that_was_committed(crashed):
    assert crashed.after(lambda data: None, crashed.log) == crashed.facts


def headers(data, block=32 * 1024):
    """Where the records of a log begin."""
    at, found = 0, []
    while len(data) - at >= 7:
        if block - at % block < 7:
            at += block - at % block
            continue
        found.append(at)
        at += 7 + int.from_bytes(data[at + 4 : at + 6], "little")
    return found


def test_every_flipped_bit_in_the_headers_near_the_end_of_the_log_is_found_and_named(crashed):
    data = (crashed.path / crashed.log).read_bytes()
    for at in headers(data)[-3:]:
        for bit in range(7 * 8):

            def flip(data, position=at + bit // 8, mask=1 << bit % 8):
                data[position] ^= mask

            found = crashed.after(flip, crashed.log)
            assert isinstance(found, Corrupt), (at, bit)
            assert crashed.log in str(found)


def test_every_other_length_in_the_last_header_is_found(crashed):
    copy = crashed.copy()
    data = bytearray((copy / crashed.log).read_bytes())
    at = headers(data)[-1]
    true = int.from_bytes(data[at + 4 : at + 6], "little")
    for length in range(0, 65536, 97):
        data[at + 4 : at + 6] = length.to_bytes(2, "little")
        (copy / crashed.log).write_bytes(data)
        if length != true:
            with pytest.raises(Corrupt):
                check_logs(copy)


def test_every_flipped_bit_in_the_headers_of_the_manifest_is_found_and_named(crashed):
    (manifest,) = [name for name in crashed.files() if name.startswith("MANIFEST")]
    for at in headers((crashed.path / manifest).read_bytes()):
        for bit in range(7 * 8):

            def flip(data, position=at + bit // 8, mask=1 << bit % 8):
                data[position] ^= mask

            found = crashed.after(flip, manifest)
            assert isinstance(found, Corrupt), (at, bit)
            assert manifest in str(found)


def is_named(file, error):
    """Whether the error names the file; of a table's properties RocksDB does not say whose they are."""
    text = str(error)
    return file in text or (
        file.endswith(".sst") and "properties unsorted" in text and "in a table beside it (*.sst)" in text
    )


def test_a_table_whose_properties_are_damaged_is_not_put_down_to_the_manifest_alone(crashed):
    for table in (name for name in crashed.files() if name.endswith(".sst")):
        # The first name in the table's block of properties, behind what all these names begin with.
        first = (crashed.path / table).read_bytes().index(b"rocksdb.") + len(b"rocksdb.")
        unnamed = []
        for mask in (1 << bit for bit in range(8)):

            def change(data, mask=mask, position=first):
                data[position] ^= mask

            found = crashed.after(change, table)
            assert isinstance(found, Corrupt) and is_named(table, found), (table, mask, found)
            if table not in str(found):
                unnamed.append(mask)
        assert unnamed, table


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_byte_in_any_file_is_named_or_changes_no_answer(crashed, seed):
    chance = random.Random(seed)
    for name in crashed.files():
        size = (crashed.path / name).stat().st_size
        for _ in range(12):
            position = max(0, size - 1 - chance.randrange(80)) if chance.random() < 0.4 else chance.randrange(size)
            mask = 1 << chance.randrange(8) if chance.random() < 0.7 else chance.randrange(1, 256)

            def change(data, position=position, mask=mask):
                data[position] ^= mask

            found = crashed.after(change, name)
            where = (name, position, mask)
            if isinstance(found, StoreError):
                assert isinstance(found, Corrupt) and is_named(name, found), where
            else:
                assert found == crashed.facts, where
                assert name.startswith(("IDENTITY", "OPTIONS", "rocksdict-config", "high-water")), where


def test_a_log_that_was_cut_anywhere_in_its_last_record_opens_with_all_before_it(crashed):
    *_, before, whole = crashed.log_sizes
    for length in (*range(before, before + 9), *range(before + 9, whole, 5), whole - 1):
        found = crashed.after(lambda data, length=length: data.__delitem__(slice(length, None)), crashed.log, mark=-2)
        assert not isinstance(found, StoreError), (length, found)
        assert set(crashed.facts[1]) - set(found[1]) == {b"head/000084"}
        assert len(found[0]) == len(crashed.facts[0]) - 1
        assert feed_row(84) in found[3] and feed_row(85) not in found[3]


@pytest.fixture
def cut(crashed):
    def cut_to(length, mark=-1):
        return crashed.after(lambda data: data.__delitem__(slice(length, None)), crashed.log, mark)

    return cut_to


def test_a_log_that_was_cut_in_a_record_of_many_blocks_opens_with_all_before_it(crashed, cut):
    first, second, *_ = crashed.log_sizes
    for length in range(first, second, 4099):
        found = cut(length, mark=0)
        assert not isinstance(found, StoreError), (length, found)
        assert b"head/000080" in found[1] and b"head/000081" not in found[1]


def test_a_log_that_was_cut_anywhere_says_which_acknowledged_steps_are_gone(crashed, cut):
    sizes = crashed.log_sizes
    for length in (0, 1, *range(100, sizes[-1], 3001), *(size - 1 for size in sizes), *sizes[:-1]):
        left = 80 + sum(size <= length for size in sizes)
        found = cut(length)
        assert isinstance(found, StoreLost), (length, found)
        gone = "85" if left == 84 else f"{left + 1} to 85"
        assert f"feed numbers {gone} are gone" in str(found), length


def test_a_mark_that_is_torn_or_gone_accuses_no_store(crashed, cut):
    *_, before, whole = crashed.marks
    for mark in (b"", whole[:100], whole[:100] + before[100:], bytes(256), b"?" * 256):
        crashed.marks.append(mark)
        try:
            assert not isinstance(cut(crashed.log_sizes[-2]), StoreError)
        finally:
            crashed.marks.pop()


def test_a_message_that_was_accepted_and_is_gone_is_missed_though_it_made_no_step(tmp_path):
    store = RocksBackend(tmp_path / "store")
    store.commit([unit(1)])
    size = sum(path.stat().st_size for path in (tmp_path / "store").glob("*.log"))
    store.commit([Unit(rows=[Row(b"i1", b"v")])])
    (log,) = shutil.copytree(tmp_path / "store", tmp_path / "copy").glob("*.log")
    store.close()
    os.truncate(log, size)
    with pytest.raises(StoreLost, match="no step is gone"):
        RocksBackend(tmp_path / "copy")


def test_a_store_goes_on_without_what_it_lost_once_that_is_accepted(crashed):
    copy = crashed.copy()
    os.truncate(copy / crashed.log, crashed.log_sizes[2])
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    for _ in range(2):
        with pytest.raises(StoreLost, match=r"84 to 85 are gone.*--accept-loss"):
            RocksBackend(copy)
        assert "84 to 85" in str(find_loss(copy))
    after = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} <= {"LOG", "rocksdict-config.json"}
    RocksBackend(copy, read_only=True).close()
    RocksBackend(copy, accept_loss=True).close()
    store = RocksBackend(copy)
    assert store.commit([unit(200)])[0].feed == 84
    store.close()
    assert find_loss(copy) is None


@pytest.fixture(scope="module")
def flushed(tmp_path_factory):
    """A killed store that wrote tables while it was open, so that its manifest has many records; and its facts."""
    live = tmp_path_factory.mktemp("flushed") / "live"
    store = RocksBackend(live)
    for number in range(24):
        store.commit([unit(number, 2000)])
        if number % 6 == 5 and number < 20:
            store._db.flush()
    store.commit([unit(24)])
    copy = shutil.copytree(live, live.parent / "killed")
    found = facts(store)
    store.close()
    clean = shutil.copytree(live, live.parent / "clean")
    return {"killed": copy, "clean": clean}, found


@pytest.mark.parametrize("end", ["killed", "clean"])
def test_a_manifest_that_was_cut_anywhere_loses_nothing_in_silence(flushed, tmp_path, end):
    stores, whole = flushed
    manifest = (stores[end] / "CURRENT").read_text().strip()
    size = (stores[end] / manifest).stat().st_size
    lost = 0
    ends = headers((stores[end] / manifest).read_bytes())
    for length in sorted({*ends, *(at + 3 for at in ends), *(at - 1 for at in ends[1:]), size - 1}):
        copy = Path(shutil.copytree(stores[end], tmp_path / str(length)))
        os.truncate(copy / manifest, length)
        try:
            store = RocksBackend(copy)
        except StoreLost:
            lost += 1
        except Corrupt:
            continue
        else:
            assert facts(store) == whole, length
            store.close()
        shutil.rmtree(copy)
    assert lost >= 3


ROTATING = """
import os, random, sys
from pathlib import Path
from understudy.objects.codec import raw_block
from understudy.store.rocksdb import backend, database
from understudy.store.port import Unit

made = database.options
def small():
    options = made()
    options.set_write_buffer_size(65536)
    return options
database.options = small
store = backend.RocksBackend(Path(sys.argv[1]))
chance = random.Random(int(sys.argv[2]))
for _ in range(chance.randrange(60)):
    block = raw_block(chance.randbytes(20_000))
    store.commit([Unit(blocks=[block], feed=[block.id])])
os._exit(9)
"""


def test_no_crash_is_taken_for_a_loss_while_logs_and_tables_come_and_go(tmp_path):
    for turn in range(12):
        with python(ROTATING, tmp_path / "store", turn) as writer:
            writer.wait()
        assert writer.returncode == 9
    store = RocksBackend(tmp_path / "store")
    assert len(list(store.rows(FEED))) == len(list(store.ids()))
    store.close()


def test_a_view_beside_a_living_store_and_a_second_writer_see_no_loss(tmp_path):
    store = RocksBackend(tmp_path / "store")
    for number in range(5):
        store.commit([unit(number)])
        assert find_loss(tmp_path / "store") is None
        RocksBackend(tmp_path / "store", read_only=True).close()
    script = """
import sys
from pathlib import Path
from understudy.store.rocksdb.backend import find_loss
print(find_loss(Path(sys.argv[1])))
"""
    (log,) = (path for path in (tmp_path / "store").glob("*.log") if path.stat().st_size)
    kept = log.read_bytes()
    os.truncate(log, 100)
    with python(script, tmp_path / "store") as other:
        assert other.stdout.read() == "None\n"
    log.write_bytes(kept)
    # The lock is still ours.
    with pytest.raises(StoreInUse):
        RocksBackend(tmp_path / "store")
    store.close()


def test_a_store_whose_tables_were_put_back_from_an_older_copy_says_so(tmp_path):
    path = tmp_path / "store"
    RocksBackend(path).close()
    shutil.copytree(path, tmp_path / "older")
    store = RocksBackend(path)
    store.commit([unit(1)])
    store.close()
    shutil.copy(path / "high-water", tmp_path / "older" / "high-water")
    with pytest.raises(StoreLost, match="feed numbers 1 are gone"):
        RocksBackend(tmp_path / "older")


def test_a_log_that_ends_in_zeros_opens_and_zeros_before_a_record_do_not(crashed):
    def append(data):
        data.extend(bytes(4096))

    def wipe_a_header(data):
        data[crashed.log_sizes[-2] : crashed.log_sizes[-2] + 7] = bytes(7)

    assert crashed.after(append, crashed.log) == crashed.facts
    assert isinstance(crashed.after(wipe_a_header, crashed.log), Corrupt)


def test_a_store_without_its_current_file_is_not_taken_for_a_new_one(crashed):
    copy = crashed.copy()
    (copy / "CURRENT").unlink()
    for read_only in (False, True):
        with pytest.raises(Corrupt, match="CURRENT"):
            RocksBackend(copy, read_only=read_only)


def test_a_table_that_is_gone_is_missed(crashed):
    copy = crashed.copy()
    table = min(copy.glob("*.sst"))
    table.unlink()
    with pytest.raises(Corrupt, match=table.stem):
        facts(RocksBackend(copy))


def python(script, *arguments, **how):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **how
    )


WRITER = """
import sys
from pathlib import Path
from understudy.objects.codec import raw_block
from understudy.store.port import Move, Row, Unit
from understudy.store.rocksdb.backend import RocksBackend

store = RocksBackend(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    units = []
    for number in range(number + 1, number + 4):
        name = b"%06d" % number
        blocks = [raw_block(name + bytes([part]) * 700) for part in range(3)]
        moves = [Move(b"head/" + name, None, blocks[0].id)]
        units.append(Unit(blocks=blocks, moves=moves, rows=[Row(b"i" + name, b"v")], feed=[blocks[0].id]))
    receipts = store.commit(units)
    print(number, receipts[-1].feed, flush=True)
"""


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    path, acknowledged = tmp_path / "store", 0
    for commits in (1, 40, 7, 150):
        with python(WRITER, path, acknowledged) as writer:
            for _ in range(commits):
                acknowledged, feed = map(int, writer.stdout.readline().split())
            writer.kill()
            # What it printed before it died and we have not read was acknowledged too.
            for line in writer.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    acknowledged, feed = map(int, line.split())
        store = RocksBackend(path)
        heads = dict(store.refs(b"head/"))
        assert len(heads) >= acknowledged == feed
        for number in range(1, len(heads) + 1):
            name = b"%06d" % number
            blocks = [raw_block(name + bytes([part]) * 700) for part in range(3)]
            assert store.get([block.id for block in blocks]) == [block.data for block in blocks]
            assert store.row(b"i" + name) == b"v"
            assert heads[b"head/" + name] == store.row(feed_row(number)) == blocks[0].id
        assert len(list(store.rows(FEED))) == len(heads)
        acknowledged = len(heads)
        store.close()


FILLER = """
import resource, sys
from pathlib import Path
from understudy.objects.codec import raw_block
from understudy.store.errors import StoreFull
from understudy.store.port import Move, Unit
from understudy.store.rocksdb.backend import RocksBackend

store = RocksBackend(Path(sys.argv[1]))
# A file that may not grow stands for a disk that is full: both refuse the write.
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
number = 0
try:
    while True:
        number += 1
        block = raw_block(b"%d" % number + bytes(5000))
        store.commit([Unit(blocks=[block], moves=[Move(b"name/%d" % number, None, block.id)], feed=[block.id])])
        print(number, flush=True)
except StoreFull as error:
    assert "free space" in str(error)
for use in (
    lambda: store.commit([Unit(feed=[block.id])]), lambda: store.ref(b"name/1"), lambda: store.get([block.id]),
    lambda: list(store.rows(b"")),
):
    try:
        use()
    except StoreFull:
        print("full", flush=True)
if sys.argv[2] == "close":
    store.close()
else:
    import os
    os._exit(0)
"""


@pytest.mark.parametrize("end", ["close", "die"])
def test_a_full_disk_refuses_and_keeps_all_that_it_acknowledged(tmp_path, end):
    with python(FILLER, tmp_path / "store", end) as filler:
        lines = filler.stdout.read().split()
    assert filler.returncode == 0
    assert lines[-4:] == ["full"] * 4
    acknowledged = list(map(int, lines[:-4]))
    assert len(acknowledged) > 10
    store = RocksBackend(tmp_path / "store")
    assert len(list(store.refs(b"name/"))) == len(list(store.ids())) == len(acknowledged)
    for number in acknowledged:
        block = raw_block(b"%d" % number + bytes(5000))
        assert store.get([block.id]) == [block.data]
        assert store.ref(b"name/%d" % number) == store.row(feed_row(number)) == block.id
    assert store.commit([Unit(feed=[StepId(block.id)])])[0].feed == len(acknowledged) + 1
    store.close()


class ForgetfulDisk:
    """The database of a backend, on a disk that keeps of each log what it had at the last sync."""

    def __init__(self, database, store):
        self._database, self._store = database, store
        self._synced = {}

    def __getattr__(self, name):
        return getattr(self._database, name)

    def flush_wal(self, sync):
        self._database.flush_wal(sync)
        if sync:
            self._synced = {log.name: log.stat().st_size for log in self._store.glob("*.log")}

    def lose_power(self, copy):
        shutil.copytree(self._store, copy)
        for log in copy.glob("*.log"):
            os.truncate(log, self._synced.get(log.name, 0))


def test_what_was_acknowledged_survives_a_disk_that_forgets_what_was_not_synced(tmp_path, monkeypatch):
    store = RocksBackend(tmp_path / "store")
    disk = ForgetfulDisk(store._db, tmp_path / "store")
    monkeypatch.setattr(store, "_db", disk)
    for number in range(4):
        store.commit([unit(number), unit(number + 100)])
        disk.lose_power(tmp_path / f"copy{number}")
        after = RocksBackend(tmp_path / f"copy{number}")
        assert facts(after) == facts(store)
        after.close()
    store.close()


def test_no_receipt_is_given_before_a_sync_of_the_log(tmp_path, monkeypatch):
    counted = options()
    counted.enable_statistics()
    monkeypatch.setattr(database, "options", lambda: counted)
    store = RocksBackend(tmp_path / "store")

    def syncs():
        (line,) = (
            line for line in str(counted.get_statistics()).splitlines() if line.startswith("rocksdb.wal.synced ")
        )
        return int(line.split()[-1])

    for number in range(5):
        before = syncs()
        store.commit([unit(number)])
        assert syncs() == before + 1
    store.close()


class Disk:
    """The database of a backend, with something in the way of the sync."""

    def __init__(self, database, at_sync):
        self._database = database
        self._at_sync = at_sync

    def __getattr__(self, name):
        return getattr(self._database, name)

    def flush_wal(self, sync):
        self._at_sync()
        self._database.flush_wal(sync)


def test_refs_and_rows_are_seen_only_after_the_sync(tmp_path, monkeypatch):
    store = RocksBackend(tmp_path / "store")
    store.commit([unit(1)])
    seen = []

    def look():
        seen.append(facts(store)[1:])

    before = facts(store)[1:]
    first = unit(1).blocks[0].id
    changed = Unit(moves=[Move(b"head/000001", first, b"other")], rows=[Row(b"i000001", None), Row(b"k", b"v")])
    monkeypatch.setattr(store, "_db", Disk(store._db, look))
    store.commit([unit(2), changed])
    assert seen == [before]
    assert store.row(b"i000001") is None
    assert [key for key, _ in store.rows(b"i")] == [b"i000002"]
    assert dict(store.refs(b"")) == {b"head/000001": b"other", b"head/000002": unit(2).blocks[0].id}
    assert len(list(store.rows(FEED))) == 2
    store.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("IO error: No space left on device: While fdatasync: 000004.log: No space left on device", StoreFull),
        ("IO error: While fdatasync: 000004.log: Input/output error", StoreError),
        ("Corruption: block checksum mismatch in 000007.sst", Corrupt),
    ],
)
def test_after_a_failed_sync_nobody_sees_what_may_not_be_durable(tmp_path, monkeypatch, text, kind):
    store = RocksBackend(tmp_path / "store")
    store.commit([unit(1)])

    def fail():
        raise Exception(text)

    monkeypatch.setattr(store, "_db", Disk(store._db, fail))
    for use in (
        lambda: store.commit([unit(2)]),
        lambda: store.commit([unit(3)]),
        lambda: store.ref(b"head/000001"),
        lambda: store.row(b"i000002"),
        lambda: list(store.rows(b"i")),
        lambda: store.get([unit(2).blocks[0].id]),
    ):
        with pytest.raises(StoreError) as caught:
            use()
        assert type(caught.value) is kind
    store.close()
    store = RocksBackend(tmp_path / "store")
    assert store.ref(b"head/000001") == unit(1).blocks[0].id
    store.close()


def test_after_a_failed_sync_a_node_stops_and_the_store_decides_when_it_is_opened_again(tmp_path, monkeypatch):
    store = RocksBackend(tmp_path / "store")
    failing: list[bool] = []

    def sync():
        if failing:
            raise Exception("IO error: While fdatasync: 000004.log: Input/output error")

    monkeypatch.setattr(store, "_db", Disk(store._db, sync))
    living = Living(store)
    actor = living.create()
    first = living.send(actor, "add", 1)
    living.come_to_rest()
    failing.append(True)
    with pytest.raises(NodeFailed):
        living.send(actor, "add", 2)
    with pytest.raises(NodeFailed):
        living.send(actor, "add", 3)
    living.stop()
    store.close()
    # The bytes of the second message were on their way; that it was accepted was said to nobody, so both ends are right.
    with Living(RocksBackend(tmp_path / "store")) as after:
        after.come_to_rest()
        assert after.state(actor)[f"queue/{after.party()}"] in ([1], [1, 2])
        assert first in [id for step in after.chain(actor) for id in step.consumed]
        assert after.tell(actor, "ask", 4) == 4
        assert fsck(after.backend).ok
        after.backend.close()


def test_a_store_is_open_for_writing_once(tmp_path):
    store = RocksBackend(tmp_path / "store")
    with pytest.raises(StoreInUse, match="store"):
        RocksBackend(tmp_path / "store")
    script = """
import sys
from pathlib import Path
from understudy.store.errors import StoreInUse
from understudy.store.rocksdb.backend import RocksBackend
try:
    RocksBackend(Path(sys.argv[1]))
except StoreInUse as error:
    print(error)
"""
    with python(script, tmp_path / "store") as other:
        assert "in use" in other.stdout.read()
    store.commit([unit(1)])
    assert store.ref(b"head/000001") is not None
    store.close()


def test_a_view_reads_a_store_that_is_being_written_and_cannot_write(tmp_path):
    store = RocksBackend(tmp_path / "store")
    store.commit([unit(1)])
    view = RocksBackend(tmp_path / "store", read_only=True)
    store.commit([unit(2)])
    assert facts(view)[1] == {b"head/000001": unit(1).blocks[0].id}
    with pytest.raises(StoreError, match="reading only"):
        view.commit([unit(3)])
    view.close()
    store.close()


def test_looking_at_a_store_that_is_not_there_makes_none(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty"):
        with pytest.raises(StoreError, match="no store"):
            RocksBackend(tmp_path / name, read_only=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_store_of_a_newer_format_is_refused_and_not_touched(tmp_path):
    store = RocksBackend(tmp_path / "store")
    store.commit([Unit(rows=[Row(FORMAT_ROW, b"2")])])
    store.close()
    for read_only in (False, True):
        with pytest.raises(StoreFormat, match="format 2"):
            RocksBackend(tmp_path / "store", read_only=read_only)


@pytest.mark.parametrize("raw", [True, False])
def test_somebody_elses_database_is_refused(tmp_path, raw):
    other = Rdict(str(tmp_path / "store"), Options(raw_mode=raw))
    other[b"key"] = b"value"
    other.close()
    with pytest.raises(StoreFormat, match="store"):
        RocksBackend(tmp_path / "store")
    other = Rdict(str(tmp_path / "store"), Options(raw_mode=raw))
    assert list(other.items()) == [(b"key", b"value")]
    other.close()


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(StoreFormat, match=r"letter\.txt"):
        RocksBackend(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("left", [["LOCK"], ["LOCK", "LOG", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"]])
def test_a_store_whose_making_was_cut_short_is_made_again(tmp_path, left):
    for name in left:
        (tmp_path / name).write_bytes(b"")
    RocksBackend(tmp_path).close()
    RocksBackend(tmp_path).close()


def test_a_path_below_a_file_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match=r"is no directory.*choose a"):
            RocksBackend(path)


def test_a_directory_that_cannot_be_written_says_what_to_do(tmp_path):
    # Permissions bind nobody who is root, so a root's test gives that up first; and the directory lies where
    # anybody may go, which pytest's own do not.
    script = """
import os, sys
from pathlib import Path
from understudy.store.errors import StoreError
from understudy.store.rocksdb.backend import RocksBackend
# What Python and its libraries load at the first use they load here, while they may read it.
RocksBackend(Path(sys.argv[2])).close()
if os.geteuid() == 0:
    os.setuid(65534)
try:
    RocksBackend(Path(sys.argv[1]) / "new")
except StoreError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755 if os.geteuid() == 0 else 0o555)
        with python(script, directory, tmp_path / "store") as reader:
            said = reader.stdout.read().splitlines()
    assert len(said) == 1
    assert "cannot be written" in said[0] and "choose another" in said[0]


def test_readers_that_are_surprised_by_close_hear_that_it_was_closed(tmp_path):
    for turn in range(10):
        store = RocksBackend(tmp_path / "store")
        store.commit([unit(number) for number in range(turn * 10, turn * 10 + 10)])
        wrong: list[BaseException] = []

        def read(store=store, wrong=wrong):
            try:
                while True:
                    facts(store)
            except StoreClosed:
                return
            except BaseException as error:
                wrong.append(error)

        threads = [Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        store.close()
        for thread in threads:
            thread.join()
        assert wrong == []
