"""Files that are refused while they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.vectors.story import Story, car
from understudy.objects.codec import Block, encode, node_block, raw_block
from understudy.objects.ids import Id, node_id

Make = Callable[[], bytes]

_STORY: Final = Story()
_HEAD: Final = _STORY.head(_STORY.keeper)
_GOOD: Final = _STORY.car(_HEAD)
_HEADER: Final = 1 + _GOOD[0]


def _with(block: Block) -> bytes:
    return _STORY.car(_HEAD, more=[block])


def _headed(header: bytes) -> bytes:
    return bytes([len(header)]) + header + _GOOD[_HEADER:]


def _flipped() -> bytes:
    data = bytearray(_GOOD)
    data[-1] ^= 1
    return bytes(data)


def _odd(data: bytes) -> Block:
    return Block(Id(node_id(data)), data)


UNREADABLE: Final[dict[str, Make]] = {
    "nothing": lambda: b"",
    "a file that is cut off": lambda: _GOOD[:-1],
    "a header alone that is cut off": lambda: _GOOD[: _HEADER - 1],
    "a block with a flipped bit": _flipped,
    "a node of no known kind": lambda: _with(node_block({"wood": {}})),
    "a node that is not canonical": lambda: _with(_odd(bytes.fromhex("a1647472656518" + "01"))),
    "a node with a float": lambda: _with(_odd(encode({"tree": 1.5}))),
    "a tree whose name has a slash": lambda: _with(node_block({"tree": {"a/b": raw_block(b"").id}})),
    "a step of another version": lambda: _with(
        node_block({"parent": None, "data": {**_STORY.reader.node(_HEAD)["data"], "v": 2}})
    ),
    "an id of version 0": lambda: _GOOD + bytes([35]) + b"\x12\x20" + bytes(33),
    "a section that is too short for an id": lambda: _GOOD + b"\x05hello",
    "a length that is not the shortest": lambda: bytes([_GOOD[0] | 0x80, 0]) + _GOOD[1:],
    "a length without an end": lambda: _GOOD + b"\xff" * 10,
    "a header of version 2": lambda: _headed(encode({"roots": [_HEAD], "version": 2})),
    "a header with another field": lambda: _headed(encode({"roots": [_HEAD], "version": 1, "note": "x"})),
    "a header whose root is a text": lambda: _headed(encode({"roots": [str(_HEAD)], "version": 1})),
    "no CAR file": lambda: car([], [])[:1] + b"{}",
}
