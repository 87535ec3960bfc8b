"""Finding actors and counting steps: what is kept in memory and found by search is what reading everything would give."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import GREETER
from understudy.node.looking import roster
from understudy.node.looking.activity import Activity
from understudy.node.looking.code_version import code_version
from understudy.node.looking.directory import Wanted
from understudy.node.looking.roster import UNREADABLE, Roster
from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.store.memory import MemoryBackend

BROKEN = GREETER.replace("the wit is broken", "the wit is broken again")


@pytest.fixture
def node() -> Iterator[tuple[asyncio.Runner, Node]]:
    ticks = count(1_000_000, 1000)
    with asyncio.Runner() as runner:
        node = Node(MemoryBackend(), clock=lambda: next(ticks))
        runner.run(node.start())
        yield runner, node
        runner.run(node.stop())


def fill(runner: asyncio.Runner, node: Node, actors: int, steps: int) -> list[ActorId]:
    """Actors, each with some steps; every third one's last step failed."""

    async def story() -> list[ActorId]:
        made = []
        for number in range(actors):
            files = {"wit": GREETER.encode(), "nonce": str(number).encode()}
            made.append((await node.create(files, name=f"a{number}")).id)
        for number, actor in enumerate(made):
            for _ in range(steps):
                await node.tell(actor, b'{"name": "x"}', type="greet", timeout=30)
            if number % 3 == 0:
                await node.tell(actor, b"{}", type="fail", timeout=30)
        return made

    return runner.run(story())


def as_read(node: Node) -> set[tuple[ActorId, int, str]]:
    """Every actor with its height and outcome, from its head."""
    found = set()
    for actor, head in node.heads():
        step = node.step(head)
        found.add((actor, step.height, "ok" if step.outcome is None else step.outcome.kind))
    return found


def as_listed(seen: Roster, seconds: float = 60) -> set[tuple[ActorId, int, str]]:
    return {(one.actor, one.height, one.outcome) for one in seen.refresh(seconds)}


