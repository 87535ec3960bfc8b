"""Import of histories: in pieces, each of which leaves a good history behind, whatever happens before the next.

Tests of store/quarantine.py too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from tests.store.forged_maps import FORGED, Forge, good_map
from understudy.kernel.accept import accept
from understudy.node import importing
from understudy.node.errors import Rejected
from understudy.node.importing import import_car
from understudy.node.node import Node
from understudy.objects.codec import node_block, raw_block
from understudy.objects.ids import ActorId, Id, MessageId, StepId, raw_id
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.objects.message import message_block
from understudy.store import car as car_file
from understudy.store import quarantine
from understudy.store.car import read_car, write_car
from understudy.store.errors import BadCar
from understudy.store.fsck import fsck
from understudy.store.keys import cursor_value, outside_row, read_cursor_value
from understudy.store.memory import MemoryBackend
from understudy.store.open import open_store
from understudy.store.port import Backend, Receipt, Row, Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit
from understudy.testing.faults import MOMENTS, Crash, CrashingStore, Moment

STEPS = 12


def forged_root(forge: Forge) -> Callable[[Staging, StepId], Id]:
    """A root that is a large tree which is none."""
    return lambda staging, _: forge(staging, "bigtree", *good_map(staging, "bigtree"))


def changed(staging: Staging, head: StepId, **fields: Any) -> Id:
    """A step with some links that lead to other objects."""
    node = staging.node(head)
    return staging.put_node(
        {**node, "data": {**node["data"], **{name: staging.put_node(to) for name, to in fields.items()}}}
    )


@pytest.fixture(scope="module")
def exported() -> tuple[ActorId, bytes, bytes]:
    """An actor, its history up to height 5, and the whole of it."""
    with Living() as living:
        actor = living.create()
        for number in range(STEPS):
            living.tell(actor, "add", number)
        early = living.node.step_at(actor, 5)
        return actor, car(living.node, actor), car(living.node, actor, at=early)


def car(node: Node, actor: ActorId, at: StepId | None = None) -> bytes:
    head, blocks = node.export(actor, at=at)
    file = BytesIO()
    write_car(file, [head], blocks)
    return file.getvalue()


@settings(max_examples=8)
@given(at=st.integers(1, 12), moment=st.sampled_from(MOMENTS), begun=st.booleans(), segment=st.integers(1, STEPS + 2))
def test_an_import_that_is_cut_off_leaves_the_beginning_and_is_finished_by_the_next(
    exported: tuple[ActorId, bytes, bytes], at: int, moment: Moment, begun: bool, segment: int
) -> None:
    actor, whole, early = exported
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "_SEGMENT", segment)
        inner = open_store("memory:")
        if begun:
            import_car(Node(inner), BytesIO(early))
        try:
            import_car(Node(CrashingStore(inner, at=at, moment=moment)), BytesIO(whole))
        except Crash:
            head = Node(inner).lookup.head(actor)
            if head is not None:
                assert Node(inner).lookup.check_step(actor, head) == head
        import_car(Node(inner), BytesIO(whole))
    node = Node(inner)
    assert node.actor(actor).height == STEPS
    assert [node.lookup.steps(actor).items[-1 - height][0] for height in range(STEPS + 1)] == [
        node.step_at(actor, height) for height in range(STEPS + 1)
    ]
    assert node.lookup.newest_feed_number() == STEPS + 1
    assert fsck(inner).ok
    assert car(node, actor) == whole


class NotingStore(MemoryBackend):
    """Notes the units that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Unit] = []

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        self.seen.extend(units)
        return super().commit(units)


