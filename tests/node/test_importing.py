"""Import of histories: in pieces, each of which leaves a good history behind, whatever happens before the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from understudy.node import importing
from understudy.node.importing import import_car
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.store import car as car_file
from understudy.store.car import write_car
from understudy.store.fsck import fsck
from understudy.store.memory import MemoryBackend
from understudy.store.open import open_store
from understudy.store.port import Receipt, Unit
from understudy.testing.faults import MOMENTS, Crash, CrashingStore, Moment

STEPS = 12


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
    monkeypatch.setattr(car_file, "_BATCH_BYTES", 1000)
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
    assert list(said) == ["reading", "checking", "taking over"]
    assert all(done == total > 0 for done, total in said.values())
    assert said["taking over"][1] == STEPS + 1


def test_an_import_that_is_cut_off_while_it_reads_shows_nobody_and_the_next_fills_what_is_missing(
    exported: tuple[ActorId, bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, whole, _ = exported
    monkeypatch.setattr(car_file, "_BATCH", 4)
    inner = open_store("memory:")
    node = Node(inner)
    with pytest.raises(Crash):
        import_car(Node(CrashingStore(inner, at=2, moment=Moment.AFTER)), BytesIO(whole))
    assert (node.actors().items, node.lookup.newest_feed_number()) == ([], 0)
    assert all("which is not in the store" in finding.what for finding in fsck(inner).findings)
    import_car(node, BytesIO(whole))
    assert node.actor(actor).height == STEPS
    assert fsck(inner).ok