def test_the_roster_is_what_the_heads_say_however_it_is_read(
    node: tuple[asyncio.Runner, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_CHUNK", 3)
    runner, living = node
    fill(runner, living, 10, 1)
    ticks = count()
    # Each look at this clock is a second: a refresh of two seconds reads one chunk.
    slow = Roster(living.backend, living.reader, clock=lambda: next(ticks))
    sizes = [len(slow.refresh(2)) for _ in range(8)]
    assert sizes[0] == 3 and sizes == sorted(sizes) and slow.is_complete
    assert as_listed(slow) == as_read(living)
    for far in (False, True):
        if far:
            # So far behind that all heads are looked at again.
            monkeypatch.setattr(roster, "_MAX_BEHIND", 1)
        fill(runner, living, 12, 2)
        assert as_listed(slow) == as_read(living)


def test_actors_that_do_not_work_are_found_before_all_are_read(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    actors = fill(runner, living, 200, 0)
    held = max(actors)  # the last that a scan comes to
    runner.run(living.pause(held, reason="lunch"))
    found = living.find_actors(Wanted(), seconds=0)
    assert not found.is_complete
    assert [one.seen.actor for one in found.items[:1]] == [held]


def test_those_in_trouble_come_first_and_then_the_newest(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    actors = fill(runner, living, 9, 1)
    runner.run(living.pause(actors[1]))
    every = [one.seen.actor for one in living.find_actors(Wanted()).items]
    failed, fine = actors[0::3], [actors[number] for number in (2, 4, 5, 7, 8)]
    assert every == [*failed[::-1], actors[1], *fine[::-1]]
    pages = [living.find_actors(Wanted(), start=start, limit=2).items for start in range(0, 9, 2)]
    assert [one.seen.actor for page in pages for one in page] == every


def test_a_roster_that_is_full_says_so(node: tuple[asyncio.Runner, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "MAX_ACTORS", 2)
    runner, living = node
    fill(runner, living, 3, 0)
    found = living.find_actors(Wanted())
    assert found.is_full and found.known == 2


def test_an_actor_that_cannot_be_read_hides_no_other(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    actors = fill(runner, living, 2, 0)
    assert isinstance(living.backend, MemoryBackend)
    head = living.newest(actors[1])
    living.backend._blocks[bytes(head)] = b"damaged"
    fresh = Roster(living.backend, type(living.reader)(living.backend))
    assert {one.outcome for one in fresh.refresh(60)} == {UNREADABLE, "failed"}


def test_a_step_that_cannot_be_read_keeps_nobody_from_seeing_what_came_after_it(
    node: tuple[asyncio.Runner, Node],
) -> None:
    runner, living = node
    actors = fill(runner, living, 3, 0)
    assert isinstance(living.backend, MemoryBackend)
    fresh = Roster(living.backend, type(living.reader)(living.backend))
    fresh.refresh(60)
    fill(runner, living, 3, 1)
    damaged = living.step_at(actors[1], 1)
    assert damaged is not None
    living.backend._blocks[bytes(damaged)] = b"damaged"
    assert {one.height for one in fresh.refresh(60)} == {0, 1, 3}
    unread = Activity(living.backend, type(living.reader)(living.backend), None)
    assert len(unread.counts([0, 2**40, 2**50])) == 2


def test_who_comes_while_another_one_reads_takes_what_is_known(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    fill(runner, living, 2, 0)
    fresh = Roster(living.backend, living.reader)
    fresh.refresh(60)
    fresh._lock.acquire()
    assert len(fresh.refresh(0.01)) == 2


def test_the_code_version_changes_with_the_code_and_with_nothing_else(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    [actor] = fill(runner, living, 1, 0)
    first = living.step(living.newest(actor)).core
    runner.run(living.tell(actor, b'{"name": "x"}', type="greet", timeout=30))
    second = living.step(living.newest(actor)).core
    runner.run(living.tell_patch(actor, {"wit": BROKEN.encode()}, timeout=30))
    third = living.step(living.newest(actor)).core
    versions = [code_version(living.reader, core) for core in (first, second, third)]
    assert first != second and versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("folder", ["code", "src", "lib/shop"])
def test_the_code_version_changes_with_the_folder_that_a_pointer_names(
    node: tuple[asyncio.Runner, Node], folder: str
) -> None:
    runner, living = node
    core = {"wit": f"/{folder}:greeter:wit\n".encode(), f"{folder}/greeter.py": GREETER.encode()}
    actor = runner.run(living.create(core, name="ada")).id
    versions = [living.code_version(living.step(living.newest(actor)).core)]
    runner.run(living.tell(actor, b'{"name": "x"}', type="greet", timeout=30))
    versions.append(living.code_version(living.step(living.newest(actor)).core))
    runner.run(living.tell_patch(actor, {f"{folder}/greeter.py": BROKEN.encode()}, timeout=30))
    versions.append(living.code_version(living.step(living.newest(actor)).core))
    assert versions[0] == versions[1] != versions[2]
    [listed] = living.find_actors(Wanted()).items
    assert listed.seen.code == versions[2]
    # A pointer that is lost keeps nobody from seeing the actor.
    assert isinstance(living.backend, MemoryBackend)
    pointer = living.reader.find(living.step(living.newest(actor)).core, "wit")
    assert pointer is not None
    del living.backend._blocks[bytes(pointer)]
    fresh = Roster(living.backend, type(living.reader)(living.backend))
    assert [one.outcome for one in fresh.refresh(60)] == ["ok"]


def test_steps_are_counted_as_reading_each_would_count_them(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    actors = fill(runner, living, 3, 9)
    last = max(living.step(head).time for _, head in living.heads())

    @given(st.lists(st.integers(0, last + 10_000), min_size=2, max_size=12).map(sorted))
    def check(edges: list[int]) -> None:
        for actor in actors:
            times = [step.time for _, step in living.steps(actor, limit=1000).items]
            expected = [sum(low <= time < high for time in times) for low, high in pairwise(edges)]
            assert living.activity(edges, actor=actor) == expected
            height = living.height_at(actor, edges[0])
            before = [time for time in times if time <= edges[0]]
            assert (height is None) == (not before) and (height is None or height == len(before) - 1)

    check()
    assert sum(living.activity([0, last + 1])) == living.newest_event()


def test_counting_reads_some_steps_and_not_all(node: tuple[asyncio.Runner, Node]) -> None:
    runner, living = node
    [actor] = fill(runner, living, 1, 200)
    activity = Activity(living.backend, living.reader, actor)
    assert sum(activity.counts([0, 2**50])) == 202
    assert len(activity._times) < 20


def test_an_empty_store_has_nothing() -> None:
    with asyncio.Runner() as runner:
        node = Node.open("memory:")
        assert node.find_actors(Wanted()).items == []
        assert node.activity([0, 1, 2]) == [0, 0]
        runner.run(node.stop())
