"""A copy of a store is the store, however often it was cut off on the way."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from tests.store.test_postgres import link
from understudy.objects.codec import raw_block
from understudy.objects.ids import Id
from understudy.store import copy as copy_module
from understudy.store.copy import COPY_ROW, check_finished, copy_store
from understudy.store.errors import Corrupt, StoreError, StoreFormat
from understudy.store.memory import MemoryBackend
from understudy.store.meta import NODE_ROW
from understudy.store.open import open_store
from understudy.store.port import Move, Row, Unit
from understudy.testing.faults import MOMENTS, Crash, CrashingStore
from understudy.testing.place import named_step


def filled(store, length=7):
    """A store with all kinds of things in it."""
    for number in range(1, length + 1):
        store.commit([link(number)])
    more = [raw_block(random.Random(number).randbytes(3000)) for number in range(40)]
    store.commit(
        [
            Unit(
                blocks=[*more, raw_block(b"")],
                moves=[Move(b"name/a", None, b"1"), Move(b"head/\xff", None, b"2")],
                rows=[Row(key, key) for key in (b"\x00", b"e1", b"g", b"m/zz", b"mimport/x", b"t\xff\xff", b"\xff")],
            )
        ]
    )
    return store


def facts(store):
    blocks = list(store.ids())
    return list(zip(blocks, store.get(blocks), strict=True)), list(store.refs(b"")), list(store.rows(b""))


@pytest.mark.parametrize("kinds", [("rocksdb", "postgresql"), ("postgresql", "rocksdb"), ("rocksdb", "rocksdb")])
def test_a_copy_of_any_kind_holds_what_the_source_holds_and_goes_on_as_it_would(request, tmp_path, monkeypatch, kinds):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def url(kind):
        if kind == "rocksdb":
            return f"rocksdb:{tmp_path / str(random.random())}"
        server = request.getfixturevalue("postgres")
        schema = f"copy_{sha256(str(tmp_path).encode()).hexdigest()[:16]}"
        server.execute(f"CREATE SCHEMA {schema}")
        return server.url(schema=schema)

    source, target = (open_store(url(kind)) for kind in kinds)
    filled(source)
    copied = copy_store(source, target)
    assert (copied.blocks, copied.heads, copied.steps) == (48, 3, 7)
    assert facts(target) == facts(source)
    assert target.commit([link(8)])[0].feed == 8
    source.close()
    target.close()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_copy_that_is_cut_off_anywhere_is_not_opened_and_goes_on(monkeypatch, moment):
    monkeypatch.setattr(copy_module, "_ROWS", 2)
    monkeypatch.setattr(copy_module, "BATCH", 16)
    monkeypatch.setattr(copy_module, "_READ", 4)
    source = filled(MemoryBackend())
    counting = CrashingStore(MemoryBackend(), at=None)
    copy_store(source, counting)
    assert counting.units > 10
    for at in range(1, counting.units + 1):
        target = MemoryBackend()
        with pytest.raises(Crash):
            copy_store(source, CrashingStore(target, at=at, moment=moment))
        if at < counting.units and target.row(COPY_ROW) is not None:
            with pytest.raises(StoreFormat, match="not finished"):
                check_finished(target, "here")
        if target.row(NODE_ROW) != source.row(NODE_ROW):
            copy_store(source, target)
        assert facts(target) == facts(source)


def test_what_changes_in_the_source_between_two_tries_is_changed_in_the_copy(monkeypatch):
    monkeypatch.setattr(copy_module, "_ROWS", 2)
    source, target = filled(MemoryBackend()), MemoryBackend()
    with pytest.raises(Crash):
        copy_store(source, CrashingStore(target, at=9))
    source.commit([link(8), Unit(moves=[Move(b"name/a", b"1", None)], rows=[Row(b"e1", None), Row(b"g", b"other")])])
    copy_store(source, target)
    assert facts(target) == facts(source)


def test_a_place_that_holds_something_is_not_overwritten():
    source = filled(MemoryBackend())
    for unit in (link(1), Unit(rows=[Row(b"i", b"v")]), Unit(blocks=[raw_block(b"")]), Unit(feed=[named_step("x")])):
        target = MemoryBackend()
        target.commit([unit])
        before = facts(target)
        with pytest.raises(StoreError, match="holds a store already"):
            copy_store(source, target)
        assert facts(target) == before
    # Nor the unfinished copy of another store.
    target = MemoryBackend()
    with pytest.raises(Crash):
        copy_store(source, CrashingStore(target, at=2))
    with pytest.raises(StoreError, match="another store"):
        copy_store(filled(MemoryBackend()), target)
    # Nor a copy that is finished.
    copy_store(source, target)
    with pytest.raises(StoreError, match="holds a store already"):
        copy_store(source, target)


def test_a_damaged_block_is_named_and_the_copy_stays_shut():
    source, target = filled(MemoryBackend()), MemoryBackend()
    id = Id(raw_block(b"3").id)
    source._blocks[bytes(id)] = b"4"
    with pytest.raises(Corrupt) as caught:
        copy_store(source, target)
    assert caught.value.id == id
    with pytest.raises(StoreFormat):
        check_finished(target, "here")
