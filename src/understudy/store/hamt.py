"""Large maps: an IPLD HashMap of bit width 4 and bucket size 3, as functions over a reader and a place for nodes.

The law: the form depends on the content alone, whatever was set and deleted before, one by one or all at once.
After <https://ipld.io/specs/advanced-data-layouts/hamt/spec/>; docs/FORMAT.md section 5 fixes the parameters.

A map is given by its root node, `[bitmap, elements]`. A value is anything that a node may hold, but not None.
No function changes a node that it was given or read. Every function raises Missing, Corrupt and WrongKind.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from understudy.objects.errors import WrongKind
from understudy.objects.hamt import BUCKET_SIZE, MAX_LEVELS, bitmap_of, check_hamt_node, check_inner_node
from understudy.objects.ids import NODE, Id
from understudy.store.recent import Recent

EMPTY: Final[list[Any]] = [b"\x00\x00", []]

_BYTES: Final = frozenset({bytes})
_REMEMBERED: Final = 32 * 1024 * 1024  # some 100,000 nodes: more than a step of the largest maps changes
_Changed = tuple[bytes, Any, Any]


class Nodes(Protocol):
    """Where inner nodes come from. What it gives is shared and is never changed here."""

    def node(self, id: bytes) -> Any:
        """A dag-cbor block, decoded."""


class Staged(Nodes, Protocol):
    """Where inner nodes come from and new ones go."""

    def put_node(self, node: Any) -> Id:
        """Encode and stage a node; it must not change afterwards."""


class _Entry(NamedTuple):
    digest: bytes
    key: bytes
    value: Any


def get(nodes: Nodes, root: list[Any], key: bytes) -> Any:
    """The value of a key, None if it has none. Reads one node per level, about log16 of the number of entries."""
    digest, node = sha256(key).digest(), root
    for level in range(MAX_LEVELS):
        bitmap, nibble = bitmap_of(node), _nibble(digest, level)
        if not bitmap >> nibble & 1:
            return None
        element = node[1][_place(bitmap, nibble)]
        if type(element) is list:
            return _entries(element).get(key)
        node = _child(nodes, element)
    raise _too_deep()


def update(staged: Staged, root: list[Any], changes: Mapping[bytes, Any]) -> tuple[list[Any], int]:
    """The root after the changes (None deletes), and by how many entries the map grew; negative if it shrank.

    Returns `root` itself if nothing changed. Each inner node on the way to a change is read and written once.
    """
    entries = [_Entry(sha256(key).digest(), key, value) for key, value in changes.items()]
    return _change(staged, root, entries, 0)


def build(staged: Staged, entries: Iterable[tuple[bytes, Any]]) -> list[Any]:
    """The root of a map of these entries; keys may come in any order, but each only once."""
    return _new_node(staged, [_Entry(sha256(key).digest(), key, value) for key, value in entries], 0)


def items(nodes: Nodes, root: list[Any]) -> Iterator[tuple[bytes, Any]]:
    """All entries, in an order that the content fixes: along the digests of the keys, by key within a bucket."""
    waiting = [iter(check_hamt_node(root)[1])]
    while waiting:
        element = next(waiting[-1], None)
        if element is None:
            waiting.pop()
        elif type(element) is list:
            yield from _entries(element).items()
        elif len(waiting) == MAX_LEVELS:
            raise _too_deep()
        else:
            waiting.append(iter(check_hamt_node(_child(nodes, element))[1]))


def split(node: list[Any]) -> tuple[list[Any], list[Id]]:
    """What stands in one node's own buckets, unchecked, and the nodes below it: for who remembers what was below each."""
    bitmap_of(node)
    entries: list[Any] = []
    below: list[Id] = []
    for element in node[1]:
        if type(element) is list:
            entries += element
        else:
            below.append(_checked_link(element))
    return entries, below


