"""The door: what comes out of a backend hashes to its id, or is refused by name.

Tests of store/reader.py and store/errors.py too.
"""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects.codec import MAX_BLOCK, Block, node_block, raw_block
from understudy.objects.errors import BadId, NotCanonical, TooLarge, WrongKind
from understudy.objects.ids import node_id, raw_id
from understudy.store.errors import Corrupt, Missing
from understudy.store.memory import MemoryBackend
from understudy.store.port import Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit, InFlight, checked_block

BLOB = raw_block(b"some bytes")
NODE = node_block({"tree": {"a": BLOB.id}})


class Counting:
    """A backend that counts what it was asked for."""

    def __init__(self, backend):
        self._backend = backend
        self.asked = []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def get(self, ids):
        self.asked.extend(ids)
        return self._backend.get(ids)


@pytest.fixture
def backend():
    return MemoryBackend()


def put(backend, *blocks):
    backend.commit([Unit(blocks=blocks)])


def test_what_was_committed_is_read_as_block_and_as_node(backend):
    put(backend, BLOB, NODE)
    grit = Grit(backend)
    assert grit.block(BLOB.id) == b"some bytes"
    assert grit.node(NODE.id) == {"tree": {"a": BLOB.id}}
    assert grit.block(NODE.id) == NODE.data
    assert grit.blocks([NODE.id, raw_id(b"absent"), BLOB.id]) == [NODE.data, None, BLOB.data]
    assert grit.has(NODE.id) and not grit.has(raw_id(b"absent"))


