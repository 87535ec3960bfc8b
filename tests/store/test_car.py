"""CAR files: what was written comes back, other readers agree, and nothing broken comes in."""

from __future__ import annotations

from io import BytesIO, RawIOBase
from typing import Any

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects import ids
from understudy.objects.codec import MAX_RAW, Block, encode, node_block, raw_block
from understudy.objects.errors import NotCanonical, ObjectError
from understudy.objects.ids import Id
from understudy.store.car import read_car, store_blocks, write_car
from understudy.store.errors import BadCar, Corrupt, StoreError
from understudy.store.memory import MemoryBackend
from understudy.testing import strategies as some

A, B = raw_block(b"a"), raw_block(b"b" * 200)
ROOT = node_block({"tree": {"a": A.id, "b": B.id}})

node = some.nodes.map(node_block)
block = st.binary(max_size=400).map(raw_block) | node
cars = st.tuples(st.lists(block.map(lambda one: one.id), max_size=4), st.lists(block, max_size=6))


def car(roots: list[Id], blocks: list[Block]) -> bytes:
    file = BytesIO()
    assert write_car(file, roots, blocks) == len(blocks)
    return file.getvalue()


def read(data: bytes) -> tuple[list[Id], list[Block]]:
    roots, blocks = read_car(BytesIO(data))
    return roots, list(blocks)


def header(node: Any) -> bytes:
    data = encode(node)
    assert len(data) < 128
    return bytes([len(data)]) + data


GOOD = car([ROOT.id], [ROOT, A, B])
NO_BLOCKS = car([ROOT.id], [])


@given(cars)
def test_what_was_written_comes_back(content: tuple[list[Id], list[Block]]) -> None:
    assert read(car(*content)) == content


# libipld reads CAR files too, but only of nodes and with a root.
@given(st.lists(block.map(lambda one: one.id), min_size=1, max_size=4), st.lists(node, max_size=6))
def test_another_reader_finds_the_same_roots_and_nodes(roots: list[Id], blocks: list[Block]) -> None:
    found, decoded = libipld.decode_car(car(roots, blocks))
    assert found == {"roots": roots, "version": 1}
    assert decoded == {one.id: libipld.decode_dag_cbor(one.data) for one in blocks}


def test_the_bytes_of_a_small_file_are_those_of_the_specification() -> None:
    written = car([A.id], [A])
    roots = bytes.fromhex("a2 65") + b"roots" + bytes.fromhex("81 d8 2a 58 25 00") + A.id
    assert written == bytes([58]) + roots + b"\x67version\x01" + bytes([37]) + A.id + b"a"


def test_a_file_without_roots_and_without_blocks_is_a_file() -> None:
    assert read(car([], [])) == ([], [])


def test_an_empty_blob_and_the_largest_one_come_back() -> None:
    blocks = [raw_block(b""), raw_block(bytes(MAX_RAW))]
    assert read(car([], blocks)) == ([], blocks)


def test_a_block_may_stand_in_a_file_twice() -> None:
    assert read(car([A.id], [A, A]))[1] == [A, A]


def test_blocks_come_one_by_one_before_the_file_is_read_to_its_end() -> None:
    roots, blocks = read_car(BytesIO(GOOD[:-1]))
    assert (roots, next(blocks), next(blocks)) == ([ROOT.id], ROOT, A)
    with pytest.raises(BadCar, match="cut off"):
        next(blocks)


def test_a_pipe_that_gives_a_byte_at_a_time_is_read_like_a_file() -> None:
    class Trickle(RawIOBase):
        left = memoryview(GOOD)

        def read(self, size: int = -1, /) -> bytes:
            piece, self.left = self.left[:1], self.left[1:]
            return bytes(piece) if size else b""

    roots, blocks = read_car(Trickle())  # type: ignore[arg-type]
    assert (roots, list(blocks)) == ([ROOT.id], [ROOT, A, B])


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_that_is_cut_off_anywhere_but_between_blocks_is_refused(size: int) -> None:
    whole = {len(car([ROOT.id], [ROOT, A, B][:count])) for count in range(3)}
    if size in whole:
        assert len(read(GOOD[:size])[1]) < 3
    else:
        with pytest.raises(BadCar):
            read(GOOD[:size])


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_a_flipped_bit_is_found_or_changes_no_block(bit: int) -> None:
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8
    try:
        roots, blocks = read(bytes(data))
    except (StoreError, ObjectError):
        return
    # Roots are not checked by a digest: a flip in one of them names another root, which is not in the file.
    assert blocks == [ROOT, A, B]
    assert roots != [ROOT.id]


