"""Calls of live steps: what a journal can hold, what keeps its key, and that the replay says the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import msgspec
import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, gates
from tests.node.troupe import Troupe
from understudy.actors.errors import NEEDS_WORLD, STUCK, Retry
from understudy.judging.replayer import MAX_TIMERS_FIRST
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId
from understudy.objects.journal import journal_block
from understudy.objects.step import Outcome
from understudy.store.maps import edit_tree
from understudy.store.reader import Staging

HEAD = """
from understudy import Wit
import asyncio

wit = Wit()
"""
MANY = """
@wit.message("many")
async def many(to: str, ctx) -> None:
    for _ in range(10_000):
        await ctx.given.calls.call("world", b"")
    ctx.send(to, 1, type="hear")

@wit.message("hear")
def hear(number: int, state: dict) -> None:
    state["heard"] = number
"""


class World:
    """A capability that does as it is told, and notes the keys that it was given."""

    name = "world"

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.answer: Callable[[], bytes] = lambda: b"done"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        self.keys.append(key)
        return self.answer()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def troupe(world: World) -> Troupe:
    return Troupe(capabilities={"world": world})


def actor(troupe: Troupe, code: str) -> ActorId:
    return troupe.create({"wit": "/code:it:wit", "code/it.py": HEAD + code})


def verify(troupe: Troupe, id: ActorId) -> Verdict:
    return verify_targets(troupe.backend, [troupe.target(id)], processes=1)[0]


def test_a_step_that_calls_as_often_as_it_may_and_writes_to_a_stranger_fails_and_the_actor_goes_on(troupe: Troupe):
    id = actor(troupe, MANY)
    troupe.tell(id, "many", str(troupe.create({"wit": "def wit(): pass"})))
    outcome = troupe.step(id).outcome
    assert outcome is not None and (outcome.kind, outcome.code) == ("failed", "TooManyCalls")
    troupe.tell(id, "hear", 1)
    assert troupe.step(id).outcome is None
    assert verify(troupe, id).ok


LEFT = """
async def left(ctx, state):
    state["answered"] = (await ctx.given.calls.call("world", b"")).decode()

@wit.message("early")
async def early(ticks: int, state: dict, ctx) -> None:
    task = asyncio.create_task(left(ctx, {}))
    for _ in range(ticks):
        await asyncio.sleep(0)
    state["kept"] = [task]
    state["kept"].clear()

@wit.message("late")
async def late(number: int, ctx) -> None:
    task = asyncio.create_task(left(ctx, {}))
    await asyncio.sleep(0)
"""


@pytest.mark.parametrize("ticks", range(7))
def test_a_call_that_the_wit_does_not_wait_for_matches_whether_it_was_answered_or_not(troupe: Troupe, ticks: int):
    id = actor(troupe, LEFT)
    troupe.tell(id, "early", ticks)
    assert troupe.step(id).outcome is None
    assert verify(troupe, id).ok


def test_an_answer_that_comes_after_the_wit_returned_is_not_journalled(world: World):
    left, freed = threading.Event(), threading.Event()

    async def call(request: bytes, *, caller: ActorId, key: str) -> bytes:
        left.set()
        assert await asyncio.to_thread(freed.wait, PATIENCE)
        return b"late"

    world.call = call  # type: ignore[method-assign]
    with Living(capabilities={"world": world}) as living:
        made = living.run(living.node.create({"wit": b"/code:it:wit", "code/it.py": (HEAD + LEFT).encode()}))
        answer = living.ask(made.id, "late", 1)
        freed.set()
        assert answer.outcome is None
        living.come_to_rest()
        assert all(step.journal is None for step in living.chain(made.id))


RACES = """
from tests.node.stage import gates

@wit.message("race")
async def race(ticks: int, state: dict, ctx) -> None:
    order = state["order"] = []

    async def tick() -> None:
        for number in range(ticks):
            await asyncio.sleep(0.001)
            order.append(number)
        gates.arrive_at(f"{ticks} ticks before the answer")

    task = asyncio.create_task(tick())
    order.append((await ctx.given.calls.call("world", b"")).decode())
    await task
