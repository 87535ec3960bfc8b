"""`slow-neighbour`: how long fast actors wait for their answers while others sleep, or compute, in their wits.

The ceiling is the same without slow neighbours. The unit is answers per second at the 99th percentile, the inverse of
the latency, so that more is better here as everywhere: a ratio of 0.5 is twice the latency.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

import msgspec

from bench.node import open_node, run_live
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId

FAST = b"""
from understudy import Wit

wit = Wit()

@wit.message("ask")
def ask(number: int, state: dict) -> int:
    state["asked"] = state.get("asked", 0) + 1
    return number
"""
SLOW = b"""
import asyncio
import time
from understudy import Wit

wit = Wit()

@wit.message("sleep")
def sleep(seconds: float) -> None:
    time.sleep(seconds)

@wit.message("sleep async")
async def sleep_async(seconds: float) -> None:
    await asyncio.sleep(seconds)

@wit.message("compute")
def compute(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
"""
SLOW_SECONDS = 0.25
WAYS = {"none": 0, "sleep": 4, "sleep async": 4, "compute": 1}
ROUNDS = 3


def run(params: Params) -> list[Result]:
    """The 99th percentile with each kind of slow neighbour, in turns with the one without."""
    return run_live(_run(params.get("fast", 8), params.get("asks_each", 250)))


async def _run(fast: int, asks: int) -> list[Result]:
    async with open_node("slow-neighbour") as node:
        actors = [await _create(node, FAST, f"fast {number}") for number in range(fast)]
        slow = [await _create(node, SLOW, f"slow {number}") for number in range(max(WAYS.values()))]
        await _latencies(node, actors, 20)
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, count in WAYS.items():
                found[way].append(await _percentile(node, actors, slow[:count], way, asks))
    p99 = {way: sorted(each)[ROUNDS // 2] for way, each in found.items()}
    return [
        Result(
            benchmark="slow-neighbour",
            rate=1 / seconds,
            unit="answers/s at p99",
            params={"fast": fast, "slow": WAYS[way], "slow_by": way, "p99_ms": round(seconds * 1000, 2)},
            ceiling=1 / p99["none"],
            ceiling_is="the same without slow neighbours",
        )
        for way, seconds in p99.items()
    ]


async def _create(node: Node, code: bytes, nonce: str) -> ActorId:
    return (await node.create({"wit": b"/code:m:wit", "code/m.py": code}, nonce=nonce)).id


async def _percentile(node: Node, fast: list[ActorId], slow: list[ActorId], way: str, asks: int) -> float:
    stop = asyncio.Event()
    sleepers = [asyncio.create_task(_keep_slow(node, actor, way, stop)) for actor in slow]
    latencies = await _latencies(node, fast, asks)
    stop.set()
    await asyncio.gather(*sleepers)
    return sorted(latencies)[len(latencies) * 99 // 100]


async def _latencies(node: Node, actors: list[ActorId], asks: int) -> list[float]:
    each = await asyncio.gather(*(_ask_often(node, actor, asks) for actor in actors))
    return [seconds for found in each for seconds in found]


async def _ask_often(node: Node, actor: ActorId, asks: int) -> list[float]:
    found = []
    for number in range(asks):
        start = perf_counter()
        await node.answer(actor, await node.send(actor, msgspec.json.encode(number), type="ask"))
        found.append(perf_counter() - start)
    return found


async def _keep_slow(node: Node, actor: ActorId, way: str, stop: asyncio.Event) -> None:
    while not stop.is_set():
        message = await node.send(actor, msgspec.json.encode(SLOW_SECONDS), type=way)
        await node.answer(actor, message)
