"""`wasm-counter`: durable steps per second of the counter in C, a component, with 1, 100 and 5,000 of them.

One message to a step. The ceiling is wasmtime without us: a fresh instance and one call of `handle`, one after another.
"""

from __future__ import annotations

import resource
from time import perf_counter

import msgspec

from bench.components import COUNTER, MESSAGE, STATE, Bare, calls_per_second, driver_files
from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result

MAX_SENT = 10_000
CEILING_IS = "a fresh instance and one call of handle by wasmtime's own package, one after another on one thread"


def run(params: Params) -> list[Result]:
    """Steps per second, and what the process holds in memory with all the actors alive."""
    component = COUNTER.read_bytes()
    bare = Bare(component)
    steps, results = params.get("steps", 10_000), []
    for actors in (1, 100, params.get("actors", 5000)):
        ceiling = calls_per_second(lambda: bare.call(MESSAGE, STATE))
        rate, megabytes = run_live(_run(component, actors, max(1, steps // actors)))
        about: dict[str, int | float | str] = {"actors": actors, "steps": max(1, steps // actors) * actors}
        results.append(
            Result(
                benchmark="wasm_counter",
                rate=rate,
                unit="steps/s",
                params=about,
                ceiling=ceiling,
                ceiling_is=CEILING_IS,
            )
        )
        results.append(Result(benchmark="wasm_counter", rate=megabytes, unit="MB", params=about))
    return results


async def _run(component: bytes, actors: int, each: int) -> tuple[float, float]:
    async with open_node("wasm-counter") as node:
        driver = (await node.create(driver_files(component))).id
        spawn = msgspec.json.encode({"first": 0, "count": actors})
        born = await node.answer(driver, await node.send(driver, spawn, type="spawn"))
        made = [node.reader.message(id).to for id in node.reader.step(born.step).sent]
        await wait_until(lambda: not node.pending(limit=1))
        feed = node.lookup.newest_feed_number()
        orders = [
            msgspec.json.encode({"actors": made, "each": min(each, MAX_SENT // actors)})
            for _ in range(-(-each // (MAX_SENT // actors)))
        ]
        wanted = feed + len(orders) + len(orders) * min(each, MAX_SENT // actors) * actors
        start = perf_counter()
        for order in orders:
            await node.send(driver, order, type="go")
        await wait_until(lambda: node.lookup.newest_feed_number() >= wanted)
        seconds = perf_counter() - start
        return (wanted - feed) / seconds, _resident_megabytes()


def _resident_megabytes() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6
