"""Large maps that are not what `build` would have made of their entries, as trees and as mailboxes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from typing import Any

from understudy.objects.ids import Id
from understudy.objects.message import Message, message_node
from understudy.store import hamt
from understudy.store.reader import Staging

COUNT = 90
_PREFIX = {"bigtree": b"", "bigmailbox": b"out/node/"}  # the keys of a mailbox are parties


def good_map(staging: Staging, kind: str, **changes: int) -> tuple[list[Any], int]:
    """Root and count of a map of 90 entries, as `staging` holds it; changes are values of single keys."""
    numbers = {f"caller-{number}": 0 for number in range(COUNT)} | changes
    values = {_PREFIX[kind] + key.encode(): value_of(staging, kind, number) for key, number in numbers.items()}
    return hamt.build(staging, values.items()), len(values)


def value_of(staging: Staging, kind: str, number: int) -> Any:
    """A good value of a map of this kind."""
    content = staging.put_blob(b"%d" % number)
    if kind == "bigtree":
        return content
    message = Message(
        to=str(staging.put_tree({})), sender="out/node/me", seq=1, type="t", content=content, headers={"n": str(number)}
    )
    return [1, staging.put_node(message_node(message))]


def owner(staging: Staging, kind: str, root: list[Any], count: int, **fields: int) -> Id:
    """The object that holds a map."""
    return staging.put_node({kind: [count, {"hamt": root, "hashAlg": 0x12, "bucketSize": 3} | fields]})


Forge = Callable[[Staging, str, list[Any], int], Id]


def _wrong_count(by: int) -> Forge:
    return lambda staging, kind, root, count: owner(staging, kind, root, count + by)


def _with_key(key: bytes, *, bare: bool = False) -> Forge:
    """One entry more, in its right place, whose name is none."""

    def forge(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
        name = key if bare else _PREFIX[kind] + key
        root, grown = hamt.update(staging, root, {name: value_of(staging, kind, 1)})
        return owner(staging, kind, root, count + grown)

    return forge


def _with_value(value: Any) -> Forge:
    """One entry more, with a value that is none of this kind."""

    def forge(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
        other = value_of(staging, "bigmailbox" if kind == "bigtree" else "bigtree", 1)
        root, grown = hamt.update(staging, root, {_PREFIX[kind] + b"odd": other if value == "other" else value})
        return owner(staging, kind, root, count + grown)

    return forge


def _with_child(make: Callable[[Staging, str, str], Any]) -> Forge:
    """One child replaced by something else; `make` is told the path of nibbles where it stands."""

    def forge(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
        nibble, link = _first_child(root)
        made = make(staging, kind, f"{nibble:x}")
        return owner(staging, kind, _replaced(root, nibble, made), count - _size(staging, link) + _size(staging, made))

    return forge


def _swapped(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
    """Two elements change their places."""
    bitmap, (first, second, *rest) = root
    return owner(staging, kind, [bitmap, [second, first, *rest]], count)


def _twice(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
    """A key stands a second time, in a node where it does not belong."""
    nibble, link = _first_child(root)
    bitmap, elements = staging.node(link)
    key = next(entry for bucket in elements if type(bucket) is list for entry in bucket)
    empty = next(free for free in range(16) if not int.from_bytes(bitmap, "little") >> free & 1)
    child = staging.put_node(_replaced([bitmap, elements], empty, [key]))
    return owner(staging, kind, _replaced(root, nibble, child), count + 1)


def _of_few(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
    """A map of 64 entries, which should be flat."""
    keys = [key for key, _ in hamt.items(staging, root)][64:]
    root, grown = hamt.update(staging, root, dict.fromkeys(keys))
    return owner(staging, kind, root, count + grown)


def _of_few_that_says_more(staging: Staging, kind: str, root: list[Any], count: int) -> Id:
    return owner(staging, kind, hamt.build(staging, [(_PREFIX[kind] + b"a", value_of(staging, kind, 1))]), count)


def _uncollapsed(staging: Staging, kind: str, path: str) -> Any:
    """A node for two entries, where a bucket would do."""
    slots: dict[int, list[Any]] = {}
    for key in _keys_below(kind, path, 2):
        slots.setdefault(int(sha256(key).hexdigest()[1], 16), []).append([key, value_of(staging, kind, 1)])
    return staging.put_node(_node({nibble: sorted(bucket) for nibble, bucket in slots.items()}))


def _endless(staging: Staging, kind: str, path: str) -> Any:
    """Nodes one below the other, deeper than a digest has digits."""
    keys = _keys_below(kind, path, 4)
    node = staging.put_node(_node({nibble: [[keys[nibble], value_of(staging, kind, 1)]] for nibble in range(4)}))
    for _ in range(80):
        node = staging.put_node(_node({0: node}))
    return node


def _keys_below(kind: str, path: str, count: int) -> list[bytes]:
    keys = (_PREFIX[kind] + b"k%d" % number for number in range(10_000))
    return list(islice((key for key in keys if sha256(key).hexdigest().startswith(path)), count))


def _first_child(root: list[Any]) -> tuple[int, Id]:
    bits = [bit for bit in range(16) if int.from_bytes(root[0], "little") >> bit & 1]
    return next((bit, element) for bit, element in zip(bits, root[1], strict=True) if type(element) is not list)


def _replaced(node: list[Any], nibble: int, element: Any) -> list[Any]:
    bits = [bit for bit in range(16) if int.from_bytes(node[0], "little") >> bit & 1]
    return _node(dict(zip(bits, node[1], strict=True)) | {nibble: element})


def _node(slots: dict[int, Any]) -> list[Any]:
    bitmap = sum(1 << nibble for nibble in slots).to_bytes(2, "little")
    return [bitmap, [slots[nibble] for nibble in sorted(slots)]]


def _size(staging: Staging, element: Any) -> int:
    if type(element) is list:
        return len(element)
    node = staging.node(element)
    return sum(_size(staging, below) for below in node[1]) if isinstance(node, list) else 0


FORGED: dict[str, Forge] = {
    "a count too high": _wrong_count(1),
    "a count too low": _wrong_count(-1),
    "a huge count": _wrong_count(2**62),
    "a name that is empty": _with_key(b"", bare=True),
    "a name that is two dots": _with_key(b"..", bare=True),
    "a name with a control character": _with_key(b"a\n"),
    "a name that is not UTF-8": _with_key(b"\xff"),
    "a name that is too long": _with_key(b"x" * 256),
    "a name of neither kind": _with_key(b"a/b", bare=True),
    "a value that is a text": _with_value("text"),
    "a value that is a number": _with_value(1),
    "a value that is a list": _with_value([]),
    "a value of the other kind": _with_value("other"),
    "a child that is a plain tree": _with_child(lambda staging, *_: staging.put_tree({})),
    "a child that is a patch": _with_child(lambda staging, *_: staging.put_node({"patch": {"a": None}})),
    "a child that belongs into a bucket": _with_child(_uncollapsed),
    "nodes without an end": _with_child(_endless),
    "two elements in each other's place": _swapped,
    "a key that stands twice": _twice,
    "64 entries": _of_few,
    "one entry": _of_few_that_says_more,
    "another hash": lambda staging, kind, root, count: owner(staging, kind, root, count, hashAlg=0x13),
    "another bucket size": lambda staging, kind, root, count: owner(staging, kind, root, count, bucketSize=4),
}
