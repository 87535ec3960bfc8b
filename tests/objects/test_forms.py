"""The short way to steps and messages against the long one: it may take less, and never anything else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import libipld
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.vectors import make
from understudy.objects import ids
from understudy.objects.codec import MAX_BLOCK, decode
from understudy.objects.errors import ObjectError
from understudy.objects.forms import plain_message, plain_step
from understudy.objects.message import message_block, message_node, read_message
from understudy.objects.step import read_step, step_block, step_node
from understudy.store.car import read_car
from understudy.store.errors import StoreError
from understudy.testing import strategies as some

VECTORS = Path(make.__file__).parent
NODE_ID = ids.node_id(b"a node")
RAW_ID = ids.raw_id(b"a blob")
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.0, 1.0, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**64)),
    *(
        "",
        "x",
        "1",
        "queue",
        "signal",
        "update",
        "out/a/b",
        "é",
        "\x00",
        "a" * 256,
        "0" * 64,
        "python/1",
        "ok",
        "failed",
    ),
    *(b"", b"\x00\x00", bytes(NODE_ID), bytes(RAW_ID), bytes(NODE_ID[:35]), bytes(NODE_ID) + b"x"),
    *(str(NODE_ID), str(RAW_ID), str(NODE_ID)[:-1] + "b", str(NODE_ID).upper()),
    # What msgspec would take for bytes if it read JSON.
    base64.b64encode(NODE_ID).decode(),
    *([], [1], [True], [NODE_ID], [RAW_ID], [1, NODE_ID], [NODE_ID] * 513, [1.0, NODE_ID], [True, NODE_ID]),
    *({}, {"a": "b"}, {"a": 1}, {"x": [1, NODE_ID]}, {"out/a/b": [1, NODE_ID]}, {"out/a/b": [True, NODE_ID]}),
    *({"kind": "failed", "code": "X", "text": ""}, {"kind": "failed", "code": "", "text": ""}, {"kind": "ok"}),
)


def slow(block: bytes, read: Any) -> Any:
    try:
        return read(decode(block))
    except ObjectError:
        return None


def check(block: bytes) -> None:
    """Both ways must agree wherever the short one gives anything; `repr` tells True from 1."""
    for plain, read in ((plain_step, read_step), (plain_message, read_message)):
        found = plain(block)
        if found is not None:
            assert repr(found) == repr(slow(block, read))
            assert found == slow(block, read)


def changed(node: Any) -> Iterator[Any]:
    """The node with each of its values replaced by each odd one, taken away, and another put beside it."""
    yield from ODD
    if isinstance(node, dict):
        for key, value in node.items():
            yield {name: item for name, item in node.items() if name != key}
            for other in changed(value):
                yield {**node, key: other}
        for odd in ODD:
            yield {**node, "x": odd}
            yield {**node, "re": odd}
    elif isinstance(node, list):
        yield [*node, *node]
        for number, value in enumerate(node):
            for other in changed(value):
                yield [*node[:number], other, *node[number + 1 :]]


def blocks_of(path: Path) -> Iterator[bytes]:
    """The nodes in a file, as far as it can be read."""
    with path.open("rb") as file, suppress(ObjectError, StoreError):
        for block in read_car(file)[1]:
            if not ids.is_raw(block.id):
                yield block.data


@given(some.steps())
def test_a_good_step_is_plain(step):
    found = plain_step(step_block(step).data)
    assert repr(found) == repr(read_step(decode(step_block(step).data)))


@given(some.messages())
def test_a_good_message_is_plain(message):
    found = plain_message(message_block(message).data)
    assert repr(found) == repr(read_message(decode(message_block(message).data)))


def test_every_step_and_message_of_the_vectors_is_read_the_same_both_ways():
    plain = 0
    for path in sorted((VECTORS / "histories").glob("*.car")):
        for block in blocks_of(path):
            check(block)
            good = slow(block, read_step) is not None or slow(block, read_message) is not None
            assert good == (plain_step(block) is not None or plain_message(block) is not None)
            plain += good
    assert plain > 1000


@pytest.mark.parametrize("file", ["objects.json", "refused.json", "engines.json"])
def test_the_vectors_of_objects_are_read_the_same_both_ways(file):
    for vector in json.loads((VECTORS / file).read_text(encoding="utf-8")):
        if "block" in vector:
            check(bytes.fromhex(vector["block"]))


def test_no_odd_value_in_any_place_is_taken_that_the_long_way_refuses():
    samples: list[Any] = []
    for path in sorted((VECTORS / "histories").glob("*.car")):
        for block in blocks_of(path):
            step, message = plain_step(block), plain_message(block)
            samples += [] if step is None else [step_node(step)]
            samples += [] if message is None else [message_node(message)]
    shapes = {json.dumps(_shape(node)): node for node in samples}
    for node in shapes.values():
        for other in changed(node):
            try:
                block = libipld.encode_dag_cbor(other)
            except (ValueError, OverflowError):
                continue
            check(block)
    assert len(shapes) > 10


@given(some.steps().map(step_block) | some.messages().map(message_block), st.data())
def test_no_other_bytes_are_taken_that_the_long_way_refuses(block, data):
    at = data.draw(st.integers(0, len(block.data) - 1))
    length = data.draw(st.integers(0, 3))
    check(block.data[:at] + data.draw(st.binary(max_size=3)) + block.data[at + length :])


def test_a_block_that_is_too_large_or_too_deep_or_empty_is_not_plain():
    for block in (b"", b"\x00" * (MAX_BLOCK + 1), b"\x81" * 100_000 + b"\x00", b"\xa1"):
        assert plain_step(block) is None
        assert plain_message(block) is None


@given(st.text(max_size=8) | some.links.map(str) | some.links.map(lambda id: str(id)[:-1] + "b"))
@example(str(NODE_ID) + "\n")
@example(str(RAW_ID))
def test_a_text_names_a_node_exactly_if_it_parses_as_the_id_of_one(text):
    try:
        is_node = not ids.is_raw(ids.parse(text))
    except ObjectError:
        is_node = False
    assert ids.is_node_text(text) == is_node


@given(some.links, st.integers(0, ids.TEXT_LENGTH - 1), st.sampled_from("abhijklmnopqrstuvwxyz01234567ABC="))
def test_so_does_a_text_with_one_other_character(id, at, character):
    text = str(id)[:at] + character + str(id)[at + 1 :]
    try:
        is_node = not ids.is_raw(ids.parse(text))
    except ObjectError:
        is_node = False
    assert ids.is_node_text(text) == is_node


def _shape(node: Any) -> Any:
    """What fields a node has, for one sample of each."""
    if isinstance(node, dict):
        return {key if len(key) < 40 else "id": _shape(value) for key, value in node.items()}
    return [] if isinstance(node, list) else type(node).__name__
