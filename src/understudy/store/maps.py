"""Trees and mailboxes of any size: reading, making and changing them.

The law: the same entries have the same id, whatever the order and the history in which they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from functools import partial
from typing import Any, NamedTuple

from understudy.objects import ids
from understudy.objects.errors import BadName, WrongKind
from understudy.objects.hamt import BigMap, open_big_map
from understudy.objects.ids import RAW, Id, TreeId
from understudy.objects.mailbox import (
    MAX_INLINE,
    Cursor,
    Mailbox,
    big_mailbox_node,
    moved,
    open_big_mailbox,
    read_big_mailbox,
    read_cursor,
    split_key,
)
from understudy.objects.names import check_name, check_names
from understudy.objects.patch import Patch
from understudy.objects.tree import FLAT, big_tree_node, describe_kind, flat_tree_node, is_tree_node, read_tree_node
from understudy.store import hamt
from understudy.store.hamt import MapCheck, Nodes, Staged


def tree_entry(nodes: Nodes, tree: bytes, name: str) -> Id | None:
    """One entry of a tree, None if it is not there; looks at nothing else. Raises WrongKind if `tree` is none."""
    node = nodes.node(tree)
    entries = node.get("tree") if type(node) is dict and len(node) == 1 else None
    # A step asks the root of its core for half a dozen entries, so small trees are looked at here.
    if type(entries) is not dict or len(entries) > FLAT:
        entries = _entries(nodes, tree)
        if isinstance(entries, BigMap):
            return find_big(nodes, entries, name)
    found = entries.get(name)
    return found if found is None or type(found) is Id else ids.from_bytes(found)


def tree_len(nodes: Nodes, tree: bytes, name: str) -> int:
    """How many entries the tree at a name of a tree has, 0 if it is not there. Raises WrongKind if there is another object."""
    found = tree_entry(nodes, tree, name)
    if found is None:
        return 0
    entries = _entries(nodes, found)
    return entries.count if isinstance(entries, BigMap) else len(entries)


def small_entries(nodes: Nodes, tree: bytes) -> Mapping[str, bytes] | None:
    """The entries of a small tree as its node holds them, not checked; None for a large one. Raises WrongKind if it is none."""
    entries = _entries(nodes, tree)
    return None if isinstance(entries, BigMap) else entries


def find_big(nodes: Nodes, big: BigMap, name: str) -> Id | None:
    """One entry of a large tree, None if it is not there."""
    found = hamt.get(nodes, big.root, _key(name))
    return None if found is None else _link(found)


def tree_pairs(nodes: Nodes, entries: dict[str, Id] | BigMap) -> Iterator[tuple[str, Id]]:
    """All entries of what a tree's node holds: by name when flat, along the sha256 of the names when large."""
    return iter(sorted(entries.items())) if isinstance(entries, dict) else _big_tree_items(nodes, entries)


def same_entries(nodes: Nodes, a: bytes, b: bytes, names: Collection[str]) -> bool:
    """True if two trees have the same at each of these names. Raises WrongKind if one of them is no tree."""
    ours, theirs = _entries(nodes, a), _entries(nodes, b)
    if isinstance(ours, BigMap) or isinstance(theirs, BigMap):
        return all(tree_entry(nodes, a, name) == tree_entry(nodes, b, name) for name in names)
    return all(ours.get(name) == theirs.get(name) for name in names)


def differ_in_blobs(nodes: Nodes, before: bytes, after: bytes, *, but: Set[str]) -> bool:
    """True if all that is new in a small tree are blobs, and two have the same at the names `but`. False for large ones.

    Raises WrongKind if one of them is no tree.
    """
    old, new = _entries(nodes, before), _entries(nodes, after)
    if isinstance(old, BigMap) or isinstance(new, BigMap):
        return False
    find = old.get
    for name, id in new.items():
        if find(name) != id and (name in but or not ids.is_raw(_link(id))):
            return False
    return old.keys() <= new.keys() or but.isdisjoint(old.keys() - new.keys())


