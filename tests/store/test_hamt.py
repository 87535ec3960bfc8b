"""Large maps against a dictionary, with keys whose digests begin alike."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.shelf import Shelf
from understudy.objects.codec import node_block
from understudy.objects.errors import WrongKind
from understudy.objects.hamt import BUCKET_SIZE, check_inner_node
from understudy.objects.ids import Id, raw_id
from understudy.store import hamt

# Six keys whose digests share their first six nibbles, and four others that share theirs.
SIX = [b"k1016443", b"k1225321", b"k1286096", b"k2029443", b"k2047153", b"k2436636"]
FOUR = [b"k999450", b"k1669960", b"k1697499", b"k2551954"]
KEYS = [*SIX, *FOUR, *(b"key-%d" % number for number in range(40))]

keys = st.sampled_from(KEYS)
values = st.integers(1, 3)
contents = st.dictionaries(keys, values)
changes = st.lists(st.dictionaries(keys, values | st.none(), max_size=8), max_size=12)


def built(entries: dict[bytes, Any]) -> tuple[Shelf, list[Any]]:
    shelf = Shelf()
    return shelf, hamt.build(shelf, entries.items())


def inner_nodes(shelf: Shelf, node: list[Any]) -> list[Any]:
    below = [shelf.node(element) for element in node[1] if isinstance(element, bytes)]
    return below + [deeper for child in below for deeper in inner_nodes(shelf, child)]


def depth(shelf: Shelf, node: list[Any]) -> int:
    return 1 + max((depth(shelf, shelf.node(element)) for element in node[1] if isinstance(element, bytes)), default=0)


def test_the_crafted_keys_collide_as_deep_as_we_say():
    for group in (SIX, FOUR):
        assert len({sha256(key).digest()[:3] for key in group}) == 1
    shelf, root = built(dict.fromkeys(SIX, 1))
    assert depth(shelf, root) == 7


@given(changes)
def test_a_large_map_is_a_dictionary(rounds):
    shelf, root = built({})
    model: dict[bytes, int] = {}
    for round in rounds:
        root, grown = hamt.update(shelf, root, round)
        before = len(model)
        model = {key: value for key, value in {**model, **round}.items() if value is not None}
        assert grown == len(model) - before
        assert {key: hamt.get(shelf, root, key) for key in KEYS} == {key: model.get(key) for key in KEYS}
        assert dict(hamt.items(shelf, root)) == model
        assert built(model)[1] == root
        hamt.check(shelf, root, len(model))
    shelf.check_untouched()


@given(contents, st.data())
def test_the_form_does_not_depend_on_the_order(entries, data):
    order = data.draw(st.permutations(list(entries)))
    shelf, root = built({})
    for key in order:
        root, grown = hamt.update(shelf, root, {key: entries[key]})
        assert grown == 1
    assert root == built(entries)[1]


@given(contents, contents)
def test_adding_and_removing_again_leaves_the_map_as_it_was(entries, more):
    shelf, before = built(entries)
    added, _ = hamt.update(shelf, before, {key: 9 for key in more if key not in entries})
    after, _ = hamt.update(shelf, added, {key: None for key in more if key not in entries})
    assert after == before


@given(contents)
def test_a_change_that_changes_nothing_gives_the_root_back(entries):
    shelf, root = built(entries)
    same, grown = hamt.update(shelf, root, {**entries, b"not there": None})
    assert (same is root, grown) == (True, 0)
    assert hamt.update(shelf, root, {})[0] is root


@given(contents)
def test_entries_come_in_an_order_that_only_the_content_fixes(entries):
    shelf, root = built(entries)
    listed = [key for key, _ in hamt.items(shelf, root)]
    again, other_root = built(dict(reversed(entries.items())))
    assert [key for key, _ in hamt.items(again, other_root)] == listed
    assert set(listed) == set(entries)
    assert len(listed) == len(entries)


@given(contents, contents)
def test_the_differences_of_two_maps_are_those_of_two_dictionaries(ours, theirs):
    shelf = Shelf()
    left, right = hamt.build(shelf, ours.items()), hamt.build(shelf, theirs.items())
    found = list(hamt.differences(shelf, left, right))
    wanted = {key: (ours.get(key), theirs.get(key)) for key in KEYS if ours.get(key) != theirs.get(key)}
    assert {key: (a, b) for key, a, b in found} == wanted
    assert len(found) == len(wanted)


@given(contents)
def test_no_inner_node_holds_what_would_fit_a_bucket(entries):
    shelf, root = built(entries)
    for node in inner_nodes(shelf, root):
        assert check_inner_node(node) is node


@settings(max_examples=10)
@given(st.integers(1_000, 3_000))
def test_a_change_reads_and_writes_one_node_per_level(count):
    shelf, root = built({b"%d" % number: number for number in range(count)})
    levels, shelf.reads, blocks = depth(shelf, root), 0, len(shelf.new)
    hamt.update(shelf, root, {b"7": 0})
    assert shelf.reads <= levels - 1
    assert len(shelf.new) - blocks <= levels - 1


def test_an_empty_map_has_an_ordinary_answer():
    shelf, root = built({})
    assert root == hamt.EMPTY
    assert hamt.get(shelf, root, b"key") is None
    assert list(hamt.items(shelf, root)) == []
    assert list(hamt.differences(shelf, root, root)) == []
    hamt.check(shelf, root, 0)


class SameStart:
    """A digest that tells two keys apart by its last bytes only, or not at all."""

    def __init__(self, tail: int) -> None:
        self._tail = tail

    def __call__(self, key: bytes) -> SameStart:
        self._key = key
        return self

    def digest(self) -> bytes:
        return bytes(32 - self._tail) + sha256(self._key).digest()[: self._tail]


def test_keys_that_differ_in_their_last_nibbles_only_are_told_apart(monkeypatch):
    monkeypatch.setattr(hamt, "sha256", SameStart(1))
    entries = {b"%d" % number: number for number in range(12)}
    shelf, root = built(entries)
    assert depth(shelf, root) == 64
    assert {key: hamt.get(shelf, root, key) for key in entries} == entries
    assert dict(hamt.items(shelf, root)) == entries
    root, grown = hamt.update(shelf, root, dict.fromkeys(list(entries)[BUCKET_SIZE:]))
    assert (depth(shelf, root), grown) == (1, BUCKET_SIZE - len(entries))


def test_more_keys_with_one_digest_than_a_bucket_holds_are_an_error(monkeypatch):
    monkeypatch.setattr(hamt, "sha256", SameStart(0))
    shelf, root = built({b"1": 1, b"2": 2, b"3": 3})
    with pytest.raises(WrongKind, match="64 levels"):
        hamt.update(shelf, root, {b"4": 4})
    with pytest.raises(WrongKind, match="64 levels"):
        built({b"1": 1, b"2": 2, b"3": 3, b"4": 4})


def chain_of_nodes(shelf: Shelf, key: bytes, length: int) -> list[Any]:
    """Nodes one below the other on a key's way, deeper than any digest goes."""
    digits = [int(digit, 16) for digit in sha256(key).hexdigest()] * 2
    node: list[Any] = [(1 << digits[length]).to_bytes(2, "little"), [[[key, 1]]]]
    for level in range(length - 1, -1, -1):
        node = [(1 << digits[level]).to_bytes(2, "little"), [shelf.put(node_block(node))]]
    return node


