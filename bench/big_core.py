"""`big-core`: one change in a core of many entries, against the same in a small one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

from bench.node import open_node, run_live, wait_until
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects.ids import ActorId, TreeId
from understudy.store.maps import build_tree, patch_tree
from understudy.store.port import Unit
from understudy.store.reader import Staging

WIT = b"""
def change(core, new_messages):
    for message in new_messages:
        core["data/" + message.text()] = message.id.hex()
"""
SMALL = 10


def run(params: Params) -> list[Result]:
    """Steps per second at 10^2, 10^4 and 10^6 entries; the ceiling is the same with ten entries."""
    sizes = [size for size in (100, 10_000, 1_000_000) if size <= params.get("entries", 1_000_000)]
    return run_live(_run(sizes, params.get("steps", 2_000)))


async def _run(sizes: list[int], steps: int) -> list[Result]:
    results: list[Result] = []
    async with open_node("big-core") as node:
        small = await _actor(node, SMALL)
        for size in sizes:
            actor = await _actor(node, size)
            rates: dict[ActorId, list[float]] = {small: [], actor: []}
            for turn in range(6):
                one, entries = ((small, SMALL), (actor, size))[turn % 2]
                rates[one].append(await _rate(node, one, entries, steps, turn))
            results.append(
                Result(
                    benchmark="big-core",
                    rate=sorted(rates[actor])[1],
                    unit="steps/s",
                    params={"entries": size, "steps": steps},
                    ceiling=sorted(rates[small])[1],
                    ceiling_is=f"the same with {SMALL} entries",
                )
            )
    return results


async def _actor(node: Node, entries: int) -> ActorId:
    staging = Staging(node.reader)
    name_of_all = staging.put_blob(b"x")
    data = build_tree(staging, {str(number): name_of_all for number in range(entries)})
    core = patch_tree(
        staging,
        build_tree(staging, {}),
        {"wit": staging.put_blob(WIT), "policy": staging.put_blob(b'{"batch": 1}'), "data": data},
    )
    blocks = list(staging.new.values())
    for start in range(0, len(blocks) - 100, 10_000):
        await asyncio.to_thread(node.backend.commit, [Unit(blocks=blocks[start : start + 10_000])])
    return (await node.create_from(blocks[-100:], TreeId(core))).id


async def _rate(node: Node, actor: ActorId, entries: int, steps: int, turn: int) -> float:
    names = (str((number * 7919 + turn) % entries).encode() for number in range(steps))
    height = node.actor(actor).height
    start = perf_counter()
    for group in _groups(names, 500):
        await asyncio.gather(*(node.send(actor, name, type="change") for name in group))
    await wait_until(lambda: node.actor(actor).height == height + steps)
    return steps / (perf_counter() - start)


def _groups(names: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    for name in names:
        group.append(name)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