def new_nodes(nodes: Nodes, tree: bytes, before: bytes | None) -> Iterator[tuple[Id, Id | None]]:
    """Each entry of a tree that is no raw block and not the same in `before`, with what that has there. Raises WrongKind."""
    new, old = _entries(nodes, tree), {} if before is None else _entries(nodes, before)
    if isinstance(new, BigMap):
        pairs = hamt.new_values(nodes, new.root, old.root if isinstance(old, BigMap) else hamt.EMPTY)
    else:
        find = old.get if isinstance(old, dict) else partial(find_big, nodes, old)
        pairs = ((id, was) for name, id in new.items() if (was := find(name)) != id)
    for id, was in pairs:
        # Most are blobs, and a large map may have a million of them.
        if isinstance(id, bytes) and id[:4] == RAW and len(id) == ids.ID_BYTES:
            continue
        if not ids.is_raw(_link(id)):
            yield Id(id), None if was is None else _link(was)


def build_tree(staged: Staged, entries: Mapping[str, bytes]) -> TreeId:
    """Stage a tree of any size; a million entries take some seconds. Raises BadName."""
    check_names(entries)
    return _stage_tree(staged, entries)


def edit_tree(staged: Staged, tree: bytes, changes: Mapping[str, bytes | None]) -> TreeId:
    """The tree with some entries set, or with None removed; removing what is not there changes nothing.

    Costs the size of a flat tree, and one node per level of a large one. Entries that stay are not judged again.
    Raises BadName for a new name, WrongKind if `tree` is no tree.
    """
    old = _entries(staged, tree)
    if isinstance(old, BigMap):
        return _edit_big_tree(staged, tree, old, changes)
    new = dict(old)
    for name, id in changes.items():
        if id is None:
            new.pop(name, None)
        else:
            if name not in new:
                check_name(name)
            new[name] = id
    return TreeId(Id(tree)) if new == old else _stage_tree(staged, new)


def patch_tree(staged: Staged, root: bytes, patch: Patch) -> TreeId:
    """The tree with the paths of a patch set and removed, as docs/FORMAT.md section 8 says.

    Raises WrongKind, naming the path, if an object that is no tree stands where a tree is needed; BadName.
    """
    return _patch(staged, root, _nested(patch), above="")


def diff_trees(nodes: Nodes, a: bytes, b: bytes) -> Iterator[tuple[str, Id | None, Id | None]]:
    """Each path at which two trees differ, with what stands there in both (None: nothing).

    Goes down where both sides hold a tree and never into equal ids; a tree that only one side has is one difference.
    Depth first, in the order in which a TreeView lists; for two objects that are not both trees the path is empty.
    """
    waiting: list[tuple[str, Id | None, Id | None]] = [("", Id(a), Id(b))]
    while waiting:
        path, ours, theirs = waiting.pop()
        if ours == theirs:
            continue
        if ours is None or theirs is None or not (_is_tree(nodes, ours) and _is_tree(nodes, theirs)):
            yield path, ours, theirs
            continue
        above = f"{path}/" if path else ""
        below = [(above + name, left, right) for name, left, right in _differences(nodes, ours, theirs)]
        waiting += reversed(below)


def entry_changes(nodes: Nodes, before: bytes, after: bytes) -> Iterator[tuple[str, Id | None]]:
    """Each name that differs between two trees, with what the second has there; one after the other, in no order of names."""
    old, new = _entries(nodes, before), _entries(nodes, after)
    if isinstance(old, BigMap) == isinstance(new, BigMap):
        yield from ((name, now) for name, _, now in _differences(nodes, Id(before), Id(after)))
        return
    for name, id in tree_pairs(nodes, _checked(new)):
        if tree_entry(nodes, before, name) != id:
            yield name, id
    for name, _ in tree_pairs(nodes, _checked(old)):
        if tree_entry(nodes, after, name) is None:
            yield name, None


def _checked(entries: dict[str, bytes] | BigMap) -> dict[str, Id] | BigMap:
    return entries if isinstance(entries, BigMap) else {name: _link(id) for name, id in entries.items()}


def mailbox_get(nodes: Nodes, mailbox: Mailbox, key: str) -> Cursor | None:
    """The cursor of a mailbox key, None if there was no message yet."""
    if not isinstance(mailbox, bytes):
        return mailbox.get(key)
    value = hamt.get(nodes, open_big_mailbox(nodes.node(mailbox)).root, key.encode())
    return None if value is None else read_cursor(value)