def test_a_chain_deeper_than_a_digest_is_refused_by_every_reader():
    shelf = Shelf()
    root = chain_of_nodes(shelf, b"key", 64)
    with pytest.raises(WrongKind, match="64 levels"):
        hamt.get(shelf, root, b"key")
    with pytest.raises(WrongKind, match="64 levels"):
        hamt.update(shelf, root, {b"key": 2})
    with pytest.raises(WrongKind, match="64 levels"):
        list(hamt.items(shelf, root))
    with pytest.raises(WrongKind, match="64 levels"):
        list(hamt.differences(shelf, root, hamt.EMPTY))
    with pytest.raises(WrongKind, match="64 levels"):
        hamt.check(shelf, root, 1)


def test_a_key_out_of_its_place_is_found_by_the_check():
    shelf = Shelf()
    nibble = sha256(b"key").digest()[0] >> 4
    root = [(1 << (nibble + 1) % 16).to_bytes(2, "little"), [[[b"key", 1]]]]
    assert hamt.get(shelf, root, b"key") is None
    with pytest.raises(WrongKind, match="its digest does not lead to"):
        hamt.check(shelf, root, 1)


def test_a_node_that_should_be_a_bucket_is_found_by_the_check():
    shelf = Shelf()
    root = chain_of_nodes(shelf, b"key", 1)
    assert hamt.get(shelf, root, b"key") == 1
    with pytest.raises(WrongKind, match="bucket"):
        hamt.check(shelf, root, 1)