@pytest.mark.parametrize("name", [raw_id, node_id])
@given(data=st.binary(min_size=1, max_size=80), draw=st.data())
def test_one_flipped_bit_is_found_and_named_by_every_way_to_read(name, data, draw):
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    bad = bytearray(data)
    bad[bit // 8] ^= 1 << bit % 8
    backend, id = MemoryBackend(), name(data)
    put(backend, Block(id, bytes(bad)))
    grit = Grit(backend)
    ways = [grit.block, lambda id: grit.blocks([id]), grit.has] + ([grit.node] if name is node_id else [])
    for read in ways:
        with pytest.raises(Corrupt, match=str(id)) as caught:
            read(id)
        assert caught.value.id == id


def test_a_node_with_the_right_hash_and_a_second_spelling_is_not_used(backend):
    loose = b"\xa1\x64tree\xb8\x00"  # the length of the inner map in two bytes instead of one
    put(backend, Block(node_id(loose), loose))
    with pytest.raises(Corrupt, match=str(node_id(loose))):
        Grit(backend).node(node_id(loose))


def test_an_absent_block_is_missing_until_somebody_commits_it(backend):
    grit = Grit(backend)
    for read in (grit.block, grit.node):
        with pytest.raises(Missing, match=str(NODE.id)):
            read(NODE.id)
    assert not grit.has(NODE.id)
    put(backend, NODE)
    assert grit.has(NODE.id)
    assert grit.node(NODE.id) == {"tree": {"a": BLOB.id}}


def test_a_blob_is_no_node_even_when_it_is_cached(backend):
    put(backend, BLOB)
    grit = Grit(backend)
    grit.block(BLOB.id)
    with pytest.raises(WrongKind):
        grit.node(BLOB.id)


def test_a_hot_node_is_fetched_and_decoded_once(backend):
    put(backend, NODE, BLOB)
    counting = Counting(backend)
    grit = Grit(counting)
    assert grit.node(NODE.id) is grit.node(NODE.id)
    assert grit.block(BLOB.id) is grit.block(BLOB.id)
    assert counting.asked == [NODE.id, BLOB.id]


def test_the_cache_keeps_what_was_used_last_within_its_bytes(backend):
    blobs = [raw_block(bytes([number]) * 1000) for number in range(100)]
    put(backend, *blobs)
    counting = Counting(backend)
    grit = Grit(counting, cache_bytes=14_000)
    for blob in blobs:
        grit.block(blobs[0].id)
        grit.block(blob.id)
    counting.asked.clear()
    grit.block(blobs[0].id)
    assert counting.asked == []
    for blob in reversed(blobs):
        grit.block(blob.id)
    assert 85 <= len(counting.asked) <= 95


def test_without_room_nothing_is_kept_and_everything_is_read(backend):
    put(backend, NODE, BLOB)
    counting = Counting(backend)
    grit = Grit(counting, cache_bytes=0)
    assert grit.node(NODE.id) == grit.node(NODE.id)
    assert counting.asked == [NODE.id, NODE.id]


def test_many_threads_read_through_a_cache_that_is_too_small(backend):
    blobs = [raw_block(bytes([number]) * 500) for number in range(50)]
    put(backend, *blobs)
    grit = Grit(backend, cache_bytes=5_000)
    wrong = []

    def read(first):
        for number in range(3000):
            blob = blobs[(first + number * 7) % 50]
            if grit.block(blob.id) != blob.data:
                wrong.append(blob.id)

    threads = [Thread(target=read, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_blocks_in_flight_are_read_before_they_are_durable(backend):
    reader = InFlight(Grit(backend))
    with pytest.raises(Missing):
        reader.node(NODE.id)
    reader.add([NODE, BLOB])
    assert reader.node(NODE.id) == {"tree": {"a": BLOB.id}}
    assert reader.block(BLOB.id) == BLOB.data
    assert reader.has(NODE.id)
    assert reader.find(NODE.id, "a") == BLOB.id
    with pytest.raises(WrongKind):
        reader.node(BLOB.id)


def test_blocks_in_flight_and_durable_ones_come_back_in_order(backend):
    durable = raw_block(b"durable")
    put(backend, durable)
    reader = InFlight(Grit(backend))
    reader.add([BLOB])
    asked = [durable.id, BLOB.id, raw_id(b"absent"), durable.id]
    assert reader.blocks(asked) == [b"durable", BLOB.data, None, b"durable"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_block_that_two_units_carry_stays_until_both_are_settled(backend, durable):
    reader = InFlight(Grit(backend))
    reader.add([NODE, BLOB])
    reader.add([BLOB])
    reader.remove([NODE, BLOB], durable=False)
    assert reader.block(BLOB.id) == BLOB.data
    assert not reader.has(NODE.id)
    reader.remove([BLOB], durable=durable)
    assert reader.has(BLOB.id) == durable


def test_a_node_in_flight_is_decoded_once_or_not_at_all(backend):
    reader = InFlight(Grit(backend))
    reader.add([NODE])
    node = reader.node(NODE.id)
    assert reader.node(NODE.id) is node
    reader.remove([NODE], durable=False)
    reader.add([NODE], {NODE.id: node})
    assert reader.node(NODE.id) is node


def test_a_block_whose_unit_failed_is_found_nowhere(backend):
    grit = Grit(backend)
    reader = InFlight(grit)
    reader.add([NODE, BLOB])
    assert reader.node(NODE.id)
    reader.remove([NODE, BLOB], durable=False)
    for place in (reader, grit):
        assert not place.has(NODE.id) and not place.has(BLOB.id)
        with pytest.raises(Missing):
            place.node(NODE.id)


def test_a_block_from_outside_is_what_its_id_says_or_refused():
    assert checked_block(bytes(NODE.id), NODE.data) == NODE
    assert checked_block(BLOB.id, BLOB.data) == BLOB
    assert checked_block(raw_id(b""), b"") == raw_block(b"")
    with pytest.raises(Corrupt, match=str(BLOB.id)):
        checked_block(BLOB.id, b"other bytes")
    with pytest.raises(NotCanonical):
        checked_block(node_id(b"\xf5"), b"\xf5")
    with pytest.raises(TooLarge):
        checked_block(BLOB.id, b"x" * (MAX_BLOCK + 1))
    with pytest.raises(BadId):
        checked_block(b"short", b"")


def test_a_staging_reads_what_is_new_and_what_lies_below_in_the_order_of_the_question(backend):
    put(backend, BLOB)
    staging = Staging(Grit(backend))
    new, nowhere = raw_block(b"new"), raw_id(b"nowhere")
    staging.put(new)
    assert staging.blocks([new.id, BLOB.id, nowhere, new.id]) == [new.data, BLOB.data, None, new.data]
    assert staging.blocks([new.id]) == [new.data]
    assert staging.blocks([]) == []