def mailbox_set(staged: Staged, mailbox: Mailbox, changes: Mapping[str, Cursor]) -> Mailbox:
    """The mailbox with some cursors moved. Keys come from `mailbox_key`; none is ever removed."""
    if not isinstance(mailbox, bytes):
        flat = moved(mailbox, changes)
        if len(flat) <= MAX_INLINE:
            return flat
        root = hamt.build(staged, ((key.encode(), list(cursor)) for key, cursor in flat.items()))
        return staged.put_node(big_mailbox_node(BigMap(len(flat), root)))
    big = open_big_mailbox(staged.node(mailbox))
    root, grown = hamt.update(staged, big.root, {key.encode(): list(cursor) for key, cursor in changes.items()})
    return mailbox if root is big.root else staged.put_node(big_mailbox_node(BigMap(big.count + grown, root)))


def split_tree_node(node: list[Any], *, suffix: bytes) -> tuple[int, list[tuple[str, Id]], list[Id]]:
    """For who searches large trees again and again, and remembers what was below each node.

    How many entries stand in this node, those of them that are no raw block or whose names end with the suffix, and the
    nodes below. Only what is given back is checked. Raises WrongKind.
    """
    entries, below = hamt.split(node)
    try:
        wanted = [(key, value) for key, value in entries if value[:4] != RAW or key.endswith(suffix)]
    except (TypeError, ValueError, AttributeError) as error:
        raise WrongKind(f"not a tree: {error}") from error
    return len(entries), [(_tree_name(key), _link(value)) for key, value in wanted], below


def mailbox_items(nodes: Nodes, mailbox: Mailbox) -> Iterator[tuple[str, Cursor]]:
    """All keys and cursors: by key when inline, along the sha256 of the keys when large."""
    if not isinstance(mailbox, bytes):
        yield from sorted(mailbox.items())
        return
    for key, value in hamt.items(nodes, open_big_mailbox(nodes.node(mailbox)).root):
        yield _mailbox_key(key), read_cursor(value)


def tree_changes(
    nodes: Nodes, maps: MapCheck, tree: bytes, *, before: bytes | None = None, kind: str = "tree"
) -> Iterator[tuple[str, Id, Id | None]]:
    """Check a tree's own entries: each that is new or changed since `before`, a tree that was checked, with what it was.

    For `maps` and `kind` see `MapCheck.changes`. Raises WrongKind, at the latest after the last entry.
    """
    new, old = read_tree_node(nodes.node(tree)), {} if before is None else _entries(nodes, before)
    if isinstance(new, dict):
        entries: Iterator[tuple[str, Id, Any]] = ((name, id, None) for name, id in new.items())
    else:
        root = (old.root, old.count) if isinstance(old, BigMap) else None
        changed = maps.changes(new.root, new.count, kind=kind, before=root)
        entries = ((_tree_name(key), _link(value), was) for key, value, was in changed)
    for name, id, was in entries:
        if isinstance(old, dict):
            was = old.get(name)
        elif isinstance(new, dict):
            was = find_big(nodes, old, name)
        if was != id:
            yield name, id, None if was is None else _link(was)


def mailbox_changes(
    nodes: Nodes, maps: MapCheck, mailbox: bytes, *, before: bytes | None = None
) -> Iterator[tuple[str, Cursor, Cursor | None]]:
    """The same for a mailbox above 64 entries."""
    new = read_big_mailbox(nodes.node(mailbox))
    old = None if before is None else open_big_mailbox(nodes.node(before))
    root = None if old is None else (old.root, old.count)
    for key, value, was in maps.changes(new.root, new.count, kind="mailbox", before=root):
        yield _mailbox_key(key), read_cursor(value), None if was is None else read_cursor(was)


def check_map(nodes: Nodes, id: bytes, maps: MapCheck | None = None) -> None:
    """Read all of a tree's or a mailbox's own entries and raise WrongKind unless each is good and in its place."""
    changes = tree_changes if is_tree_node(nodes.node(id)) else mailbox_changes
    for _ in changes(nodes, maps or MapCheck(nodes), id):
        pass  # Reading to the end compares the count.


def _entries(nodes: Nodes, tree: bytes) -> dict[str, bytes] | BigMap:
    """What a tree's node holds, with the least check: this is on the way of every step."""
    node = nodes.node(tree)
    if type(node) is dict and len(node) == 1:
        flat = node.get("tree")
        if type(flat) is dict and len(flat) <= FLAT:
            return flat
        if "bigtree" in node:
            return open_big_map(node["bigtree"], above=FLAT)
    raise WrongKind(f"{Id(tree)} is not a tree: it is {describe_kind(node)}")


