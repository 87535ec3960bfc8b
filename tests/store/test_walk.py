"""Walking objects: links by kind, and everything below a root once, in the order of the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects import ids
from understudy.objects.blob import BigBlob, blob_node
from understudy.objects.codec import Block, decode, encode, node_block, raw_block
from understudy.objects.errors import WrongKind
from understudy.objects.hamt import BigMap, big_map_node
from understudy.objects.ids import Id
from understudy.objects.journal import CallError, Entry, journal_block
from understudy.objects.mailbox import big_mailbox_node
from understudy.objects.message import Message, message_node
from understudy.objects.patch import patch_block
from understudy.objects.step import Outcome, Step, step_node
from understudy.objects.tree import big_tree_node, flat_tree_node
from understudy.store.errors import Missing
from understudy.store.reader import Reader, Staging
from understudy.store.walk import links, walk

HEX = "00" * 32


class Blocks(Reader):
    """A reader of the blocks it was made of, which counts how often each is read."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._data = {bytes(block.id): block.data for block in blocks}
        self.reads: list[bytes] = []

    def block(self, id: bytes) -> bytes:
        self.reads.append(id)
        if id not in self._data:
            raise Missing(Id(id))
        return self._data[id]

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return [self._data.get(id) for id in ids]


def blob(text: str) -> Block:
    return raw_block(text.encode())


def tree(**entries: Block) -> Block:
    return node_block(flat_tree_node({name: block.id for name, block in entries.items()}))


def some_ids(count: int) -> list[Id]:
    return [blob(str(number)).id for number in range(count)]


def links_of(node: Any) -> list[Id]:
    return list(links(decode(encode(node))))


def chain(length: int) -> tuple[list[Block], list[Block]]:
    """Steps from the first to the last, and the other blocks they link to."""
    core, message = tree(), node_block({"message": {"content": blob("hello").id}})
    steps: list[Block] = []
    for height in range(length):
        parent = ids.StepId(steps[-1].id) if steps else None
        steps.append(node_block(step_node(a_step(core.id, parent=parent, height=height, consumed=[message.id]))))
    return steps, [core, message, blob("hello")]


def a_step(core: Id, **fields: Any) -> Step:
    given = {"parent": None, "height": 0, "inbox": {}, "outbox": {}, "consumed": (), "sent": ()} | fields
    return Step(actor=core, time=0, seed=0, engine="python/1", core=core, **given)  # type: ignore[arg-type]


def walked(reader: Reader, root: Block, **options: Any) -> list[Id]:
    return [block.id for block in walk(reader, root.id, **options)]


def test_a_step_links_to_everything_it_owns_in_the_order_of_its_block() -> None:
    a = some_ids(12)
    step = a_step(
        a[0],
        parent=a[1],
        height=1,
        inbox={"out/n/c": (3, a[2]), "signal/out/n/c": (9, a[3])},
        outbox=a[4],
        consumed=(a[5], a[6]),
        sent=(a[7],),
        journal=a[8],
        log=a[9],
        outcome=Outcome("failed", "Boom", "text"),
    )
    # Keys sorted by length: log, core, sent, actor, inbox, outbox, journal, consumed; then the parent.
    assert links_of(step_node(step)) == [a[9], a[0], a[7], a[0], a[2], a[3], a[4], a[8], a[5], a[6], a[1]]


def test_a_message_links_to_its_content_and_only_mentions_the_rest() -> None:
    content, other = some_ids(2)
    message = Message(
        to=str(ids.node_id(b"")), sender="out/n/c", seq=2, type="t", content=content, previous=str(other), re=str(other)
    )
    assert links_of(message_node(message)) == [content]


