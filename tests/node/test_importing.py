"""Import of histories: in pieces, each of which leaves a good history behind, whatever happens before the next."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.living import Living
from understudy.node import importing
from understudy.node.importing import import_car
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.store.car import write_car
from understudy.store.fsck import fsck
from understudy.store.open import open_store
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