def test_a_wrong_count_is_found_by_the_check():
    shelf, root = built({b"a": 1, b"b": 2})
    with pytest.raises(WrongKind, match="says that it has 3 entries and has 2"):
        hamt.check(shelf, root, 3)


ODD_ELEMENTS = [
    5, None, "text", {}, {"a": 1}, b"", b"short", raw_id(b"a blob's id"), [], [5], [[5]], [["text", 1]], [[b"k", 1, 2]],
    [[b"k", 1], [b"k", 2]], [[b"b", 1], [b"a", 2]], [b"ke"], [{"a": 1, "b": 2}], [[[], 1]],
]  # fmt: skip


@pytest.mark.parametrize("element", ODD_ELEMENTS)
def test_what_is_no_element_is_refused_and_never_an_error_of_ours(element):
    shelf = Shelf()
    digit = sha256(b"key").digest()[0] >> 4
    root = [(1 << digit).to_bytes(2, "little"), [element]]
    with pytest.raises(WrongKind):
        list(hamt.items(shelf, root))
    with pytest.raises(WrongKind):
        hamt.check(shelf, root, 1)
    for touch in (lambda: hamt.get(shelf, root, b"key"), lambda: hamt.update(shelf, root, {b"key": 1})):
        try:
            touch()
        except WrongKind:
            continue


@pytest.mark.parametrize(
    "node", [5, None, {}, [], [b"", []], [b"\x00\x00"], [b"\x01\x00", []], [b"\x00\x00", [[]]], [b"\x00\x00", {}]]
)
def test_what_is_no_node_is_refused(node):
    shelf = Shelf()
    with pytest.raises(WrongKind):
        hamt.get(shelf, node, b"key")
    with pytest.raises(WrongKind):
        hamt.update(shelf, node, {b"key": 1})
    with pytest.raises(WrongKind):
        list(hamt.items(shelf, node))


def test_links_may_be_values_and_are_never_taken_for_children():
    entries: dict[bytes, Any] = {b"%d" % number: Id(raw_id(b"%d" % number)) for number in range(100)}
    shelf, root = built(entries)
    assert dict(hamt.items(shelf, root)) == entries


@given(contents, contents, st.booleans())
def test_new_values_are_all_that_differ_and_nothing_that_stands_in_its_place(ours, theirs, keeps):
    shelf = Shelf()
    theirs = {**ours, **theirs} if keeps else theirs
    before, after = hamt.build(shelf, ours.items()), hamt.build(shelf, theirs.items())
    found = list(hamt.new_values(shelf, after, before))
    wanted = [(value, ours.get(key)) for key, value in theirs.items() if ours.get(key) != value]
    assert len(found) >= len(wanted)
    assert {value for value, _ in wanted} <= {value for value, _ in found}
    assert list(hamt.new_values(shelf, after, after)) == []
    assert len(list(hamt.new_values(shelf, after, hamt.EMPTY))) == len(theirs)
