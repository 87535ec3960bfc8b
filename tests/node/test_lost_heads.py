"""Wits that wait for an answer of the world while somebody else moves the head that they run on, and those that nobody awaits."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator

import msgspec
import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, ClogStore, gates
from tests.node.test_async_wits import Stage
from understudy.node.running import async_wits
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import step_block
from understudy.store.keys import head_ref
from understudy.store.port import Move, Unit

CODE = """
from understudy import Wit
from tests.node.stage import gates
wit = Wit()

@wit.message("hold")
def hold(name: str, state: dict) -> None:
    gates.pass_through(name)
    state.setdefault("held", []).append(name)

@wit.message("call")
async def call(name: str, state: dict, ctx) -> None:
    gates.arrive_at(name)
    state["answer"] = (await ctx.given.calls.call("world", name.encode())).decode()

@wit.message("call and wait")
def call_and_wait(name: str, state: dict, ctx) -> None:
    gates.arrive_at(name)
    state["answer"] = ctx.given.calls.call_and_wait("world", name.encode()).decode()
"""


class World:
    """Says what it is asked, and when."""

    name = "world"

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        self.asked.append(request)
        return request


@pytest.fixture(autouse=True)
def never_awaited() -> Iterator[None]:
    """A coroutine that is dropped before anybody awaited it is an error here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert not [str(warning.message) for warning in caught if "never awaited" in str(warning.message)]


def move_head(living: Living, actor: ActorId) -> None:
    """As another node on this store would: the same step is there, made a moment later."""
    head = living.node.lookup.head(actor)
    assert head is not None
    step = living.node.reader.step(head)
    other = step_block(msgspec.structs.replace(step, time=step.time + 1))
    unit = Unit(blocks=[other], moves=[Move(head_ref(actor), head, StepId(other.id))])
    assert living.backend.inner.commit([unit])[0].conflict is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("type", ["call", "call and wait"])
def test_a_call_on_a_head_that_is_lost_is_tried_again_on_the_head_there_is(type: str) -> None:
    world, store, name = World(), ClogStore(), f"lost {type}"
    with Living(store, capabilities={"world": world}) as living:
        core = {"wit": b"/code:it:wit", "code/it.py": CODE.encode(), "policy": b'{"batch": 1}'}
        actor = living.run(living.node.create(core)).id
        living.send(actor, "hold", f"before {type}")
        gates.wait_for(f"before {type}")
        answer = living.begin_answer(actor, living.send(actor, type, name))
        store.clog()
        gates.open(f"before {type}")
        gates.wait_for(name)
        store.wait_until_clogged()
        # The call waits for the step before it, which will not become durable.
        move_head(living, actor)
        assert world.asked == []
        store.unclog()
        assert answer.result(PATIENCE).outcome is None
        assert living.state(actor)["answer"] == name and world.asked == [name.encode()]
        # The first run of it has ended too: nobody waits for an answer that never comes.
        living.until(lambda: living.runner._async_wits.is_idle and living.runner._step_lock.is_idle)


LATE = """
from tests.node.stage import gates

def wit(ctx):
    if ctx.message.type != "genesis":
        gates.pass_through(ctx.message.type)
        return later()

async def later():
    pass
"""


def test_a_wit_that_wants_to_be_awaited_when_its_node_has_ended_is_let_go() -> None:
    living = Living(ClogStore())
    actor = living.run(living.node.create({"wit": b"/code:it:wit", "code/it.py": LATE.encode()})).id
    living.send(actor, "too late")
    gates.wait_for("too late")
    living.until(lambda: True)
    [thread] = [run.thread for run in living.runner._step_lock.runs()]
    living.stop()
    gates.open("too late")
    for each in threading.enumerate():
        if each.ident == thread:
            each.join(PATIENCE)


def test_a_wit_behind_one_that_holds_its_loop_for_longer_than_a_stop_waits_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(async_wits, "STOP_SECONDS", 0.1)
    stage = Stage()
    stage.wits.stop()
    assert stage.wits._loops[0].next_waiting() is None
    stage.lets_go.set()
