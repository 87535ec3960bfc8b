"""Honest histories, cut at any heights and brought together in any order, accuse nobody."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.node.troupe import Troupe, chain
from understudy.judging.chains import StoredChains
from understudy.judging.foreign import verify_car
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.own_messages import OwnMessages
from understudy.kernel.verdict import MISMATCH
from understudy.kernel.verify import check_senders
from understudy.node.importing import import_car
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.store.car import write_car
from understudy.store.memory import MemoryBackend
from understudy.store.port import Unit
from understudy.store.verified import Grit
from understudy.store.walk import walk

GOSSIP = """
from understudy import Wit

wit = Wit()

@wit.message("tell")
def tell(order: dict, state: dict, ctx) -> None:
    state["told"] = state.get("told", 0) + 1
    to, *rest = order["way"]
    ctx.send(to, {"way": rest} if rest else {}, type="tell" if rest else "hear", lane=order.get("lane", "queue"))

@wit.message("hear")
def hear(order: dict, state: dict) -> None:
    state["heard"] = state.get("heard", 0) + 1
"""
ACTORS = 3


@pytest.fixture(scope="module")
def world() -> tuple[Troupe, list[list[StepId]]]:
    """Three actors that talked to each other and to themselves, in two lanes; the ids of their steps."""
    troupe = Troupe()
    core = {"wit": "/code:gossip:wit", "code/gossip.py": GOSSIP}
    actors = [troupe.create({**core, "nonce": str(number)}) for number in range(ACTORS)]
    for way in ("01", "110", "0120", "202", "001", "2222"):
        first, *rest = (actors[int(place)] for place in way)
        troupe.tell(first, "tell", {"way": [*map(str, rest)], "lane": "signal" if way == "202" else "queue"})
    return troupe, [[record.id for record in chain(troupe, actor)] for actor in actors]


CUTS = st.tuples(*[st.integers(-1, 20)] * ACTORS)
ORDERS = st.permutations(range(ACTORS))


def cut(histories: list[list[StepId]], heights: tuple[int, ...]) -> list[StepId]:
    """The heads of the histories at these heights; a history that is cut below its genesis is not there."""
    return [steps[min(height, len(steps) - 1)] for steps, height in zip(histories, heights, strict=True) if height >= 0]


class OnlyHeads:
    """A store of other histories that has these heads and no index."""

    def __init__(self, troupe: Troupe, heads: list[StepId]) -> None:
        self._heads = {troupe.reader.step(head).actor: head for head in heads}

    def head(self, actor: ActorId) -> StepId | None:
        return self._heads.get(actor)

    def named(self, name: str) -> ActorId | None:
        return None

    def steps(self, actor: ActorId, *, low: int, high: int) -> list[StepId]:
        return []

    def fetch(self, ids: object) -> None:
        return


@settings(max_examples=300, deadline=None)
@given(heights=CUTS)
def test_no_step_is_accused_by_an_older_copy_of_another_history(world, heights: tuple[int, ...]) -> None:
    troupe, histories = world
    blocks = MemoryBackend()
    for head in cut(histories, heights):
        # Only what the histories hold as far as they were cut.
        blocks.commit([Unit(blocks=list(walk(troupe.reader, head)))])
    reader = Grit(blocks)
    chains = StoredChains(OnlyHeads(troupe, cut(histories, heights)), reader)
    for steps, height in zip(histories, heights, strict=True):
        own = OwnMessages(reader)
        for record in chain(troupe, troupe.reader.step(steps[0]).actor)[: height + 1]:
            assert check_senders(reader, record, chains, own) is None


def car(troupe: Troupe, heads: list[StepId]) -> BytesIO:
    file = BytesIO()
    write_car(file, heads, [block for head in heads for block in walk(troupe.reader, head)])
    file.seek(0)
    return file


@settings(max_examples=5, deadline=None)
@given(first=CUTS, second=CUTS, order=ORDERS)
def test_honest_histories_are_imported_in_any_order_and_none_is_a_mismatch(
    world, first: tuple[int, ...], second: tuple[int, ...], order: list[int]
) -> None:
    troupe, histories = world
    node = Node(MemoryBackend())
    for heights in (first, second):
        for number in order:
            for head in cut([histories[number]], (heights[number],)):
                import_car(node, car(troupe, [head]))
    targets = [Target(actor, head) for actor, head in node.lookup.all_actors()]
    verdicts = verify_targets(node.backend, targets, integrity_only=True, processes=1)
    heads = cut(histories, first)
    if heads:
        verdicts += verify_car(car(troupe, heads), integrity_only=True)
    assert [verdict for verdict in verdicts if not verdict.ok] == []


def test_histories_of_different_ages_match_when_they_are_replayed(world) -> None:
    troupe, histories = world
    node = Node(MemoryBackend())
    for steps, height in zip(histories, (1, 99, 2), strict=True):
        import_car(node, car(troupe, [steps[min(height, len(steps) - 1)]]))
    targets = [Target(actor, head) for actor, head in node.lookup.all_actors()]
    verdicts = verify_targets(node.backend, targets, processes=1)
    assert [verdict.verdict for verdict in verdicts] == ["MATCH"] * ACTORS
    assert MISMATCH not in {verdict.verdict for verdict in verify_car(car(troupe, cut(histories, (1, 99, 2))))}
