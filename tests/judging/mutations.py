"""Histories changed at random and hashed again: a field, a link, a list, or one block less.

What a change leads to nobody foresees; it is for judges that are held against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from random import Random
from typing import Any, Final

import libipld

from understudy.objects import ids
from understudy.objects.ids import Id
from understudy.store.car import read_car

Node = Any
Path = tuple[Any, ...]

TEXTS: Final = (
    "",
    "x",
    "queue",
    "signal",
    "update",
    "out/a/b",
    "out/test/operator",
    "error",
    "kernel/1",
    "python/1",
    "python/2",
    "python/2;source=none",
    "python/3",
    "wasm/1;config=735c3e3b150f1f98",
    "ok",
    "failed",
    "refused",
    "noop",
    "cut",
    "AlreadyAlive",
    "NoSuchActor",
    "send/0",
    "query/0",
    "a/b",
    "\ufeffx",
    "é",
    "a" * 256,
    "0" * 64,
)
NUMBERS: Final = (0, 1, 2, 3, 64, 65, 2**53 - 1, 2**53, 2**63 - 1, 2**63, -1)
FIELDS: Final = {
    "lane": ("signal", "update", "queue"),
    "previous": ("",),
    "re": ("",),
    "headers": ({}, {"a": "b"}, {"": "b"}),
    "outcome": (
        {"kind": "failed", "code": "X", "text": ""},
        {"kind": "refused", "code": "NotPermitted", "text": "no"},
        {"kind": "noop", "code": "AlreadyAlive", "text": ""},
    ),
    "component-hash": ("0" * 64,),
    "x": (1,),
}


class File:
    """The roots and the nodes of a CAR file; raw blocks as bytes. A link is its 36 bytes."""

    def __init__(self, data: bytes) -> None:
        self.roots, blocks = read_car(BytesIO(data))
        self.nodes: dict[bytes, Node] = {
            bytes(block.id): block.data if ids.is_raw(block.id) else libipld.decode_dag_cbor(block.data)
            for block in blocks
        }

    def places(self) -> Iterator[tuple[bytes, Path]]:
        """Every place in every node."""
        for id, node in self.nodes.items():
            if not ids.is_raw(id):
                yield from ((id, path) for path in _paths(node, ()))

    def written(self, changed: dict[bytes, Node], *, mentions: bool, without: bytes = b"") -> bytes:
        """The file with some nodes changed and all that link to them hashed again, and with `mentions` all that name them too."""
        made: dict[bytes, bytes] = {}
        blocks: dict[bytes, bytes] = {}

        def moved(value: Node) -> Node:
            if isinstance(value, dict):
                return {key: moved(item) for key, item in value.items()}
            if isinstance(value, list):
                return [moved(item) for item in value]
            if isinstance(value, bytes) and value in self.nodes:
                return again(value)
            if mentions and isinstance(value, str) and len(value) == 59 and value.startswith("baf"):
                id = _parsed(value)
                return str(Id(again(id))) if id in self.nodes else value
            return value

        def again(id: bytes) -> bytes:
            if id not in made:
                made[id] = id  # a change may have made a ring
                node: Node = changed.get(id, self.nodes[id])
                data = bytes(node) if ids.is_raw(id) else bytes(libipld.encode_dag_cbor(moved(node)))
                made[id] = bytes(ids.raw_id(data) if ids.is_raw(id) else ids.node_id(data))
                if id != without:
                    blocks[made[id]] = data
            return made[id]

        roots = [again(bytes(root)) for root in self.roots]
        for id in self.nodes:
            again(id)
        return car_of(roots, blocks)


def car_of(roots: list[bytes], blocks: dict[bytes, bytes]) -> bytes:
    """A CAR file, of whatever blocks."""
    parts = [libipld.encode_dag_cbor({"roots": roots, "version": 1}), *(id + data for id, data in blocks.items())]
    return b"".join(_varint(len(part)) + part for part in parts)


def mutated(file: File, others: list[File], chance: Random) -> bytes:
    """The file with one to three changes; `others` lend values."""
    mentions = chance.random() < 0.8
    places = list(file.places())
    changed: dict[bytes, Node] = {}
    if chance.random() < 0.03:
        return file.written({}, mentions=mentions, without=chance.choice(list(file.nodes)))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        id, path = chance.choice(places)
        node = changed.get(id, file.nodes[id])
        changed[id] = _with(node, path, partial(_other, path[-1:], chance.choice([file, file, *others]), chance))
    return file.written(changed, mentions=mentions)


def flipped(data: bytes, chance: Random) -> bytes:
    """The file with a few bits flipped, nothing hashed again."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2))):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _other(key: Path, lender: File, chance: Random, old: Node) -> Node:
    alike = [
        value
        for value in (_at(lender.nodes[id], path) for id, path in lender.places() if path[-1:] == key)
        if type(value) is type(old)
    ]
    if alike and chance.random() < 0.4:
        return chance.choice(alike)
    if isinstance(old, dict):
        return _other_map(old, chance)
    if isinstance(old, list):
        return _other_list(old, chance)
    if isinstance(old, bytes):
        return chance.choice([*lender.nodes, None, "x", old[::-1], b"\x00\x00"])
    if isinstance(old, str):
        names = [str(Id(id)) for id in lender.nodes]
        return chance.choice(
            [*TEXTS, old + "x", old[:-1], old[::-1], chance.choice(names), chance.choice(names), None, 1]
        )
    if isinstance(old, int):
        return chance.choice([old + 1, old - 1, old + 1, old - 1, *NUMBERS, None, "1"])
    return chance.choice([0, "", *lender.nodes])


def _other_map(old: dict[str, Node], chance: Random) -> Node:
    new = dict(old)
    what = chance.random()
    if what < 0.4 and new:
        del new[chance.choice(list(new))]
    elif what < 0.9:
        field = chance.choice(list(FIELDS))
        new[field] = chance.choice(FIELDS[field])
    else:
        return chance.choice([None, {}, [], ""])
    return new


def _other_list(old: list[Node], chance: Random) -> Node:
    new = list(old)
    what = chance.random()
    if what < 0.3 and new:
        new.pop(chance.randrange(len(new)))
    elif what < 0.6 and new:
        new.insert(chance.randrange(len(new) + 1), chance.choice(new))
    elif what < 0.9 and len(new) > 1:
        a, b = chance.sample(range(len(new)), 2)
        new[a], new[b] = new[b], new[a]
    else:
        return chance.choice([None, {}, []])
    return new


def _paths(node: Node, above: Path) -> Iterator[Path]:
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _at(node: Node, path: Path) -> Node:
    for key in path:
        node = node[key]
    return node


def _with(node: Node, path: Path, change: Callable[[Node], Node]) -> Node:
    if not path:
        return change(node)
    try:
        inner = node[path[0]]
    except (KeyError, IndexError, TypeError):
        return node  # an earlier change took it away
    new = dict(node) if isinstance(node, dict) else list(node)
    new[path[0]] = _with(inner, path[1:], change)
    return new


def _parsed(text: str) -> bytes:
    try:
        return bytes(ids.parse(text))
    except ValueError:
        return b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
