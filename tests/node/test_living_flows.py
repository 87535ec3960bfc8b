"""Flows in a living node: names, calls to the world, timers, restarts and updates; and what a verdict says of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.capabilities import chores
from tests.node.living import Living
from tests.node.stage import PATIENCE
from understudy.actors.errors import Retry
from understudy.judging.verification import Target
from understudy.kernel.verdict import MATCH, UNVERIFIABLE
from understudy.objects.ids import ActorId, Id

STOCK = """
from understudy import Refusal, Wit

wit = Wit()


@wit.message("Reserve")
def reserve(payload: dict, state: dict) -> int:
    state["count"] = state.get("count", 0) + payload["count"]
    return state["count"]


@wit.query
def count(state: dict) -> int:
    return state.get("count", 0)
"""
SHOP = """
import asyncio

from msgspec import Struct

from tests.capabilities import chores
from understudy import FlowContext, Wit

wit = Wit()


class Order(Struct):
    count: int


class Reserve(Struct):
    count: int


def add(state: dict, line: str) -> int:
    state.setdefault("lines", []).append(line)
    return len(state["lines"])


@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    first, second = await asyncio.gather(
        ctx.request("stock", Reserve(order.count), returns=int, timeout="1 h"), ctx.effect(chores.weigh, "Ann", stones=order.count)
    )
    ctx.with_state(add, f"{first} {second.to} {second.weight}")
    await ctx.sleep(0.2)
    held = await ctx.query("stock", "count")
    ctx.with_state(add, f"held {held.json()}")
    await ctx.wait("go", n=order.count)
    async with asyncio.timeout(0.1):
        await ctx.wait("never")
"""


PLACES = {"wit": "/code:it:wit"}


def test_a_flow_goes_on_over_a_restart_and_asks_the_world_once_and_all_of_it_verifies() -> None:
    chores.ran.clear()
    living = Living()
    stock = living.create(**PLACES, **{"code/it.py": STOCK})
    shop = living.create(**PLACES, **{"code/it.py": SHOP})
    living.run(living.node.set_name("stock", stock, expected=None))
    # Its first answer waits while the node is down.
    living.run(living.node.pause(stock))
    for count in (2, 3):
        living.tell(shop, "Order", {"count": count})
    living = living.again()
    living.run(living.node.resume(stock))
    _until(living, lambda: len(living.state(shop).get("lines", [])) == 4)
    # The first restart may have come between the run of a function and its record: then it ran again.
    asked = len(chores.ran)
    assert asked >= 2
    living = living.again()
    for count in (2, 3):
        assert living.tell(shop, "go", {"n": count}) is None
    _until(living, lambda: not living.node.reader.tree(_flows(living, shop)))
    lines = living.state(shop)["lines"]
    assert sorted(lines) == ["2 Ann 4", "5 Ann 6", "held 5", "held 5"]
    # What was recorded is never asked again.
    assert [one.name for one in chores.ran] == ["weigh"] * asked
    # The last thing that they waited for never came: who began them hears of it, in the steps of their timers.
    assert {"TimeoutError"} == {
        json.loads(living.node.reader.blob(message.content))["code"]
        for step in living.chain(shop)[-2:]
        for message in map(living.node.reader.message, step.sent)
    }
    assert set(living.outcomes(shop)) == {"ok"}
    (verdict,) = living.run(living.node.verify([Target(shop, living.node.lookup.newest(shop))]))
    assert verdict.verdict == MATCH, verdict
    living.stop()


def test_a_flow_that_is_not_the_same_each_time_is_told_so_at_its_second_answer() -> None:
    """A global that counts how often the code ran: the honest mistake that a flow's author makes."""
    code = """
from understudy import FlowContext, Wit
wit = Wit()
runs = []
@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    runs.append(1)
    for _ in range(3):
        await ctx.wait("go", n=len(runs))
"""
    with Living() as living:
        shop = living.create(**PLACES, **{"code/it.py": code})
        living.tell(shop, "begin")
        living.tell(shop, "go", {"n": 1})
        log = living.log(living.chain(shop)[-1])
        assert "the code asks for 'wait go n=2'" in log and "the flow's record shows 'wait go n=1'" in log


def test_an_answer_that_came_while_the_code_was_broken_is_kept_until_it_loads() -> None:
    with Living() as living:
        stock = living.create(**PLACES, **{"code/it.py": STOCK})
        living.run(living.node.set_name("stock", stock, expected=None))
        code = """
from understudy import FlowContext, Wit
wit = Wit()
def keep(state: dict, answer: int) -> None:
    state["answer"] = answer
@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    ctx.with_state(keep, await ctx.request("stock", {"count": 7}, type="Reserve", returns=int))
"""
        shop = living.create(**PLACES, **{"code/it.py": code})
        living.run(living.node.pause(stock))
        living.tell(shop, "begin")
        assert living.update(shop, **{"code/it.py": "raise ValueError"}) is None
        living.run(living.node.resume(stock))
        _until(living, lambda: any("ImportFailed" in (one.error or "") for one in living.node.pending(shop)))
        assert living.update(shop, **{"code/it.py": code}) is None
        _until(living, lambda: bool(living.state(shop)))
        assert living.state(shop) == {"answer": 7}
        assert "ImportFailed" not in living.outcomes(shop)
        (verdict,) = living.run(living.node.verify([Target(shop, living.node.lookup.newest(shop))]))
        assert verdict.verdict == MATCH, verdict


class Closed:
    """A world that is not there, however often it is asked."""

    name = "effect"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        raise Retry("the bank is closed")


def test_a_call_whose_step_fails_is_an_error_for_the_flow_which_may_handle_it() -> None:
    code = """
from tests.capabilities import chores
from understudy import CallFailed, FlowContext, Wit
wit = Wit()
def keep(state: dict, code: str) -> None:
    state["failed"] = code
@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    try:
        await ctx.effect(chores.weigh, "x")
    except CallFailed as error:
        ctx.with_state(keep, error.code)
"""
    policy = json.dumps({"retry": {"attempts": 2, "first_ms": 1}})
    with Living(capabilities={"effect": Closed()}) as living:
        shop = living.create(**PLACES, policy=policy, **{"code/it.py": code})
        living.send(shop, "begin")
        _until(living, lambda: bool(living.state(shop)))
        assert living.state(shop) == {"failed": "RetriesExhausted"}
        # The call's own step failed, and the step in which the flow heard of it went well.
        assert living.outcomes(shop) == ["ok", "ok", "RetriesExhausted", "ok"]
        assert not living.node.reader.tree(_flows(living, shop))
        (verdict,) = living.run(living.node.verify([Target(shop, living.node.lookup.newest(shop))]))
        assert (verdict.verdict, verdict.at_height) == (UNVERIFIABLE, 2), verdict


def _flows(living: Living, actor: ActorId) -> Id:
    found = living.node.reader.find(living.chain(actor)[-1].core, "flows")
    assert found is not None
    return found


def _until(living: Living, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.02)
