"""`timers`: what waits costs a step nothing, and what is due at once is handled soon.

First one actor, one message per step, that has a million timers of its own in its core, held against the same actor
without any. Then many timers that are due at the same time: from that time until the last of them was handled.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from time import perf_counter, process_time

import msgspec

from bench.hot import SENDER
from bench.node import open_node, run_live, state_of, wait_until
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId

COUNTER = b"""
from msgspec import Struct
from understudy import Context, Wit

class Fill(Struct):
    count: int
    at: str

class Add(Struct):
    amount: int

class Counter(Struct):
    total: int = 0
    rang: int = 0

wit = Wit()

@wit.message("fill")
def fill(order: Fill, ctx: Context) -> None:
    for _ in range(order.count):
        ctx.at(order.at, "due")

@wit.message("add")
def add(order: Add, state: Counter) -> None:
    state.total += order.amount

@wit.message("due")
def due(state: Counter) -> None:
    state.rang += 1
"""
FILES = {"wit": b"/code:counter:wit", "code/counter.py": COUNTER, "policy": b'{"batch":1}'}
FAR = "2100-01-01T00:00:00Z"
FILL = 10_000  # timers that one message sets
ROUNDS = 8  # with and without in turn, each before the other as often, the best of each: a shared machine has moods


def run(params: Params) -> list[Result]:
    """Steps per second of processor time beside timers that wait, and timers per second that are due at once."""
    pending, messages = params.get("pending", 1_000_000), params.get("messages", 3_000)
    at_once = params.get("at_once", 10_000)
    with_timers, without, filled = run_live(_beside(pending, messages))
    handled = run_live(_at_once(at_once))
    return [
        Result(
            benchmark="timers",
            rate=with_timers,
            unit="steps/CPU s",
            params={"pending": pending, "messages": messages},
            ceiling=without,
            ceiling_is="the same actor without a timer",
        ),
        Result(benchmark="timers", rate=filled, unit="timers set/s", params={"pending": pending}),
        Result(benchmark="timers", rate=handled, unit="timers handled/s", params={"due_at_once": at_once}),
    ]


async def _beside(pending: int, messages: int) -> tuple[float, float, float]:
    """Steps per processor second with and without timers in the core, on one node; and how many are set in a second."""
    async with open_node("timers") as node:
        full = (await node.create(FILES, nonce="full")).id
        empty = (await node.create(FILES, nonce="empty")).id
        sender = (await node.create({"wit": b"/code:sender:wit", "code/sender.py": SENDER})).id
        start = perf_counter()
        for begin in range(0, pending, FILL):
            await _fill(node, full, min(FILL, pending - begin), FAR)
        filled = pending / (perf_counter() - start)
        best = {full: 0.0, empty: 0.0}
        for number in range(ROUNDS):
            for actor in (full, empty) if number % 2 else (empty, full):
                best[actor] = max(best[actor], await _steps(node, sender, actor, messages, (number + 1) * messages))
    return best[full], best[empty], filled


async def _fill(node: Node, actor: ActorId, count: int, at: str) -> None:
    answer = (await node.tell(actor, msgspec.json.encode({"count": count, "at": at}), type="fill"))[1]
    assert answer is not None and answer.outcome is None


async def _steps(node: Node, sender: ActorId, actor: ActorId, messages: int, until: int) -> float:
    # What else the machine does moves the time on the wall by more than what is measured here.
    start = process_time()
    await node.send(sender, msgspec.json.encode({"to": str(actor), "count": messages}), type="go")
    await wait_until(lambda: state_of(node, actor).get("total", 0) == until)
    return messages / (process_time() - start)


async def _at_once(count: int) -> float:
    async with open_node("timers") as node:
        actor = (await node.create(FILES)).id
        start = perf_counter()
        await _fill(node, actor, min(FILL, count), FAR)
        # The same once more may take as long, and twice as long on a machine of moods.
        due = time.time() + 3 * (perf_counter() - start) * max(1, count / FILL) + 1
        at = datetime.fromtimestamp(due, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for begin in range(0, count, FILL):
            await _fill(node, actor, min(FILL, count - begin), at)
        assert time.time() < due, "they were due before all of them were set"
        await wait_until(lambda: state_of(node, actor).get("rang", 0) == count)
        return count / (time.time() - due)
