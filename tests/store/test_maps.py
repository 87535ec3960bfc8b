"""Trees and mailboxes: flat and large, whatever their history.

Tests of store/tree_view.py too.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.shelf import Shelf
from understudy.objects.codec import node_block
from understudy.objects.errors import BadName, WrongKind
from understudy.objects.hamt import BigMap
from understudy.objects.ids import RAW, Id, MessageId, node_id, raw_id
from understudy.objects.mailbox import Cursor
from understudy.objects.tree import read_tree_node
from understudy.store import hamt
from understudy.store.maps import (
    build_tree,
    check_map,
    diff_trees,
    differ_in_blobs,
    edit_tree,
    mailbox_get,
    mailbox_items,
    mailbox_set,
    patch_tree,
    tree_entry,
)
from understudy.testing import strategies as some

A, B, C = raw_id(b"a"), raw_id(b"b"), raw_id(b"c")
TREE = node_id(b"tree")
NAMES = [f"name-{number}" for number in range(70)]
FULL = {name: raw_id(name.encode()) for name in NAMES}

few_names = st.sampled_from(NAMES[:3] + NAMES[60:])
edits = st.lists(st.dictionaries(few_names, st.sampled_from([A, B, None]), max_size=5), max_size=8)


def first(count: int) -> dict[str, Id]:
    return {name: FULL[name] for name in NAMES[:count]}


def cursors(count: int) -> dict[str, Cursor]:
    return {f"out/node/caller-{number}": Cursor(1, MessageId(node_id(b"%d" % number))) for number in range(count)}


def is_big(shelf: Shelf, tree: Id) -> bool:
    return isinstance(read_tree_node(shelf.node(tree)), BigMap)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 66, 1000])
def test_a_tree_of_any_size_is_the_mapping_that_it_was_built_from(count):
    shelf = Shelf()
    entries = {f"entry {number}": raw_id(b"%d" % number) for number in range(count)}
    tree = build_tree(shelf, entries)
    view = shelf.tree(tree)
    assert is_big(shelf, tree) == (count > 64)
    assert len(view) == count
    assert dict(view) == dict(view.items()) == entries
    assert set(view.values()) == set(entries.values())
    assert [view.get(name) for name in entries] == list(entries.values())
    assert ("entry 0" in view) == (count > 0)
    assert "absent" not in view
    assert view.get("absent") is None
    assert view.get("absent", A) == A
    with pytest.raises(KeyError):
        view["absent"]
    check_map(shelf, tree)


def test_a_flat_tree_lists_its_names_in_order():
    shelf = Shelf()
    view = shelf.tree(build_tree(shelf, {"b": A, "é": B, "aa": C, "B": A}))
    assert list(view) == ["B", "aa", "b", "é"]


def test_a_large_tree_loads_only_what_is_touched():
    shelf = Shelf()
    tree = build_tree(shelf, {str(number): A for number in range(5_000)})
    view, shelf.reads = shelf.tree(tree), 0
    assert view["77"] == A
    assert 1 <= shelf.reads <= 5


def test_asking_for_a_name_that_no_tree_can_have_finds_nothing():
    shelf = Shelf()
    for tree in (build_tree(shelf, first(2)), build_tree(shelf, first(70))):
        for name in ("", ".", "a/b", "\ud800"):
            assert tree_entry(shelf, tree, name) is None
            assert edit_tree(shelf, tree, {name: None}) == tree


@given(st.integers(60, 69), edits)
def test_a_tree_has_the_same_id_whatever_its_history(count, rounds):
    shelf, entries = Shelf(), first(count)
    tree = build_tree(shelf, entries)
    for changes in rounds:
        tree = edit_tree(shelf, tree, changes)
        entries = {name: id for name, id in {**entries, **changes}.items() if id is not None}
        assert tree == build_tree(Shelf(), entries)
        assert is_big(shelf, tree) == (len(entries) > 64)
        assert dict(shelf.tree(tree)) == entries
    shelf.check_untouched()


@given(some.trees, st.data())
def test_the_order_of_insertion_never_matters(entries, data):
    order = data.draw(st.permutations(list(entries)))
    shelf = Shelf()
    tree = build_tree(shelf, {})
    for name in order:
        tree = edit_tree(shelf, tree, {name: entries[name]})
    assert tree == build_tree(shelf, {name: entries[name] for name in reversed(order)})


@settings(max_examples=30)
@given(st.dictionaries(some.names, some.links, min_size=65, max_size=90))
def test_a_large_tree_of_any_names_comes_back(entries):
    shelf = Shelf()
    tree = build_tree(shelf, entries)
    assert dict(shelf.tree(tree)) == entries
    check_map(shelf, tree)


@pytest.mark.parametrize("count", [3, 70])
def test_a_name_that_is_not_allowed_gets_into_no_tree(count):
    shelf = Shelf()
    tree = build_tree(shelf, first(count))
    for name in ("", "..", "a/b", "\n"):
        with pytest.raises(BadName):
            edit_tree(shelf, tree, {name: A})
        with pytest.raises(BadName):
            build_tree(shelf, {**first(count), name: A})


def test_what_is_no_tree_cannot_be_edited():
    shelf = Shelf()
    patch = shelf.put(node_block({"patch": {"a": None}}))
    for id in (patch, shelf.put_blob(b"")):
        with pytest.raises(WrongKind):
            edit_tree(shelf, id, {"a": A})
        with pytest.raises(WrongKind):
            tree_entry(shelf, id, "a")


def test_a_patch_makes_the_trees_on_its_way():
    shelf = Shelf()
    root = patch_tree(shelf, build_tree(shelf, {"keep": A}), {"code/deep/wit.py": B, "code/other": C, "wit": A})
    deep = build_tree(shelf, {"wit.py": B})
    assert dict(shelf.tree(root)) == {"keep": A, "code": build_tree(shelf, {"deep": deep, "other": C}), "wit": A}


def test_removing_what_is_not_there_changes_nothing():
    shelf = Shelf()
    root = build_tree(shelf, {"blob": A, "tree": build_tree(shelf, {"x": B})})
    assert (
        patch_tree(shelf, root, {"a": None, "b/c/d": None, "blob/below": None, "tree/y": None, "tree/y/z": None})
        == root
    )


def test_removals_leave_empty_trees_in_place():
    shelf = Shelf()
    root = patch_tree(shelf, build_tree(shelf, {"a": build_tree(shelf, {"b": A})}), {"a/b": None})
    assert dict(shelf.tree(root)) == {"a": build_tree(shelf, {})}


def test_a_patch_below_a_blob_is_refused_and_says_where():
    shelf = Shelf()
    root = build_tree(shelf, {"a": build_tree(shelf, {"b": shelf.put_blob(b"text")})})
    with pytest.raises(WrongKind, match="'a/b': a blob stands there"):
        patch_tree(shelf, root, {"a/b/c": A})


def test_a_blob_may_be_replaced_by_a_tree_as_a_whole():
    shelf = Shelf()
    tree = build_tree(shelf, {"c": B})
    assert dict(shelf.tree(patch_tree(shelf, build_tree(shelf, {"a": A}), {"a": tree}))) == {"a": tree}


patches_of_blobs = some.patches().map(
    lambda patch: {path: None if id is None else Id(RAW + id[4:]) for path, id in patch.items()}
)


@given(patches_of_blobs, patches_of_blobs)
def test_after_a_patch_each_of_its_paths_is_what_it_says_and_the_rest_is_as_before(before, patch):
    shelf = Shelf()
    root = patch_tree(shelf, build_tree(shelf, {}), {path: id for path, id in before.items() if id is not None})
    try:
        after = patch_tree(shelf, root, patch)
    except WrongKind:
        assert any(other and path.startswith(name + "/") for path, other in patch.items() for name in before)
        return
    for path, id in patch.items():
        assert shelf.find(after, path) == id
    for path, id in before.items():
        if not any(path == other or path.startswith(other + "/") or other.startswith(path + "/") for other in patch):
            assert shelf.find(after, path) == id
    assert patch_tree(shelf, after, patch) == after


@given(patches_of_blobs, patches_of_blobs)
def test_the_differences_of_two_trees_are_a_patch_from_one_to_the_other(ours, theirs):
    shelf = Shelf()
    empty = build_tree(shelf, {})
    a = patch_tree(shelf, empty, {path: id for path, id in ours.items() if id is not None})
    b = patch_tree(shelf, empty, {path: id for path, id in theirs.items() if id is not None})
    found = list(diff_trees(shelf, a, b))
    assert patch_tree(shelf, a, {path: right for path, _, right in found}) == b
    assert list(diff_trees(shelf, b, a)) == [(path, right, left) for path, left, right in found]
    for path, left, right in found:
        assert (shelf.find(a, path), shelf.find(b, path)) == (left, right)
        assert left != right


@given(st.integers(62, 69), edits)
def test_the_differences_of_large_trees_are_those_of_their_entries(count, rounds):
    shelf = Shelf()
    a = b = build_tree(shelf, first(count))
    for changes in rounds:
        b = edit_tree(shelf, b, changes)
    ours, theirs = dict(shelf.tree(a)), dict(shelf.tree(b))
    wanted = {
        (name, ours.get(name), theirs.get(name)) for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)
    }
    found = list(diff_trees(shelf, a, b))
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_equal_parts_are_not_read_to_find_a_difference():
    shelf = Shelf()
    same = build_tree(shelf, {str(number): A for number in range(1_000)})
    a, b = build_tree(shelf, {"same": same, "x": A}), build_tree(shelf, {"same": same, "x": B})
    shelf.reads = 0
    assert list(diff_trees(shelf, a, b)) == [("x", A, B)]
    assert shelf.reads <= 4
    assert list(diff_trees(shelf, a, a)) == []


def test_a_tree_that_only_one_side_has_is_one_difference():
    shelf = Shelf()
    inner = build_tree(shelf, {"x": A, "y": B})
    a, b = build_tree(shelf, {"was": A}), build_tree(shelf, {"new": inner, "was": inner})
    assert list(diff_trees(shelf, a, b)) == [("new", None, inner), ("was", A, inner)]
    assert list(diff_trees(shelf, a, A)) == [("", a, A)]


def test_trees_nested_deeper_than_python_can_recurse_are_compared():
    shelf = Shelf()
    a, b = build_tree(shelf, {"x": A}), build_tree(shelf, {"x": B})
    for _ in range(3_000):
        a, b = build_tree(shelf, {"x": a}), build_tree(shelf, {"x": b})
    assert list(diff_trees(shelf, a, b)) == [("/".join("x" * 3_001), A, B)]


@pytest.mark.parametrize("count", [0, 1, 64, 65, 300])
def test_a_mailbox_of_any_size_is_the_mapping_that_was_put_into_it(count):
    shelf, entries = Shelf(), cursors(count)
    mailbox = mailbox_set(shelf, {}, entries)
    assert isinstance(mailbox, bytes) == (count > 64)
    assert dict(mailbox_items(shelf, mailbox)) == entries
    assert [mailbox_get(shelf, mailbox, key) for key in entries] == list(entries.values())
    assert mailbox_get(shelf, mailbox, "out/node/nobody") is None


@given(st.integers(60, 70), st.lists(st.dictionaries(st.sampled_from(list(cursors(72))), some.cursors, max_size=4)))
def test_a_mailbox_has_the_same_form_whatever_its_history(count, rounds):
    shelf, entries = Shelf(), cursors(count)
    mailbox = mailbox_set(shelf, {}, entries)
    for changes in rounds:
        mailbox = mailbox_set(shelf, mailbox, changes)
        entries |= changes
        assert mailbox == mailbox_set(Shelf(), {}, entries)
        assert all(mailbox_get(shelf, mailbox, key) == cursor for key, cursor in entries.items())
    shelf.check_untouched()


@settings(max_examples=30)
@given(some.large_mailboxes(most=80))
def test_a_large_mailbox_of_any_keys_comes_back(entries):
    shelf = Shelf()
    mailbox = mailbox_set(shelf, {}, entries)
    assert dict(mailbox_items(shelf, mailbox)) == entries
    assert isinstance(mailbox, bytes)
    check_map(shelf, mailbox)


def test_setting_a_mailbox_leaves_the_one_before_as_it_was():
    shelf, before = Shelf(), cursors(3)
    mailbox_set(shelf, before, {"out/node/new": Cursor(1, MessageId(node_id(b"")))})
    assert before == cursors(3)


def test_a_large_map_with_a_value_of_another_kind_is_refused():
    shelf = Shelf()
    root = hamt.build(shelf, ((name.encode(), 5) for name in NAMES))
    tree = shelf.put_node({"bigtree": [70, {"hashAlg": 18, "bucketSize": 3, "hamt": root}]})
    box = shelf.put_node({"bigmailbox": [70, {"hashAlg": 18, "bucketSize": 3, "hamt": root}]})
    with pytest.raises(WrongKind):
        shelf.tree(tree)["name-1"]
    with pytest.raises(WrongKind):
        mailbox_get(shelf, box, "name-1")
    for id in (tree, box):
        with pytest.raises(WrongKind):
            check_map(shelf, id)


def test_a_large_map_with_a_key_that_is_no_name_is_refused():
    shelf = Shelf()
    root = hamt.build(shelf, [*((name.encode(), A) for name in NAMES), (b"\xff", A)])
    tree = shelf.put_node({"bigtree": [71, {"hashAlg": 18, "bucketSize": 3, "hamt": root}]})
    with pytest.raises(WrongKind):
        list(shelf.tree(tree))
    with pytest.raises(WrongKind):
        check_map(shelf, tree)


@given(
    st.dictionaries(few_names, st.sampled_from([A, B, TREE])), st.dictionaries(few_names, st.sampled_from([A, B, TREE]))
)
def test_two_small_trees_differ_in_blobs_if_all_that_is_new_are_blobs_and_the_rest_of_some_names_is_the_same(old, new):
    shelf = Shelf()
    but = frozenset(NAMES[:2])
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    only_blobs = all(new[name] != TREE for name in changed & new.keys()) and not changed & but
    before, after = build_tree(shelf, old), build_tree(shelf, new)
    assert differ_in_blobs(shelf, before, after, but=but) == only_blobs
    large = build_tree(shelf, FULL)
    assert not differ_in_blobs(shelf, large, after, but=but) and not differ_in_blobs(shelf, before, large, but=but)