def test_no_unit_of_an_import_grows_with_the_history_or_with_its_blobs(
    exported: tuple[ActorId, bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_SEGMENT", 4)
    monkeypatch.setattr(quarantine, "BATCH_BYTES", 1000)
    store = NotingStore()
    node = Node(store)
    store.seen.clear()
    import_car(node, BytesIO(exported[1]))
    moves = [unit for unit in store.seen if unit.moves]
    assert sum(len(unit.feed) for unit in moves) == STEPS + 1
    # A step that takes one message from a stranger has two rows: of itself, and of the message that waits no longer.
    assert max(len(unit.rows) for unit in moves) <= 4 + 1
    sizes = [[len(block.data) for block in unit.blocks] for unit in store.seen if unit.blocks]
    assert len(sizes) > 1
    assert all(sum(each[:-1]) < 1000 for each in sizes)


def test_an_import_says_how_far_it_is_to_the_end_of_each_stage(exported: tuple[ActorId, bytes, bytes]) -> None:
    said: dict[str, tuple[int, int]] = {}

    @contextmanager
    def stage(name: str) -> Iterator[car_file.Progress]:
        yield lambda done, total: said.__setitem__(name, (done, total))

    import_car(Node(open_store("memory:")), BytesIO(exported[1]), stage=stage)
    assert list(said) == ["reading", "checking", "storing", "taking over"]
    assert said.pop("storing")[0] > STEPS
    assert all(done == total > 0 for done, total in said.values())
    assert said["taking over"][1] == STEPS + 1


@pytest.mark.parametrize(("batch", "moment"), [(1, Moment.BEFORE), (1, Moment.AFTER), (4, Moment.AFTER)])
def test_an_import_that_is_cut_off_leaves_nothing_that_fsck_complains_about(
    exported: tuple[ActorId, bytes, bytes], monkeypatch: pytest.MonkeyPatch, batch: int, moment: Moment
) -> None:
    actor, whole, _ = exported
    monkeypatch.setattr(quarantine, "BATCH", batch)
    for at in (2, 15):
        inner = open_store("memory:")
        node = Node(inner)
        with pytest.raises(Crash):
            import_car(Node(CrashingStore(inner, at=at, moment=moment)), BytesIO(whole))
        assert (node.actors().items, node.lookup.newest_feed_number()) == ([], 0)
        assert fsck(inner).findings == []
        import_car(node, BytesIO(whole))
        assert node.actor(actor).height == STEPS
        assert fsck(inner).ok


def blocks_of(store: Backend) -> set[Id]:
    return set(store.ids())


def test_what_no_root_leads_to_stays_outside(exported: tuple[ActorId, bytes, bytes]) -> None:
    _, whole, _ = exported
    roots, blocks = read_car(BytesIO(whole))
    wanted = list(blocks)
    extra = [raw_block(b"extra"), node_block({"tree": {"a": raw_block(b"nowhere").id}})]
    file = BytesIO()
    write_car(file, roots, [extra[0], *wanted, extra[1]])
    file.seek(0)
    store = MemoryBackend()
    import_car(Node(store), file)
    assert blocks_of(store) == {block.id for block in wanted}
    assert fsck(store).ok


BadRoot = Callable[[Staging, StepId], Id]

BAD_ROOTS: dict[str, BadRoot] = {
    "a block of no kind": lambda staging, head: staging.put_node({"wood": {}}),
    "a tree with a link to nothing": lambda staging, head: staging.put_node({"tree": {"a": raw_id(b"nowhere")}}),
    "a step whose core is a patch": lambda staging, head: changed(staging, head, core={"patch": {"a": None}}),
    "a step whose journal is a tree": lambda staging, head: changed(staging, head, journal={"tree": {}}),
    **{f"a large tree with {name}": forged_root(forge) for name, forge in FORGED.items()},
}


@pytest.mark.parametrize("name", BAD_ROOTS)
def test_a_root_that_is_not_right_leaves_nothing_behind(exported: tuple[ActorId, bytes, bytes], name: str) -> None:
    _, whole, _ = exported
    roots, blocks = read_car(BytesIO(whole))
    good = MemoryBackend()
    good.commit([Unit(blocks=list(blocks))])
    staging = Staging(Grit(good))
    bad = BAD_ROOTS[name](staging, StepId(roots[0]))
    file = BytesIO()
    write_car(file, [bad], [*read_car(BytesIO(whole))[1], *staging.new.values()])
    file.seek(0)
    store = MemoryBackend()
    with pytest.raises((BadCar, Rejected)):
        import_car(Node(store), file)
    assert blocks_of(store) == set()


def test_a_block_that_got_lost_comes_back_with_the_file(exported: tuple[ActorId, bytes, bytes]) -> None:
    actor, whole, _ = exported
    store = MemoryBackend()
    import_car(Node(store), BytesIO(whole))
    step = Grit(store).step(Node(store).actor(actor).head)
    del store._blocks[step.core]
    assert not fsck(store).ok
    [known] = import_car(Node(store), BytesIO(whole))
    assert known.what == "known"
    assert fsck(store).ok


def test_a_long_chain_in_an_object_is_taken_over_oldest_first(exported: tuple[ActorId, bytes, bytes]) -> None:
    """A step may stand in a message that is no history's: its chain comes in all the same, and in order."""
    _, whole, _ = exported
    roots, blocks = read_car(BytesIO(whole))
    good = MemoryBackend()
    good.commit([Unit(blocks=list(blocks))])
    staging = Staging(Grit(good))
    tree = staging.put_tree({"proof": roots[0]})
    file = BytesIO()
    write_car(file, [tree], [*read_car(BytesIO(whole))[1], *staging.new.values()])
    file.seek(0)
    store = MemoryBackend()
    [found] = import_car(Node(store), file)
    assert found.what == "object"
    assert blocks_of(store) == {*blocks_of(good), tree}


def test_an_import_does_not_take_back_what_a_caller_sent_since() -> None:
    """A store that is brought back from an early export: its callers went on, and the rest of the history comes later."""

    def same_node() -> MemoryBackend:
        return MemoryBackend(entropy=lambda size: b"\x07" * size)

    with Living(same_node()) as living:
        actor = living.create()
        for number in range(3):
            living.tell(actor, "add", number)
        whole, early = car(living.node, actor), car(living.node, actor, at=living.node.step_at(actor, 1))
        sender = living.party()
        said = [living.node.reader.message(step.consumed[0]) for step in living.chain(actor)[1:]]
    assert {message.sender for message in said} == {sender}
    store = same_node()
    import_car(Node(store), BytesIO(early))
    row = outside_row(sender, mailbox_key(str(actor), said[0].lane))
    staging = Staging(Node(store).reader)
    content = staging.put_blob(b"4")
    last = Cursor(said[-1].seq, MessageId(message_block(said[-1]).id))
    store.commit([Unit(blocks=list(staging.new.values()), rows=[Row(row, cursor_value(last))])])
    delivery, unit = accept(to=str(actor), sender=sender, type="add", content=content, blocks=[], last=last)
    store.commit([unit])
    import_car(Node(store), BytesIO(whole))
    kept = store.row(row)
    assert kept is not None and read_cursor_value(kept) == Cursor(said[-1].seq + 1, delivery.id)
    assert [value for _, value in store.rows(b"i")] == [delivery.id]