def test_trees_patches_blobs_and_journals_link_to_what_they_name() -> None:
    a, b = some_ids(2)
    assert links_of(flat_tree_node({"x": a, "y": b})) == [a, b]
    assert links_of(decode(patch_block({"x": a, "y": None}).data)) == [a]
    assert links_of(blob_node(BigBlob(2**20 + 1, HEX, (b, a)))) == [b, a]
    entries = [
        Entry(path="c/0", request=HEX, reply=b, step=str(ids.node_id(b""))),
        Entry(path="c/1", request=HEX, error=CallError("No", "no")),
    ]
    assert links_of(decode(journal_block(entries).data)) == [b]


def test_the_empty_tree_links_to_nothing() -> None:
    assert links_of({"tree": {}}) == []


def test_a_large_map_links_to_children_and_values_but_not_to_keys_that_look_like_ids() -> None:
    child, value, key = ids.node_id(b"child"), *some_ids(2)
    in_tree = [b"\x03\x00", [child, [[bytes(key), value]]]]
    assert links_of(in_tree) == [child, value]
    assert links_of(big_tree_node(BigMap(65, in_tree))) == [child, value]
    in_mailbox = [b"\x03\x00", [child, [[b"out/n/c", [7, value]], [bytes(key), [1, child]]]]]
    assert links_of(in_mailbox) == [child, value, child]
    assert links_of(big_mailbox_node(BigMap(65, in_mailbox))) == [child, value, child]


@pytest.mark.parametrize(
    "node",
    [
        {},
        [],
        "text",
        7,
        None,
        {"unheard": {}},
        {"tree": {}, "more": {}},
        {"tree": {"name": "text"}},
        {"tree": {"name": b"\x00\x01"}},
        {"tree": []},
        {"blob": {"size": 3}},
        {"message": {"content": None}},
        {"message": []},
        {"bigtree": [65, {"hamt": [b"\x01\x00", [[["no pair"]]]]}]},
        {"bigmailbox": 65},
        {"journal": [{"reply": None}]},
        {"parent": None, "data": {"inbox": [1]}},
        {"parent": 3, "data": {}},
        [b"\x01\x00", [7]],
    ],
)
def test_a_node_of_no_known_kind_is_refused_and_not_taken_for_one_without_links(node: Any) -> None:
    with pytest.raises(WrongKind):
        list(links(node))


some_id = st.builds(
    lambda codec, digest: Id(codec + digest), st.sampled_from([ids.RAW, ids.NODE]), st.binary(min_size=32, max_size=32)
)
name = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=20)
cursor = st.tuples(st.integers(1, 9), some_id)
mailbox = some_id | st.dictionaries(name, cursor, max_size=4)
entry = st.builds(lambda key, value: [key.encode(), value], name, some_id | cursor.map(list))
hamt = st.builds(lambda elements: [b"\xff\x00", elements], st.lists(some_id | st.lists(entry, max_size=3), max_size=5))
steps = st.builds(
    lambda core, **fields: step_node(a_step(core, **fields)),
    some_id,
    parent=st.none() | some_id,
    inbox=mailbox,
    outbox=mailbox,
    consumed=st.lists(some_id, max_size=4),
    sent=st.lists(some_id, max_size=4),
    journal=st.none() | some_id,
    log=st.none() | some_id,
)
nodes = st.one_of(
    steps,
    hamt,
    st.builds(lambda root: {"bigtree": big_map_node(BigMap(65, root))}, hamt),
    st.builds(lambda entries: {"tree": entries}, st.dictionaries(name, some_id, max_size=6)),
    st.builds(lambda paths: {"patch": paths}, st.dictionaries(name, st.none() | some_id, max_size=6)),
    st.builds(lambda chunks: {"blob": {"size": 1, "sha256": HEX, "chunks": chunks}}, st.lists(some_id, max_size=6)),
)


@given(nodes)
def test_links_are_what_another_cbor_library_finds_tagged_as_links_in_the_same_order(node: Any) -> None:
    data = encode(node)
    assert list(links(decode(data))) == list(tagged(cbor2.loads(data)))


