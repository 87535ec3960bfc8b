"""What must not happen too early: effects before their parent is durable, on a head that was lost, or after the wit's end.

On a node without threads, where the worst moment can be had at will.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.node.troupe import AtOnce
from understudy.actors.errors import CallFailed
from understudy.kernel.actor import unborn
from understudy.node.running import table
from understudy.node.running.calls import LiveCalls
from understudy.objects.codec import raw_block
from understudy.objects.ids import ActorId, StepId, TreeId, node_id
from understudy.objects.message import GENESIS
from understudy.objects.step import step_block
from understudy.store.keys import head_ref
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Unit
from understudy.store.reader import Staging
from understudy.testing.model_actors import stage_files
from understudy.testing.simulator import Simulator

WIT = """
from understudy import Context, Wit
from tests.node.test_effects import pauses
wit = Wit()

@wit.message("add")
def add(number: int, state: dict) -> None:
    state.setdefault("numbers", []).append(number)

@wit.message("call")
async def call(name: str, ctx: Context) -> None:
    await ctx.given.calls.call("world", name.encode())

@wit.message("pause and call")
async def pause_and_call(name: str, ctx: Context) -> None:
    await pauses.wait(name)
    await ctx.given.calls.call("world", name.encode())
"""


class Pauses:
    """Places where an asynchronous wit waits for a test on the simulator's event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def wait(self, name: str) -> None:
        self._waiting[name] = asyncio.get_running_loop().create_future()
        await self._waiting[name]

    def waiting(self, name: str) -> asyncio.Future[None]:
        """What the wit that came here last waits for."""
        return self._waiting[name]


pauses = Pauses()


class World:
    """A capability that notes what it was asked."""

    name = "world"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        self.asked.append(request.decode())
        return b"done"


def make(world: World) -> tuple[Simulator, ActorId]:
    """A simulator with one actor, whose messages are steps of their own."""
    simulator = Simulator(MemoryBackend(), capabilities={"world": world})
    staging = Staging(simulator.reader)
    core = stage_files(staging, {"wit": WIT, "policy": '{"batch": 1}'})
    simulator.send(str(core), type=GENESIS, content=core, blocks=list(staging.new.values()))
    simulator.settle()
    return simulator, ActorId(core)


def send(simulator: Simulator, actor: ActorId, type: str, content: Any, *, caller: str = "ann") -> None:
    block = raw_block(msgspec.json.encode(content))
    simulator.send(str(actor), type=type, content=block.id, blocks=[block], caller=caller)


def make_steps(simulator: Simulator) -> None:
    """Step all that may be stepped; a turn hands over what the one before it made. Nothing becomes durable."""
    for _ in range(4):
        simulator.turn()


def move_head_elsewhere(simulator: Simulator, actor: ActorId) -> StepId:
    """As another process would: another step of the same height takes the place of the newest durable one."""
    head = simulator.lookup.newest(actor)
    step = simulator.reader.step(head)
    block = step_block(msgspec.structs.replace(step, time=step.time + 1))
    moved = simulator.backend.commit([Unit(blocks=[block], moves=[Move(head_ref(actor), head, block.id)])])
    assert moved[0].conflict is None
    return StepId(block.id)


def state(simulator: Simulator, actor: ActorId) -> Any:
    step = simulator.reader.step(simulator.lookup.newest(actor))
    id = simulator.reader.find(step.core, "state")
    return None if id is None else msgspec.json.decode(simulator.reader.blob(id))


def test_an_effect_waits_for_every_step_before_it_and_not_for_one_of_them() -> None:
    world = World()
    simulator, actor = make(world)
    for number in (1, 2):
        send(simulator, actor, "add", number)
    send(simulator, actor, "call", "after both")
    simulator.commit()
    make_steps(simulator)
    for durable in (1, 2):
        assert world.asked == []
        simulator.commit(most=1)
        simulator.turn()
        assert simulator.reader.step(simulator.lookup.newest(actor)).height == durable
    assert world.asked == ["after both"]
    simulator.abandon()


def test_an_effect_of_a_wit_whose_head_was_lost_never_starts() -> None:
    world = World()
    simulator, actor = make(world)
    send(simulator, actor, "add", 1)
    send(simulator, actor, "pause and call", "on the lost head")
    simulator.commit()
    make_steps(simulator)
    first = pauses.waiting("on the lost head")
    move_head_elsewhere(simulator, actor)
    simulator.commit()
    simulator.turn()
    # It runs on, and finds that what it was built on will never be durable. Meanwhile it is begun again on the new head.
    first.set_result(None)
    for _ in range(3):
        simulator.look_around()
        simulator.turn()
        simulator.commit()
    assert world.asked == []
    simulator.abandon()


def test_a_message_taken_by_a_step_that_is_not_durable_yet_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_WAITING", 1)
    simulator, actor = make(World())
    # Of two senders: of one, the second message would lead back to the first.
    for number, caller in ((1, "ann"), (2, "bob")):
        send(simulator, actor, "add", number, caller=caller)
    simulator.commit()
    # The first is stepped; the second did not fit, so the rows are read again while the first one's step is not durable.
    make_steps(simulator)
    # That step will fail: what it took has to be there for the next one.
    move_head_elsewhere(simulator, actor)
    simulator.settle()
    assert sorted(state(simulator, actor)["numbers"]) == [1, 2]
    simulator.abandon()


def test_a_call_that_is_made_when_the_wit_has_returned_reaches_nobody() -> None:
    world = World()
    actor = unborn(ActorId(TreeId(node_id(b"somebody"))))
    calls = LiveCalls({"world": world}, actor, [], AtOnce())
    calls.close()
    with pytest.raises(CallFailed, match="StepOver"):
        asyncio.run(calls.call("world", b"too late"))
    assert world.asked == [] and not calls.entries