"""


@pytest.mark.parametrize("ticks", [1, 4, MAX_TIMERS_FIRST])
def test_timers_of_a_wit_that_went_off_before_its_answer_came_are_no_mismatch(world: World, ticks: int):
    async def call(request: bytes, *, caller: ActorId, key: str) -> bytes:
        await asyncio.to_thread(gates.wait_for, f"{ticks} ticks before the answer")
        return b"answered"

    world.call = call  # type: ignore[method-assign]
    with Living(capabilities={"world": world}) as living:
        core = {"wit": b"/code:it:wit", "code/it.py": (HEAD + RACES).encode()}
        id = living.run(living.node.create(core)).id
        assert living.ask(id, "race", ticks).outcome is None
        assert living.state(id)["order"] == [*range(ticks), "answered"]
        [verdict] = verify_targets(living.backend, [Target(id, living.node.actor(id).head)], processes=1)
    assert verdict.ok, verdict


def test_an_order_of_timers_and_answers_that_no_run_of_the_code_has_is_a_mismatch(troupe: Troupe):
    id = actor(troupe, RACES)
    before = troupe.step(id)
    troupe.tell(id, "race", 2)
    assert verify(troupe, id).ok
    staging = Staging(troupe.reader)
    core = edit_tree(staging, before.core, {"state": staging.put_blob(b'{"order":[1,0,"done"]}')})
    troupe.forge(id, staging=staging, core=core)
    verdict = verify(troupe, id)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("MISMATCH", "output", 1)


SWALLOW = """
@wit.message("ask")
async def ask(number: int, state: dict, ctx) -> None:
    state["said"] = (await ctx.given.calls.call("world", b"")).decode()
"""


def test_a_step_that_is_said_to_have_failed_for_want_of_an_answer_is_no_match(troupe: Troupe):
    id = actor(troupe, SWALLOW)
    before = troupe.step(id)
    troupe.tell(id, "ask", 0)
    outcome = Outcome("failed", NEEDS_WORLD, "the call world/0 is not in the journal")
    troupe.forge(id, core=before.core, journal=None, outcome=outcome)
    verdict = verify(troupe, id)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("MISMATCH", "journal", 1)
    assert verdict.path == "data.journal.world/0"


NAMED_AS_OURS = """
@wit.message("fail")
async def fail(name: str) -> None:
    raise type(name, (Exception,), {})("an honest failure")

@wit.message("wait")
async def wait(name: str, ctx) -> None:
    if await ctx.given.calls.call("world", b"") == b"done":
        raise type(name, (Exception,), {})("an honest failure")
    await asyncio.get_running_loop().create_future()
"""


@pytest.mark.parametrize("name", ["CallNeedsWorld", "Stuck", NEEDS_WORLD, STUCK])
def test_an_honest_failure_is_a_match_even_if_its_exception_is_called_as_one_of_ours(troupe: Troupe, name: str):
    id = actor(troupe, NAMED_AS_OURS)
    troupe.tell(id, "fail", name)
    outcome = troupe.step(id).outcome
    assert outcome is not None and (outcome.kind, outcome.code) == ("failed", name)
    assert verify(troupe, id).ok


def test_a_step_that_is_said_to_have_failed_where_a_replay_waits_for_ever_is_no_match(troupe: Troupe):
    id = actor(troupe, NAMED_AS_OURS)
    troupe.tell(id, "wait", STUCK)
    journal = troupe.step(id).journal
    assert journal is not None and verify(troupe, id).ok
    staging = Staging(troupe.reader)
    [entry] = troupe.reader.journal(journal)
    other = msgspec.structs.replace(entry, reply=staging.put_blob(b"another answer"))
    troupe.forge(id, staging=staging, journal=staging.put(journal_block([other])))
    verdict = verify(troupe, id)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "journal", 1)


LEFT_TO_CALL = """
async def lingers(ctx):
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await ctx.given.calls.call("world", b"on the way out")

@wit.message("linger")
async def linger(number: int, state: dict, ctx) -> None:
    task = asyncio.create_task(lingers(ctx))
    await asyncio.sleep(0)
    state["done"] = number
"""


def test_what_a_task_that_the_wit_left_behind_calls_for_on_its_way_out_is_not_held_against_the_step(troupe: Troupe):
    id = actor(troupe, LEFT_TO_CALL)
    troupe.tell(id, "linger", 1)
    assert troupe.step(id).outcome is None
    assert troupe.step(id).journal is None
    assert verify(troupe, id).ok


def test_every_attempt_at_a_call_has_the_same_key_and_every_other_call_another(world: World):
    failures = [Retry("not now"), Retry("not now")]

    def answer() -> bytes:
        if failures:
            raise failures.pop()
        return b"done"

    world.answer = answer
    with Living(capabilities={"world": world}) as living:
        id = living.create(policy='{"retry": {"first_ms": 1}}')
        for _ in range(2):
            assert living.ask(id, "call", "world").outcome is None
    assert len(world.keys) == 4
    assert len(set(world.keys[:3])) == 1 and world.keys[3] != world.keys[0]


def test_a_call_that_is_made_again_after_a_restart_has_the_same_key(world: World):
    begun = threading.Event()

    async def call(request: bytes, *, caller: ActorId, key: str) -> bytes:
        world.keys.append(key)
        begun.set()
        if len(world.keys) == 1:
            await asyncio.Event().wait()
        return b"done"

    world.call = call  # type: ignore[method-assign]
    living = Living(capabilities={"world": world})
    id = living.create()
    living.send(id, "call", "world")
    assert begun.wait(PATIENCE)
    with living.again() as after:
        after.until(lambda: len(world.keys) == 2)
        after.come_to_rest()
    assert world.keys[0] == world.keys[1]
