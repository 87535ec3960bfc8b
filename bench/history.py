"""`history`: a step, a look at height 10 and a verification, with 10^2, 10^4 and 10^6 steps behind the head.

Prints the resident memory of the process too, every hundred thousand steps: it must not grow with the history.
Verifying a million steps takes minutes; `--set verify=10000` leaves that out.
"""

from __future__ import annotations

import resource
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from bench.hot import COUNTER, SENDER
from bench.node import open_node, run_live, state_of, wait_until
from bench.result import Params, Result
from understudy.judging.verification import Target
from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.store.verified import Grit

HEIGHTS = (100, 10_000, 1_000_000)
STEPS = 2_000
TURNS = 5
LOOKS = 2_000
BURST = 5_000
SAMPLE = 100_000  # steps between two looks at the memory
WARM = 2 * SAMPLE  # steps after which the caches are full


def run(params: Params) -> list[Result]:
    """Rates at each height; the ceiling is the same at the lowest height, taken in the same run."""
    heights = [height for height in HEIGHTS if height <= params.get("height", HEIGHTS[-1])]
    return run_live(_run(heights, params.get("verify", HEIGHTS[-1])))


async def _run(heights: list[int], verify_up_to: int) -> list[Result]:
    results: list[Result] = []
    lowest: dict[str, tuple[float, str]] = {}
    memory: dict[int, float] = {}
    async with open_node("history") as node:
        counter = await _counter(node, "old")
        sender = (await node.create({"wit": b"/code:sender:wit", "code/sender.py": SENDER})).id
        for height in heights:
            for at in [*range(SAMPLE, height, SAMPLE), height]:
                await _grow(node, sender, counter, to=at)
                memory[at] = _resident_mb()
            rates = {"look": _looks(node, counter)}
            rates["step"], young = await _steps(node, sender, counter, await _counter(node, str(height)))
            lowest["step"] = young, "the same by an actor that was just made, in turns with it"
            if height <= verify_up_to:
                rates["verify"] = await _verify(node, counter)
            for what, rate in rates.items():
                ceiling, ceiling_is = lowest.setdefault(what, (rate, f"the same at height {heights[0]}"))
                results.append(
                    Result(
                        benchmark="history",
                        rate=rate,
                        unit=f"{what}s/s" if what != "verify" else "verified steps/s",
                        params={"what": what, "height": height, "resident_mb": _resident_mb()},
                        ceiling=ceiling,
                        ceiling_is=ceiling_is,
                    )
                )
    return results + _memory(memory)


def _memory(resident_mb: dict[int, float]) -> list[Result]:
    warm = resident_mb.get(WARM)
    return [
        Result(
            benchmark="history",
            rate=megabytes,
            unit="MB resident",
            params={"what": "memory", "height": height},
            ceiling=warm,
            ceiling_is=None if warm is None else f"the same at height {WARM:,}, when the caches are full",
        )
        for height, megabytes in sorted(resident_mb.items())
    ]


async def _grow(node: Node, sender: ActorId, counter: ActorId, *, to: int) -> None:
    while (missing := to - node.actor(counter).height) > 0:
        await _say(node, sender, counter, min(missing, BURST))


async def _counter(node: Node, nonce: str) -> ActorId:
    files = {"wit": b"/code:counter:wit", "code/counter.py": COUNTER, "policy": b'{"batch": 1}'}
    return (await node.create(files, nonce=nonce)).id


async def _steps(node: Node, sender: ActorId, old: ActorId, young: ActorId) -> tuple[float, float]:
    """The rates of two actors, in turns: on a shared machine the figure of a minute ago is another machine's."""
    rates: dict[ActorId, list[float]] = {old: [], young: []}
    for _ in range(TURNS):
        for counter, found in rates.items():
            start = perf_counter()
            await _say(node, sender, counter, STEPS)
            found.append(STEPS / (perf_counter() - start))
    return median(rates[old]), median(rates[young])


def _looks(node: Node, counter: ActorId) -> float:
    reader = Grit(node.backend, cache_bytes=0)
    start = perf_counter()
    for number in range(LOOKS):
        id = node.step_at(counter, 10 + number % 50)
        assert id is not None
        state = reader.find(reader.step(id).core, "state")
        assert state is not None and reader.blob(state)
    return LOOKS / (perf_counter() - start)


async def _verify(node: Node, counter: ActorId) -> float:
    info = node.actor(counter)
    start = perf_counter()
    verdict = (await node.verify([Target(counter, info.head)]))[0]
    if verdict.verdict != "MATCH":
        raise RuntimeError(f"the history does not verify: {verdict}")
    return (info.height + 1) / (perf_counter() - start)


async def _say(node: Node, sender: ActorId, counter: ActorId, count: int) -> None:
    before = int(state_of(node, counter).get("total", 0))
    await node.send(sender, msgspec.json.encode({"to": str(counter), "count": count}), type="go")
    await wait_until(lambda: state_of(node, counter).get("total", 0) == before + count)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)