def _stage_tree(staged: Staged, entries: Mapping[str, bytes]) -> TreeId:
    if len(entries) <= FLAT:
        return TreeId(staged.put_node(flat_tree_node(entries)))
    root = hamt.build(staged, ((name.encode(), id) for name, id in entries.items()))
    return TreeId(staged.put_node(big_tree_node(BigMap(len(entries), root))))


def _edit_big_tree(staged: Staged, tree: bytes, big: BigMap, changes: Mapping[str, bytes | None]) -> TreeId:
    for name, id in changes.items():
        if id is not None:
            check_name(name)
    root, grown = hamt.update(staged, big.root, {_key(name): id for name, id in changes.items()})
    if root is big.root:
        return TreeId(Id(tree))
    new = BigMap(big.count + grown, root)
    if new.count > FLAT:
        return TreeId(staged.put_node(big_tree_node(new)))
    return _stage_tree(staged, dict(_big_tree_items(staged, new)))


def _big_tree_items(nodes: Nodes, big: BigMap) -> Iterator[tuple[str, Id]]:
    for key, value in hamt.items(nodes, big.root):
        yield _tree_name(key), _link(value)


def _key(name: str) -> bytes:
    # Names that no tree can hold are asked for too, and are simply not there.
    return name.encode("utf-8", "surrogatepass")


def _link(value: Any) -> Id:
    if not isinstance(value, bytes):
        raise WrongKind(f"not a tree: the value {value!r} of an entry is no link")
    return ids.from_bytes(value)


def _tree_name(key: bytes) -> str:
    try:
        return check_name(key.decode())
    except (AttributeError, UnicodeDecodeError, BadName) as error:
        raise WrongKind(f"not a tree: {error}") from error


def _mailbox_key(key: bytes) -> str:
    try:
        text = key.decode()
        split_key(text)
    except (UnicodeDecodeError, BadName) as error:
        raise WrongKind(f"not a mailbox: {error}") from error
    return text


class _Changes(NamedTuple):
    """A patch as a tree: the changes in one directory, and those in the directories below it."""

    here: dict[str, Id | None]
    below: dict[str, _Changes]

    def adds(self) -> bool:
        return any(id is not None for id in self.here.values()) or any(each.adds() for each in self.below.values())


def _nested(patch: Patch) -> _Changes:
    top = _Changes({}, {})
    for path, id in patch.items():
        *way, last = path.split("/")
        at = top
        for name in way:
            at = at.below.setdefault(name, _Changes({}, {}))
        at.here[last] = id
    return top


def _patch(staged: Staged, tree: bytes, changes: _Changes, *, above: str) -> TreeId:
    new = dict(changes.here)
    for name, inner in changes.below.items():
        path = above + name
        child = tree_entry(staged, tree, name)
        if child is not None and _is_tree(staged, child):
            new[name] = _patch(staged, child, inner, above=path + "/")
        elif inner.adds():
            if child is not None:
                raise WrongKind(
                    f"nothing can be put below {path!r}: {_describe(staged, child)} stands there, not a tree"
                )
            new[name] = _patch(staged, staged.put_node(flat_tree_node({})), inner, above=path + "/")
    return edit_tree(staged, tree, new)


def _is_tree(nodes: Nodes, id: Id) -> bool:
    return not ids.is_raw(id) and is_tree_node(nodes.node(id))


def _describe(nodes: Nodes, id: Id) -> str:
    return "a blob" if ids.is_raw(id) else describe_kind(nodes.node(id))


def _differences(nodes: Nodes, a: Id, b: Id) -> Iterator[tuple[str, Id | None, Id | None]]:
    ours, theirs = read_tree_node(nodes.node(a)), read_tree_node(nodes.node(b))
    if isinstance(ours, BigMap) and isinstance(theirs, BigMap):
        for key, left, right in hamt.differences(nodes, ours.root, theirs.root):
            yield _tree_name(key), None if left is None else _link(left), None if right is None else _link(right)
        return
    left_all, right_all = dict(tree_pairs(nodes, ours)), dict(tree_pairs(nodes, theirs))
    for name in sorted({*left_all, *right_all}):
        left, right = left_all.get(name), right_all.get(name)
        if left != right:
            yield name, left, right
