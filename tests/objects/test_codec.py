"""The canonical codec against the standard, and against another library."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects import ids
from understudy.objects.codec import MAX_BLOCK, MAX_DEPTH, MAX_RAW, decode, encode, node_block, raw_block
from understudy.objects.errors import NotCanonical, TooLarge
from understudy.objects.ids import NODE, RAW, Id
from understudy.testing import strategies as some


def as_cbor2(value: Any) -> Any:
    """The value as the oracle wants it: links as tag 42 over a zero byte and the CID."""
    if isinstance(value, bytes):
        return cbor2.CBORTag(42, b"\x00" + value) if len(value) == 36 and value[:4] in (RAW, NODE) else value
    if isinstance(value, dict):
        return {key: as_cbor2(item) for key, item in value.items()}
    return [as_cbor2(item) for item in value] if isinstance(value, list) else value


def reordered(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key], data) for key in data.draw(st.permutations(list(value)))}
    return [reordered(item, data) for item in value] if isinstance(value, list) else value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(some.values | some.nodes)
def test_decoding_an_encoding_gives_the_value_back(value):
    assert decode(encode(value)) == value


@given(some.values | some.nodes)
def test_another_library_in_canonical_mode_writes_the_same_bytes(value):
    assert cbor2.dumps(as_cbor2(value), canonical=True) == encode(value)


@given(some.values | some.nodes, st.data())
def test_the_order_in_which_a_node_was_built_never_matters(value, data):
    assert node_block(reordered(value, data)) == node_block(value)


@given(some.values | some.nodes, st.data())
def test_a_changed_byte_is_refused_or_is_what_the_encoder_writes_for_another_value(value, data):
    block = bytearray(encode(value))
    place = data.draw(st.integers(0, len(block) - 1))
    block[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(block))
    except NotCanonical:
        return
    assert encode(other) == block
    assert other != value


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_are_what_the_encoder_writes(data):
    try:
        value = decode(data)
    except NotCanonical:
        return
    assert encode(value) == data


@given(some.values | some.nodes, st.binary(min_size=1, max_size=3))
def test_nothing_may_follow_a_node(value, tail):
    with pytest.raises(NotCanonical):
        decode(encode(value) + tail)


@given(some.values | some.nodes, st.data())
def test_a_node_that_is_cut_short_is_refused(value, data):
    block = encode(value)
    with pytest.raises(NotCanonical):
        decode(block[: data.draw(st.integers(0, len(block) - 1))])


@given(some.names | some.mailbox_keys)
def test_no_name_and_no_mailbox_key_is_ever_written_as_a_link(name):
    key = name.encode()
    block = encode([[key, 1]])
    assert b"\xd8\x2a" not in block[:4]
    assert cbor2.loads(block) == [[key, 1]]


@given(st.binary(min_size=2, max_size=2))
def test_no_bitmap_is_ever_written_as_a_link(bitmap):
    assert encode(bitmap) == b"\x42" + bitmap


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_the_largest_and_the_smallest_integer_are_allowed(number):
    assert decode(encode(number)) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_integer_beyond_63_bits_is_refused(number):
    with pytest.raises(NotCanonical, match="64 bits"):
        decode(encode([number]))


@pytest.mark.parametrize("value", [True, False, 1.0, 0.0, -0.0])
def test_floats_and_booleans_are_refused_wherever_they_stand(value):
    for node in (value, [value], {"a": {"b": [1, value]}}):
        with pytest.raises(NotCanonical, match="no floats and no booleans"):
            decode(encode(node))


def test_a_node_may_be_64_deep_and_no_deeper():
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(NotCanonical, match="deep"):
        decode(encode(nested(MAX_DEPTH + 1)))


def test_a_bomb_of_brackets_is_refused():
    with pytest.raises(NotCanonical):
        decode(b"\x81" * 1_000_000 + b"\x01")


def test_a_length_without_its_bytes_is_refused():
    with pytest.raises(NotCanonical):
        decode(bytes.fromhex("9b7fffffffffffffff"))


def test_a_node_above_2_mib_is_refused_in_both_directions():
    with pytest.raises(TooLarge):
        encode("x" * MAX_BLOCK)
    with pytest.raises(TooLarge):
        decode(bytes(MAX_BLOCK + 1))


def test_a_raw_block_above_1_mib_is_refused_because_its_bytes_have_another_form():
    assert len(raw_block(bytes(MAX_RAW)).data) == MAX_RAW
    with pytest.raises(TooLarge):
        raw_block(bytes(MAX_RAW + 1))


@given(st.binary(max_size=100))
def test_a_block_hashes_to_its_id(data):
    block = raw_block(data)
    assert ids.matches(block.id, block.data)
    assert not ids.matches(block.id, block.data + b"x")


@given(some.links)
def test_an_id_and_its_plain_bytes_are_written_alike(link):
    assert encode({"a": Id(link)}) == encode({"a": bytes(link)})
