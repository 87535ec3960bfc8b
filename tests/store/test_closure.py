"""What is checked before anything is believed: kinds, large maps, nesting; and that only what changed is read.

Tests of store/nesting.py too.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.forged_maps import FORGED, good_map, owner
from tests.store.shelf import Shelf
from understudy.objects.codec import node_block, raw_block
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, Id, MessageId, is_raw, raw_id
from understudy.objects.kinds import ANY, BLOB, JOURNAL, MAILBOX, MESSAGE, STEP, TREE
from understudy.objects.message import Message, message_node
from understudy.objects.step import Step, step_node
from understudy.objects.tree import MAX_NESTED
from understudy.store import hamt
from understudy.store.closure import Closure
from understudy.store.errors import Corrupt, Missing
from understudy.store.maps import build_tree, check_map, edit_tree
from understudy.store.memory import MemoryBackend
from understudy.store.nesting import check_nesting
from understudy.store.port import Unit
from understudy.store.verified import Grit

KINDS = {"bigtree": TREE, "bigmailbox": MAILBOX}

contents = st.dictionaries(st.sampled_from([b"key-%d" % number for number in range(120)]), st.integers(1, 2))


@settings(max_examples=200)
@given(contents, contents, st.booleans())
def test_the_changes_of_a_checked_map_are_those_of_two_dictionaries(old, new, keeps):
    shelf = Shelf()
    new = {**old, **new} if keeps else new
    before, after = hamt.build(shelf, old.items()), hamt.build(shelf, new.items())
    maps = hamt.MapCheck(shelf)
    found = list(maps.changes(after, len(new), kind="", before=(before, len(old))))
    assert dict((key, (value, was)) for key, value, was in found) == {
        key: (value, old.get(key)) for key, value in new.items() if value != old.get(key)
    }
    with pytest.raises(WrongKind, match="says that it has"):
        list(maps.changes(after, len(new) + 1, kind="", before=(before, len(old))))


@settings(max_examples=50)
@given(contents, contents)
def test_what_was_checked_at_a_place_counts_there_again(first, second):
    shelf = Shelf()
    maps = hamt.MapCheck(shelf)
    for content in (first, second, first, {**second, **first}):
        root = hamt.build(shelf, content.items())
        for _ in maps.changes(root, len(content), kind=""):
            pass
        with pytest.raises(WrongKind, match="says that it has"):
            list(maps.changes(root, len(content) + 1, kind=""))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_map_is_refused_whether_the_one_before_it_is_known_or_not(name: str, kind: str):
    shelf = Shelf()
    root, count = good_map(shelf, kind)
    good, forged = owner(shelf, kind, root, count), FORGED[name](shelf, kind, root, count)
    assert good != forged
    closure = Closure(shelf)
    closure.check(good, KINDS[kind])
    for checking, old in ((Closure(shelf), None), (Closure(shelf), good), (closure, None), (closure, good)):
        with pytest.raises(Corrupt):
            checking.check(forged, KINDS[kind], old=old)
    with pytest.raises(WrongKind):
        check_map(shelf, forged)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_large_map_reads_what_changed(kind: str):
    shelf = Shelf()
    numbers = {f"more-{number}": 0 for number in range(3_000)}
    root, count = good_map(shelf, kind, **numbers)
    before = owner(shelf, kind, root, count)
    Closure(shelf).check(before)
    cold, warm = Closure(shelf), Closure(shelf)
    warm.check(before)
    for number in range(20):
        root, count = good_map(shelf, kind, **numbers, **{f"new-{each}": 1 for each in range(number)})
        after = owner(shelf, kind, root, count)
        for closure, old in ((cold, before), (warm, None)):
            shelf.reads = 0
            closure.check(after, old=old)
            assert shelf.reads < 40
        before = after


def test_a_flat_tree_that_becomes_large_is_compared_by_name():
    shelf = Shelf()
    trees = {f"n{number}": build_tree(shelf, {"a": shelf.put_blob(b"%d" % number)}) for number in range(64)}
    before = build_tree(shelf, trees)
    after = edit_tree(shelf, before, {"one more": trees["n0"]})
    closure = Closure(shelf)
    shelf.reads = 0
    closure.check(after, old=before)
    assert shelf.reads < 30
    closure.check(before, old=after)


def nested(shelf: Shelf, depth: int) -> Id:
    """Trees in trees, so many."""
    tree: Id = build_tree(shelf, {})
    for _ in range(depth - 1):
        tree = build_tree(shelf, {"in": tree})
    return tree


def test_trees_are_nested_to_a_bound():
    shelf = Shelf()
    Closure(shelf).check(nested(shelf, MAX_NESTED))
    for depth in (MAX_NESTED + 1, 30_000):
        with pytest.raises(Corrupt, match=f"nested more than {MAX_NESTED} deep"):
            Closure(shelf).check(nested(shelf, depth))


@pytest.mark.parametrize("large", [False, True])
def test_what_is_good_in_one_place_may_be_too_deep_in_another(large: bool):
    shelf = Shelf()
    deep: dict[str, Id] = {"deep": nested(shelf, MAX_NESTED - 1)}
    fill = {f"n{number}": shelf.put_blob(b"") for number in range(100 if large else 1)}
    good = build_tree(shelf, {**fill, **deep})
    closure = Closure(shelf)
    closure.check(good)
    below = build_tree(shelf, {"below": good})
    for old in (None, good):
        with pytest.raises(Corrupt, match="nested more"):
            closure.check(below, old=old)
    closure.check(good)


def doubled(shelf: Shelf, tree: Id, levels: int) -> Id:
    """A tree that holds the tree below it twice on each level, and so has 2^levels paths."""
    for _ in range(levels):
        tree = build_tree(shelf, {"a": tree, "b": tree})
    return tree


def test_a_tree_that_stands_in_many_places_is_read_once(monkeypatch: pytest.MonkeyPatch):
    shelf = Shelf()
    blobs = {f"{number}": shelf.put_blob(b"%d" % number) for number in range(100)}
    before, after = (
        doubled(shelf, build_tree(shelf, {**blobs, "new": shelf.put_blob(new)}), 15) for new in (b"a", b"b")
    )
    # More than is remembered from one check to the next.
    monkeypatch.setattr("understudy.store.closure.MAX_KNOWN", 50)
    closure = Closure(shelf)
    for old in (None, before):
        shelf.reads = 0
        check_nesting(shelf, after, old)
        closure.check(after, old=old)
        Closure(shelf).check(after, old=old)
        assert shelf.reads < 1_000


@settings(max_examples=200)
@given(st.data())
def test_how_deep_trees_are_does_not_depend_on_how_they_share(data: st.DataObject):
    shelf = Shelf()
    depth: dict[Id, int] = {build_tree(shelf, {}): 1}

    def grow(below: Id) -> Id:
        names = data.draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
        entries = {name: data.draw(st.sampled_from([below, *depth])) for name in names}
        tree = build_tree(shelf, entries)
        depth[tree] = 1 + max(depth[id] for id in entries.values())
        return tree

    base = nested(shelf, MAX_NESTED - 4)
    depth[base] = MAX_NESTED - 4
    tree = base
    for _ in range(data.draw(st.integers(1, 6))):
        tree = grow(tree)
    good = [id for id in depth if depth[id] <= MAX_NESTED]
    closure = Closure(shelf)
    for old in (None, data.draw(st.sampled_from(good))):
        if old is not None:
            closure.check(old)
        if depth[tree] <= MAX_NESTED:
            check_nesting(shelf, tree, old)
            closure.check(tree, old=old)
        else:
            with pytest.raises(WrongKind, match="nested more"):
                check_nesting(shelf, tree, old)
            with pytest.raises(Corrupt, match="nested more"):
                closure.check(tree, old=old)


def samples(shelf: Shelf) -> dict[str, Id]:
    """An object of each kind, all of them good."""
    blob, tree = shelf.put_blob(b"x"), build_tree(shelf, {})
    genesis = Message(to=str(tree), sender="out/node/me", seq=1, type="genesis", content=tree)
    message = shelf.put_node(message_node(genesis))
    root, count = good_map(shelf, "bigmailbox")
    step = Step(
        parent=None, actor=ActorId(tree), height=0, time=0, seed=0, engine="kernel/1", core=tree, inbox={}, outbox={},
        consumed=[MessageId(message)], sent=[],
    )  # fmt: skip
    return {
        BLOB: blob,
        TREE: tree,
        MESSAGE: message,
        MAILBOX: owner(shelf, "bigmailbox", root, count),
        JOURNAL: shelf.put_node({"journal": [{"path": "verify/0", "request": "0" * 64, "reply": blob}]}),
        STEP: shelf.put_node(step_node(step)),
    }


@pytest.mark.parametrize("wanted", [BLOB, TREE, MESSAGE, MAILBOX, JOURNAL, STEP])
def test_an_object_of_another_kind_than_belongs_there_is_refused(wanted: str):
    shelf = Shelf()
    closure = Closure(shelf)
    for kind, id in samples(shelf).items():
        Closure(shelf).check(id, ANY)
        for checking in (Closure(shelf), closure):
            if kind == wanted:
                checking.check(id, wanted)
            else:
                with pytest.raises(Corrupt, match=f"{kind} stands where a {wanted} belongs"):
                    checking.check(id, wanted)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("actor", MESSAGE), ("core", MESSAGE), ("journal", TREE), ("log", TREE), ("inbox", TREE), ("outbox", STEP),
        ("consumed", TREE), ("sent", STEP),
    ],
)  # fmt: skip
def test_each_link_of_a_step_leads_to_what_its_field_says(field: str, wrong: str):
    shelf = Shelf()
    good = samples(shelf)
    node = shelf.node(good[STEP])
    value: Any = [good[wrong]] if field in ("consumed", "sent") else good[wrong]
    step = shelf.put_node({"parent": None, "data": {**node["data"], field: value}})
    with pytest.raises(Corrupt, match=f"{wrong} stands where"):
        Closure(shelf).check(step)


def test_a_closure_that_failed_knows_nothing_of_what_it_began():
    shelf = Shelf()
    gone = Id(shelf.put_blob(b"gone"))
    tree = build_tree(shelf, {"a": build_tree(shelf, {"gone": gone})})
    del shelf.new[gone]
    closure = Closure(shelf)
    for _ in range(2):
        with pytest.raises(Missing):
            closure.check(tree)


ENTRY_NAMES = ["wit", "a", "", ".", "..", "a/b", "\x00", "\ufeffx", "é", "x" * 255, "x" * 256]


@pytest.mark.parametrize("wanted", [TREE, ANY, MESSAGE])
@pytest.mark.parametrize("name", ENTRY_NAMES)
def test_what_a_tree_brings_is_good_beside_the_tree_before_exactly_if_it_is_by_itself(name: str, wanted: str):
    shelf = Shelf()
    gone_blob, gone_node = raw_block(b"gone").id, Id(node_block({"gone": 1}).id)
    old = shelf.put_node({"tree": {"a": shelf.put_blob(b"1"), "wit": shelf.put_blob(b"2")}})
    brought: list[Any] = [
        *samples(shelf).values(),
        shelf.put_node({"patch": {"a": None}}),
        gone_blob,
        gone_node,
        None,
        1,
        "x",
        [],
    ]
    for value in brought:
        for more in ({}, {"b": shelf.put_blob(b"3")}, {"c": gone_blob}):
            tree = shelf.put_node({"tree": {**shelf.node(old)["tree"], name: value, **more}})
            assert _found(shelf, tree, wanted, old=old) == _found(shelf, tree, wanted)
            # A tree before that has the same in this place is checked too, so nothing is asked twice.
            closure = Closure(shelf)
            assert _found(shelf, tree, wanted, old=old, closure=closure) == _found(
                shelf, tree, wanted, old=old, closure=closure
            )


def _found(
    shelf: Shelf, id: bytes, kind: str, *, old: bytes | None = None, closure: Closure | None = None
) -> tuple[str, str]:
    try:
        (closure or Closure(shelf)).check(id, kind, old=old)
    except (Corrupt, Missing) as error:
        return type(error).__name__, str(error)
    return "good", ""


def test_an_inner_node_that_is_linked_by_itself_stands_for_itself():
    shelf = Shelf()
    root, _ = good_map(shelf, "bigtree")
    inner = [element for element in root[1] if type(element) is not list]
    Closure(shelf).check(build_tree(shelf, {"inner": inner[0]}))
    odd = shelf.put_node([b"\x03\x00", [inner[0], build_tree(shelf, {})]])
    with pytest.raises(Corrupt, match="a tree stands where an inner node of a large map belongs"):
        Closure(shelf).check(build_tree(shelf, {"inner": odd}))


@settings(max_examples=200)
@given(st.data())
def test_a_chain_of_trees_is_checked_in_any_order_and_nothing_that_is_not_there_is_passed_over(data: st.DataObject):
    shelf = Shelf()
    gone, kept = raw_block(b"gone").id, shelf.put_blob(b"kept")
    filling = {f"n{number}": kept for number in range(data.draw(st.sampled_from([0, 62, 100])))}
    codes = st.sampled_from([gone, build_tree(shelf, {"a": gone}), build_tree(shelf, {"a": kept})])

    def core(number: int) -> Id:
        state = shelf.put_blob(b"%d" % number)
        return build_tree(shelf, {**filling, "code": data.draw(codes), "state": state})

    # Trees come back, as the core of an actor does that is put back to an earlier state.
    chain = data.draw(st.lists(st.sampled_from([core(number) for number in range(3)]), min_size=1, max_size=5))

    def lacks(id: Id) -> bool:
        return id == gone or (not is_raw(id) and any(lacks(link) for _, link in shelf.tree(id).items()))

    closure = Closure(shelf)
    failed = False
    upwards = range(len(chain))
    for place in data.draw(st.just(upwards[::-1]) | st.permutations(upwards)):
        try:
            closure.check(chain[place], TREE, old=chain[place - 1] if place else None)
        except Missing as error:
            assert error.id == gone
            failed = True
    assert failed == any(lacks(id) for id in chain)


def test_a_closure_names_who_links_to_what_is_missing():
    staging = Shelf()
    gone = raw_id(b"gone")
    tree = staging.put_tree({"here": staging.put_blob(b"here"), "gone": gone})
    with pytest.raises(Missing) as caught:
        Closure(staging).check(tree)
    assert (caught.value.id, caught.value.owner) == (gone, tree)


def test_what_is_equal_at_its_place_is_not_read_again():
    staging = Shelf()
    many = {f"n{number}": staging.put_blob(str(number).encode()) for number in range(500)}
    old = staging.put_tree(many)
    new = edit_tree(staging, old, {"n7": staging.put_blob(b"seven"), "more": staging.put_blob(b"more")})
    before = staging.reads
    Closure(staging).check(new, old=old)
    assert 0 < staging.reads - before < 20


def test_a_node_that_breaks_the_rules_of_its_kind_is_damage():
    staging = Shelf()
    bad = staging.put(node_block({"message": {"to": "nobody"}}))
    tree = staging.put_tree({"bad": bad})
    with pytest.raises(Corrupt) as caught:
        Closure(staging).check(tree)
    assert caught.value.id == bad


def test_a_large_blob_whose_chunks_are_not_its_own_is_damage():
    staging = Shelf()
    good = staging.put_blob(b"x" * (1024 * 1024 + 5))
    info = staging.blob_info(good)
    assert info is not None
    other = staging.put(raw_block(b"y" * 5))
    node = {"blob": {"size": info.size, "sha256": info.sha256, "chunks": [info.chunks[0], other]}}
    Closure(staging).check(good)
    with pytest.raises(Corrupt):
        Closure(staging).check(staging.put(node_block(node)))


def test_a_missing_part_of_a_large_tree_is_missed_by_the_tree():
    shelf = Shelf()
    tree = build_tree(shelf, {f"n{number}": shelf.put_blob(b"x") for number in range(500)})
    part = next(id for id in shelf.new if id != tree and not is_raw(id))
    backend = MemoryBackend()
    backend.commit([Unit(blocks=[block for id, block in shelf.new.items() if id != part])])
    with pytest.raises(Missing) as caught:
        Closure(Grit(backend)).check(tree)
    assert (caught.value.id, caught.value.owner) == (part, tree)
