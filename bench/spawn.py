"""`spawn`: how many actors of a component that is compiled already are born in a second, durably, by another actor."""

from __future__ import annotations

from time import perf_counter

import msgspec

from bench.components import COUNTER, driver_files
from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result


def run(params: Params) -> list[Result]:
    """Actors per second, from the order to the last first step being durable."""
    count = params.get("spawns", 5000)
    rate = run_live(_rate(count))
    return [Result(benchmark="spawn", rate=rate, unit="actors/s", params={"actors": count})]


async def _rate(count: int) -> float:
    async with open_node("spawn") as node:
        driver = (await node.create(driver_files(COUNTER.read_bytes()))).id
        warm = msgspec.json.encode({"first": 0, "count": 1})
        await node.answer(driver, await node.send(driver, warm, type="spawn"))
        await wait_until(lambda: not node.pending(limit=1))
        feed = node.lookup.newest_feed_number()
        order = msgspec.json.encode({"first": 1, "count": count})
        start = perf_counter()
        await node.send(driver, order, type="spawn")
        await wait_until(lambda: node.lookup.newest_feed_number() >= feed + 1 + count)
        return count / (perf_counter() - start)