def tagged(value: Any) -> Iterator[bytes]:
    match value:
        case cbor2.CBORTag():
            yield value.value[1:]
        case dict():
            for item in value.values():
                yield from tagged(item)
        case list() | tuple():
            for item in value:
                yield from tagged(item)


def test_a_walk_goes_depth_first_in_link_order() -> None:
    a, b, c = blob("a"), blob("b"), blob("c")
    left, right = tree(x=a, y=b), tree(z=c)
    root = tree(left=left, right=right)
    assert list(walk(Blocks([a, b, c, left, right, root]), root.id)) == [root, left, a, b, right, c]


def test_what_is_linked_twice_is_given_and_read_once() -> None:
    a = blob("a")
    inner = tree(x=a, y=a)
    root = tree(one=inner, two=inner, three=a)
    reader = Blocks([a, inner, root])
    assert walked(reader, root) == [root.id, inner.id, a.id]
    assert len(reader.reads) == 3


def test_a_blob_that_holds_the_bytes_of_a_node_does_not_hide_what_the_node_links_to() -> None:
    a = blob("a")
    inner = tree(x=a)
    copy = raw_block(inner.data)
    root = tree(a_copy=copy, the_node=inner)
    assert walked(Blocks([a, inner, copy, root]), root) == [root.id, copy.id, inner.id, a.id]


def test_a_walk_from_a_blob_is_that_blob() -> None:
    a = blob("")
    assert list(walk(Blocks([a]), a.id)) == [a]


def test_a_missing_block_is_named_with_the_one_that_links_to_it() -> None:
    a = blob("a")
    inner = tree(x=a)
    root = tree(inner=inner)
    with pytest.raises(Missing, match=f"{a.id} is not in the store, but {inner.id} links to it") as caught:
        list(walk(Blocks([inner, root]), root.id))
    assert (caught.value.id, caught.value.owner) == (a.id, inner.id)


def test_a_block_of_no_known_kind_is_named() -> None:
    strange = node_block({"unheard": {}})
    root = tree(x=strange)
    with pytest.raises(WrongKind, match=f"{strange.id}: an unheard is of no known kind"):
        list(walk(Blocks([root, strange]), root.id))


def test_a_missing_root_is_linked_by_nobody() -> None:
    with pytest.raises(Missing) as caught:
        list(walk(Blocks([]), blob("a").id))
    assert caught.value.owner is None


def test_two_walks_with_one_set_give_their_union_once() -> None:
    shared, a, b = blob("shared"), blob("a"), blob("b")
    one, two = tree(own=a, shared=shared), tree(own=b, shared=shared)
    reader, seen = Blocks([shared, a, b, one, two]), set[bytes]()
    first, second = walked(reader, one, seen=seen), walked(reader, two, seen=seen)
    assert (first, second) == ([one.id, a.id, shared.id], [two.id, b.id])
    assert seen == {*first, *second}


def test_a_walk_stops_where_it_is_told_to() -> None:
    steps, others = chain(5)
    reader = Blocks([*steps, *others])
    newest = walked(reader, steps[4], stop=lambda id: id == steps[2].id)
    assert newest == [steps[4].id, *(block.id for block in others), steps[3].id]
    assert steps[2].id not in reader.reads


def test_a_long_chain_is_walked_from_the_head_to_genesis() -> None:
    steps, others = chain(20_000)
    order = walked(Blocks([*steps, *others]), steps[-1])
    assert order[1:4] == [block.id for block in others]
    assert order[:1] + order[4:] == [step.id for step in reversed(steps)]


def test_a_walk_of_a_large_tree_finds_every_entry() -> None:
    staging = Staging(Blocks([]))
    entries = {f"name-{number}": staging.put_blob(str(number).encode()) for number in range(500)}
    root = staging.put_tree(entries)
    assert {block.id for block in walk(staging, root) if ids.is_raw(block.id)} == set(entries.values())
