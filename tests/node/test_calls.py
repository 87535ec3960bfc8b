"""Calls of live steps: what a journal can hold, what keeps its key, and that the replay says the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.node.troupe import Troupe
from understudy.node.verification import verify_targets
from understudy.objects.ids import ActorId

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


def matches(troupe: Troupe, id: ActorId) -> bool:
    return verify_targets(troupe.backend, [troupe.target(id)], processes=1)[0].ok


def test_a_step_that_calls_as_often_as_it_may_and_writes_to_a_stranger_fails_and_the_actor_goes_on(troupe: Troupe):
    id = actor(troupe, MANY)
    troupe.tell(id, "many", str(troupe.create({"wit": "def wit(): pass"})))
    outcome = troupe.step(id).outcome
    assert outcome is not None and (outcome.kind, outcome.code) == ("failed", "TooManyCalls")
    troupe.tell(id, "hear", 1)
    assert troupe.step(id).outcome is None
    assert matches(troupe, id)
