"""`hot`: one actor, a hundred senders: how far running ahead of durability carries.

First with one message per step, held against the same actor when every step waits for its sync before the next begins
and against the store; then as an actor is by default, when a step takes all the messages that wait.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

import msgspec

from bench.node import open_node, run_live, state_of, wait_until
from bench.result import Params, Result
from understudy.node.running.scheduler import MAX_AHEAD
from understudy.objects.step import MAX_CONSUMED

SENDER = b"""
from msgspec import Struct
from understudy import Context, Wit

class Go(Struct):
    to: str
    count: int

class Add(Struct):
    amount: int

wit = Wit()

@wit.message("go")
def go(order: Go, ctx: Context) -> None:
    for _ in range(order.count):
        ctx.send(order.to, Add(1), type="add")
"""

COUNTER = b"""
from msgspec import Struct
from understudy import Wit

class Add(Struct):
    amount: int

class Counter(Struct):
    total: int = 0

wit = Wit()

@wit.message("add")
def add(order: Add, state: Counter) -> None:
    state.total += order.amount
"""


def run(params: Params) -> list[Result]:
    """Steps per second of one actor, running ahead and not, one message to a step."""
    senders, each = params.get("senders", 100), params.get("messages_each", 300)
    waiting = run_live(_rate(senders, max(each // 10, 10), run_ahead=1, batch=1))
    ahead = run_live(_rate(senders, each, run_ahead=MAX_AHEAD, batch=1))
    batched = run_live(_rate(senders, each, run_ahead=MAX_AHEAD, batch=MAX_CONSUMED))
    about: dict[str, int | float | str] = {"senders": senders, "messages_each": each, "batch": 1}
    waiting_is = "the same actor, one message per step, when each step waits for its sync before the next begins"
    return [
        Result(
            benchmark="hot",
            rate=ahead,
            unit="steps/s",
            params=about,
            ceiling=waiting,
            ceiling_is=waiting_is,
        ),
        Result(benchmark="hot", rate=ahead, unit="steps/s", params={**about, "against": "store"}),
        Result(
            benchmark="hot",
            rate=batched,
            unit="messages/s",
            params={**about, "batch": MAX_CONSUMED},
            ceiling=waiting,
            ceiling_is=waiting_is,
        ),
    ]


async def _rate(senders: int, each: int, *, run_ahead: int, batch: int) -> float:
    """Messages per second, from the first send to the last step that consumes one."""
    async with open_node("hot", run_ahead=run_ahead) as node:
        files = {
            "wit": b"/code:counter:wit",
            "code/counter.py": COUNTER,
            "policy": msgspec.json.encode({"batch": batch}),
        }
        counter = (await node.create(files)).id
        from_files = {"wit": b"/code:sender:wit", "code/sender.py": SENDER}
        made = [(await node.create(from_files, nonce=str(number))).id for number in range(senders)]
        order = msgspec.json.encode({"to": str(counter), "count": each})
        start = perf_counter()
        await asyncio.gather(*(node.send(sender, order, type="go") for sender in made))
        await wait_until(lambda: state_of(node, counter).get("total", 0) == senders * each)
        seconds = perf_counter() - start
    return senders * each / seconds