@given(st.binary(max_size=300))
def test_garbage_is_refused_with_a_named_error(garbage: bytes) -> None:
    with pytest.raises((StoreError, ObjectError)):
        read(garbage)
    with pytest.raises((StoreError, ObjectError)):
        read(GOOD + garbage + b"\x00")


def test_a_block_that_does_not_match_its_id_is_refused() -> None:
    with pytest.raises(Corrupt) as caught:
        read(car([A.id], [Block(A.id, b"x")]))
    assert caught.value.id == A.id


def test_a_node_that_is_not_canonical_is_refused() -> None:
    loose = b"\xa1\x64tree\xbf\xff"
    with pytest.raises((Corrupt, ObjectError)):
        read(car([], [Block(ids.node_id(loose), loose)]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"\x00", "a header of 0 bytes"),
        (b"\xff" * 20, "no length of the header"),
        (b"\x80\x00", "not written in the shortest way"),
        (b"\xff\xff\xff\x7f" + bytes(100), "a header of 268,435,455 bytes"),
        (b"<html>", "cut off"),
        (b"\x05hello", "its header is wrong"),
        (header({"version": 2}), "version 2"),
        (header({"roots": [], "version": 2}), "version 2"),
        (header({"version": 1}), "its header is not"),
        (header({"roots": [], "version": 1, "more": 1}), "its header is not"),
        (header({"roots": [], "version": None}), "its header is not"),
        (header({"roots": ["text"], "version": 1}), "its header is wrong"),
        (header({"roots": [b"\x01\x70" + A.id[2:]], "version": 1}), "its header is wrong"),
        (NO_BLOCKS + b"\x00", "block 0 at byte"),
        (NO_BLOCKS + b"\x23" + bytes(35), "has 35 bytes"),
        (NO_BLOCKS + b"\x25\x01\x70" + A.id[2:] + b"a", "is not a CIDv1"),
        (NO_BLOCKS + b"\xa5\x80\x80\x01" + bytes(9), "has 2,097,189 bytes"),
        (GOOD + b"\xff" * 20, "no length of block 3"),
        (GOOD + b"\xa5", "cut off"),
        (GOOD + b"\x25" + A.id, "1 more bytes of block 3"),
    ],
)
def test_a_wrong_file_is_refused_and_the_message_says_what_is_wrong(data: bytes, says: str) -> None:
    with pytest.raises(BadCar, match=says):
        read(data)


@pytest.mark.parametrize(
    "odd", [node_block({"wood": {}}), node_block([]), node_block({"tree": {"..": A.id}}), raw_block(b"")]
)
def test_a_block_of_no_kind_of_ours_is_refused_wherever_it_stands(odd: Block) -> None:
    if ids.is_raw(odd.id):
        odd = Block(ids.raw_id(b"x" * (MAX_RAW + 1)), b"x" * (MAX_RAW + 1))
    for blocks in ([odd, ROOT, A, B], [ROOT, A, B, odd]):
        with pytest.raises(BadCar, match=f"block {blocks.index(odd)} at byte .* {odd.id}: "):
            read(car([ROOT.id], blocks))


def test_a_node_that_is_not_canonical_is_named_with_its_place() -> None:
    odd = Block(ids.node_id(b"\x18\x01"), b"\x18\x01")
    with pytest.raises(NotCanonical, match=f"block 3 at byte .* {odd.id}: "):
        read(car([ROOT.id], [ROOT, A, B, odd]))


def test_while_a_file_is_stored_its_blocks_are_counted_and_all_of_them_at_the_end():
    blocks = [raw_block(bytes([number])) for number in range(3)]
    told: list[tuple[int, int]] = []
    backend = MemoryBackend()
    roots = store_blocks(backend, BytesIO(car([blocks[0].id], blocks)), progress=lambda *said: told.append(said))
    assert roots == [blocks[0].id]
    assert told == [(3, 0), (3, 3)]
    assert backend.get([block.id for block in blocks]) == [block.data for block in blocks]