def differences(nodes: Nodes, ours: list[Any], theirs: list[Any]) -> Iterator[tuple[bytes, Any, Any]]:
    """Each key whose values differ, with both (None where there is none), in the order of `items`.

    Reads only nodes that differ.
    """
    waiting: list[tuple[Any, Any, int]] = [(ours, theirs, 0)]
    while waiting:
        left, right, level = waiting.pop()
        left, right = _opened(nodes, left), _opened(nodes, right)
        if isinstance(left, dict) and isinstance(right, dict):
            for key in sorted({*left, *right}):
                if left.get(key) != right.get(key):
                    yield key, left.get(key), right.get(key)
        elif level == MAX_LEVELS:
            raise _too_deep()
        else:
            left, right = _slots(left, level), _slots(right, level)
            pairs = [(left.get(nibble), right.get(nibble)) for nibble in range(15, -1, -1)]
            waiting += [(a, b, level + 1) for a, b in pairs if a != b]


def new_values(nodes: Nodes, root: list[Any], before: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Each value that `before` does not have in the same bucket, with the one that it has there (None: it has none).

    Reads only nodes that differ, and looks at nothing else in them. Raises WrongKind.
    """
    waiting: list[tuple[Any, Any, int]] = [(root, before, 0)]
    while waiting:
        node, old, level = waiting.pop()
        if level == MAX_LEVELS:
            raise _too_deep()
        new: list[Any] = []  # entries of all buckets in whose places there is no bucket in `before`
        for element, was in _paired(node, old):
            if element == was:
                continue
            if type(element) is not list:
                below = None if was is None or type(was) is list else _child(nodes, was)
                waiting.append((_child(nodes, element), below, level + 1))
            elif type(was) is list:
                known = _entries(was)
                yield from (
                    (value, known.get(key)) for key, value in _entries(element).items() if known.get(key) != value
                )
            else:
                new += element
        yield from ((value, None) for value in _entries(new).values())


def _paired(node: Any, old: Any) -> Iterator[tuple[Any, Any]]:
    """The elements of a node, each with the one that stands in its place in another."""
    bitmap, before = bitmap_of(node), 0 if old is None else bitmap_of(old)
    if bitmap == before:
        yield from zip(node[1], old[1], strict=True)
        return
    nibbles = [nibble for nibble in range(16) if bitmap >> nibble & 1]
    for nibble, element in zip(nibbles, node[1], strict=True):
        yield element, old[1][_place(before, nibble)] if before >> nibble & 1 else None


class MapCheck:
    """Checks large maps of one store, each against the one before it at the cost of what changed.

    The law: a map is what `build` would have made of its entries. What was checked at a place is not read again there.
    """

    def __init__(self, nodes: Nodes, remembered: int = _REMEMBERED) -> None:
        """`remembered`: bytes for what was found below the nodes that were read last."""
        self._nodes = nodes
        self._counts: Recent[tuple[str, str, bytes], int] = Recent(remembered)

    def changes(
        self, root: list[Any], count: int, *, kind: str, before: tuple[list[Any], int] | None = None
    ) -> Iterator[tuple[bytes, Any, Any]]:
        """Each entry that is new or changed, with its value and the one before (None: there was none).

        `before` is root and count of a map that was checked; without it, all entries are new, but for those below nodes
        that this object read at the same place in another map of the same kind. Names and values are the caller's to
        check. Raises WrongKind, at the latest after the last entry.
        """
        old, total = (EMPTY, 0) if before is None else before
        grown = yield from self._slots(check_hamt_node(root), old, "", kind)
        if total + grown != count:
            raise WrongKind(f"a large map says that it has {count:,} entries and has {total + grown:,}")

    def _slots(self, new: Any, old: Any, path: str, kind: str) -> Generator[_Changed, None, int]:
        """Two nodes at one place, the path of nibbles that leads there; gives by how many entries the map grew."""
        level, grown = len(path), 0
        now, then = _by_nibble(new, level), _by_nibble(old, level)
        for nibble, element in now.items():
            before = then.pop(nibble, None)
            if element != before:
                grown += yield from self._element(element, before, f"{path}{nibble:x}", kind)
        return grown - sum(self._count(element, f"{path}{nibble:x}", kind) for nibble, element in then.items())

    def _element(self, new: Any, old: Any, path: str, kind: str) -> Generator[_Changed, None, int]:
        if type(new) is list:
            return (yield from self._bucket(new, old, path, kind))
        if len(path) == MAX_LEVELS:
            raise _too_deep()
        place = kind, path, bytes(new)
        known = self._counts.get(place)
        if old is None and known is not None:
            return known
        node = check_inner_node(_child(self._nodes, new))
        grown = yield from self._slots(node, _opened(self._nodes, old), path, kind)
        if old is None:
            self._counts.put(place, grown, len(path))
        return grown

    def _bucket(self, new: list[Any], old: Any, path: str, kind: str) -> Generator[_Changed, None, int]:
        for key, value in new:
            digest = sha256(key)
            if not digest.hexdigest().startswith(path):
                raise WrongKind("a large map holds a key in a place that its digest does not lead to")
            before = self._find(old, key, digest.digest(), len(path))
            if before != value:
                yield key, value, before
        return len(new) - (0 if old is None else self._count(old, path, kind))

    def _find(self, element: Any, key: bytes, digest: bytes, level: int) -> Any:
        """The value of a key below an element of a checked map."""
        while element is not None and type(element) is not list:
            if level == MAX_LEVELS:
                raise _too_deep()
            element = _by_nibble(_child(self._nodes, element), level).get(_nibble(digest, level))
            level += 1
        return None if element is None else _entries(element).get(key)

    def _count(self, element: Any, path: str, kind: str) -> int:
        """How many entries are below an element of a checked map."""
        if type(element) is list:
            return len(element)
        known = self._counts.get((kind, path, bytes(element)))
        if known is not None:
            return known
        if len(path) == MAX_LEVELS:
            raise _too_deep()
        below = _by_nibble(_child(self._nodes, element), len(path))
        return sum(self._count(each, f"{path}{nibble:x}", kind) for nibble, each in below.items())


def check(nodes: Nodes, root: list[Any], count: int) -> None:
    """Read the whole map; raise WrongKind unless it is what `build` would have made of its `count` entries."""
    for _ in MapCheck(nodes).changes(root, count, kind=""):
        pass  # Reading to the end compares the count.


def _change(staged: Staged, node: list[Any], entries: list[_Entry], level: int) -> tuple[list[Any], int]:
    if level == MAX_LEVELS:
        raise _too_deep()
    bitmap, old = bitmap_of(node), node[1]
    elements, grown = list(old), 0
    for nibble, group in _grouped(entries, level):
        at, bit = _place(bitmap, nibble), 1 << nibble
        element = elements[at] if bitmap & bit else []
        new, more = _change_element(staged, element, group, level)
        grown += more
        if bitmap & bit and new:
            elements[at] = new
        elif new:
            elements.insert(at, new)
            bitmap |= bit
        elif bitmap & bit:
            del elements[at]
            bitmap ^= bit
    return (node, 0) if elements == old else ([bitmap.to_bytes(2, "little"), elements], grown)


def _change_element(staged: Staged, element: Any, entries: list[_Entry], level: int) -> tuple[Any, int]:
    """The element after the changes, empty if nothing is left, and by how many entries it grew."""
    if type(element) is list:
        return _change_bucket(staged, element, entries, level)
    child = _child(staged, element)
    new, grown = _change(staged, child, entries, level + 1)
    if new is child:
        return element, 0
    # The rule that makes the form independent of history: three entries or fewer never have a node of their own.
    if len(new[1]) <= BUCKET_SIZE and all(type(below) is list for below in new[1]):
        left = [entry for bucket in check_hamt_node(new)[1] for entry in bucket]
        if len(left) <= BUCKET_SIZE:
            return sorted(left, key=itemgetter(0)), grown
    return staged.put_node(new), grown


def _change_bucket(staged: Staged, bucket: list[Any], entries: list[_Entry], level: int) -> tuple[Any, int]:
    old = _entries(bucket)
    new = {**old, **{key: value for _, key, value in entries}}
    kept = [[key, value] for key, value in sorted(new.items()) if value is not None]
    if len(kept) > BUCKET_SIZE:
        digests = [_Entry(sha256(key).digest(), key, value) for key, value in kept]
        return staged.put_node(_new_node(staged, digests, level + 1)), len(kept) - len(old)
    return kept, len(kept) - len(old)


def _new_node(staged: Staged, entries: list[_Entry], level: int) -> list[Any]:
    if level == MAX_LEVELS:
        raise _too_deep()
    bitmap = 0
    elements: list[Any] = []
    for nibble, group in _grouped(entries, level):
        bitmap |= 1 << nibble
        if len(group) > BUCKET_SIZE:
            elements.append(staged.put_node(_new_node(staged, group, level + 1)))
        else:
            elements.append(sorted([key, value] for _, key, value in group))
    return [bitmap.to_bytes(2, "little"), elements]


def _grouped(entries: list[_Entry], level: int) -> list[tuple[int, list[_Entry]]]:
    """The entries by their nibble at this level, in order of the nibbles."""
    if len(entries) == 1:
        return [(_nibble(entries[0].digest, level), entries)]
    groups: dict[int, list[_Entry]] = {}
    byte, high = level >> 1, not level & 1
    for entry in entries:
        digit = entry[0][byte]
        groups.setdefault(digit >> 4 if high else digit & 15, []).append(entry)
    return sorted(groups.items())


def _slots(node: Any, level: int) -> dict[int, Any]:
    """The elements of a node by nibble, checked; of a bucket that stands where the other map has a node, those it would have."""
    return _by_nibble(node if isinstance(node, dict) else check_hamt_node(node), level)


def _by_nibble(node: Any, level: int) -> dict[int, Any]:
    """The same of a node whose elements were checked."""
    if isinstance(node, dict):
        slots: dict[int, Any] = {}
        for key, value in sorted(node.items()):
            slots.setdefault(_nibble(sha256(key).digest(), level), []).append([key, value])
        return slots
    bitmap = bitmap_of(node)
    return dict(zip((nibble for nibble in range(16) if bitmap >> nibble & 1), node[1], strict=True))


def _opened(nodes: Nodes, element: Any) -> Any:
    """A bucket, or nothing, as a dict; a link as the node behind it; a root as it is."""
    if element is None:
        return {}
    if type(element) is not list:
        return _child(nodes, element)
    return element if element and type(element[0]) is bytes else _entries(element)


def _entries(bucket: list[Any]) -> dict[bytes, Any]:
    try:
        entries: dict[bytes, Any] = dict(bucket)
    except (TypeError, ValueError):
        entries = {}
    if len(entries) != len(bucket) or not _BYTES.issuperset(map(type, entries)):
        raise WrongKind(f"not a bucket of a large map: {bucket!r}; expected entries [key, value]")
    return entries


def _child(nodes: Nodes, element: Any) -> Any:
    return nodes.node(_checked_link(element))


def _checked_link(element: Any) -> Id:
    if not isinstance(element, bytes) or len(element) != 36 or element[:4] != NODE:
        raise WrongKind(f"not an element of a large map: {element!r}; expected a bucket or a link to a node")
    return element  # type: ignore[return-value]


def _nibble(digest: bytes, level: int) -> int:
    byte = digest[level >> 1]
    return byte & 15 if level & 1 else byte >> 4


def _place(bitmap: int, nibble: int) -> int:
    return (bitmap & ((1 << nibble) - 1)).bit_count()


def _too_deep() -> WrongKind:
    return WrongKind(f"a large map is more than {MAX_LEVELS} levels deep: keys whose digests are equal")
