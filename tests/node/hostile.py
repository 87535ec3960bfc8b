"""Mutations of honest histories: a field of some object is changed, and every hash above it is made right again."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from understudy.objects import ids
from understudy.objects.codec import Block, decode, encode
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, node_id

STRANGE: tuple[Any, ...] = (
    None, 0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), "", "x", "x" * 300, "a/b", "..", "ok", "out/a/b", "python/2",
    "kernel/1", "wasm/1;config=0000000000000000", "0" * 64, [], {}, [[]], {"x": 1}, [None] * 3, b"", b"ab", b"\x00" * 36,
)  # fmt: skip
Path = tuple[Any, ...]


class History:
    """The blocks of an honest history, from which mutated ones are made."""

    def __init__(self, head: bytes, blocks: Mapping[bytes, bytes]) -> None:
        self.head = head
        self._blocks = dict(blocks)
        self._nodes = {id: decode(data) for id, data in blocks.items() if not ids.is_raw(id)}
        self._order = sorted(self._nodes)

    def mutated(self, chance: Random) -> tuple[Id, list[Block]]:
        """Another head, and all blocks below it that are new."""
        victim = chance.choice(self._order)
        changed = _mutate(self._nodes[victim], chance, [*self._order, *self._blocks])
        new: list[Block] = []
        return self._rebuilt(self.head, {victim: changed}, new, {}), new

    def _rebuilt(self, id: bytes, changes: Mapping[bytes, Any], new: list[Block], done: dict[bytes, Id]) -> Id:
        if id in done or id not in self._nodes:
            return done.get(id, Id(id))
        done[id] = Id(id)  # A mutation may have made a circle; it ends here.
        node = changes.get(id, self._nodes[id])
        node = _with_links(node, lambda link: self._rebuilt(link, changes, new, done))
        data = encode(node)
        done[id] = node_id(data)
        if done[id] != id:
            new.append(Block(done[id], data))
        return done[id]


def _with_links(value: Any, replaced: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_links(each, replaced) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_links(each, replaced) for each in value]
    if isinstance(value, bytes):
        try:
            return replaced(ids.from_bytes(value))
        except ObjectError:
            return value
    return value


def _mutate(node: Any, chance: Random, known: list[bytes]) -> Any:
    places = list(_places(node))
    path = chance.choice(places)
    how = chance.randrange(6)
    value = _at(node, path)
    if how == 0 and path:
        return _put(node, path, None, delete=True)
    if how == 1 and isinstance(value, dict):
        return _put(
            node, path, {**value, chance.choice(["x", "parent", "lane", "tree", "hamt"]): chance.choice(STRANGE)}
        )
    if how == 2 and isinstance(value, list) and value:
        return _put(node, path, [*value, value[chance.randrange(len(value))]])
    if how == 3:
        return _put(node, path, Id(chance.choice(known)))
    if how == 4 and isinstance(value, str):
        return _put(node, path, str(Id(chance.choice(known))))
    return _put(node, path, chance.choice(STRANGE))


def _places(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: Path, new: Any, *, delete: bool = False) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and delete:
        del copy[path[0]]
    else:
        copy[path[0]] = _put(value[path[0]], path[1:], new, delete=delete)
    return copy
