"""`fan-in`: what a step costs an actor that has heard from 10,000 others, against one that has heard from 10."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

import msgspec

from bench.hot import COUNTER, SENDER
from bench.node import open_node, run_live, state_of, wait_until
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId

FEW = 10


def run(params: Params) -> list[Result]:
    """Steps per second with many past senders; the ceiling is the same with ten."""
    return run_live(_run(params.get("senders", 10_000), params.get("steps", 2_000)))


async def _run(senders: int, steps: int) -> list[Result]:
    async with open_node("fan-in") as node:
        few = await _counter(node, "few")
        many = await _counter(node, "many")
        talkers = await _talkers(node, FEW)
        await _say(node, talkers, few, 1)
        await _say(node, [*talkers, *await _talkers(node, senders - FEW, first=FEW)], many, 1)
        # In turns, so that a slow minute of the machine is shared.
        rates: dict[ActorId, list[float]] = {few: [], many: []}
        for counter in (few, many) * 3:
            rates[counter].append(await _rate(node, talkers, counter, steps // FEW))
    return [
        Result(
            benchmark="fan-in",
            rate=sorted(rates[many])[1],
            unit="steps/s",
            params={"senders": senders, "steps": steps},
            ceiling=sorted(rates[few])[1],
            ceiling_is=f"the same with {FEW} past senders",
        )
    ]


async def _rate(node: Node, talkers: Sequence[ActorId], counter: ActorId, each: int) -> float:
    start = perf_counter()
    await _say(node, talkers, counter, each)
    return each * len(talkers) / (perf_counter() - start)


async def _counter(node: Node, nonce: str) -> ActorId:
    files = {"wit": b"/code:counter:wit", "code/counter.py": COUNTER, "policy": b'{"batch": 1}'}
    return (await node.create(files, nonce=nonce)).id


async def _talkers(node: Node, count: int, first: int = 0) -> list[ActorId]:
    files = {"wit": b"/code:sender:wit", "code/sender.py": SENDER}
    made: list[ActorId] = []
    for start in range(first, first + count, 500):
        numbers = range(start, min(start + 500, first + count))
        made += [each.id for each in await asyncio.gather(*(node.create(files, nonce=str(n)) for n in numbers))]
    return made


async def _say(node: Node, talkers: Sequence[ActorId], counter: ActorId, each: int) -> None:
    before = int(state_of(node, counter).get("total", 0))
    order = msgspec.json.encode({"to": str(counter), "count": each})
    for start in range(0, len(talkers), 1000):
        await asyncio.gather(*(node.send(talker, order, type="go") for talker in talkers[start : start + 1000]))
    await wait_until(lambda: state_of(node, counter).get("total", 0) == before + each * len(talkers))
