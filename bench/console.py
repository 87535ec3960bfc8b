"""`console`: pages of the console at 10^5 actors and of an actor with 10^6 steps, the time that the node takes for each.

The store is written directly, since a node would take hours for it: its steps are real, and their code is never run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from statistics import median
from time import perf_counter

import httpx

from bench.node import open_node, run_live
from bench.result import Params, Result
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.codec import Block, node_block
from understudy.objects.ids import ActorId, StepId, TreeId
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message, message_block
from understudy.objects.step import Step, step_block
from understudy.objects.tree import flat_tree_node
from understudy.store.keys import head_ref, height_row, name_ref
from understudy.store.port import Move, Row, Unit
from understudy.web.app import build_app

ACTORS = 100_000
STEPS = 1_000_000
ENGINE = "python/2;python=3.11;room=1000"
BEGIN = 1_700_000_000_000_000
LOOKS = 9
BATCH = 2_000
WISHED_MS = 300  # what a reader takes for at once
CODE = b"def wit(): pass"
SENDER = "out/bench/somebody"


def run(params: Params) -> list[Result]:
    """Milliseconds for each page, against the 300 that a reader takes for at once."""
    return run_live(_run(params.get("actors", ACTORS), params.get("steps", STEPS)))


async def _run(actors: int, steps: int) -> list[Result]:
    async with open_node("console") as node:
        long = await asyncio.to_thread(_write, node, actors, steps)
        transport = httpx.ASGITransport(build_app(node))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            looks = await _read_roster(client)
            middle = steps // 2
            pages = {
                "actors": "/console",
                "search": "/console?q=actor-0009",
                "trouble": "/console?state=trouble",
                "last page": f"/console?start={actors - 50}",
                "history": f"/console/actors/{long}",
                "middle of it": f"/console/actors/{long}?before={middle}",
                "step": f"/console/actors/{long}/steps/{middle}",
                "diff": f"/console/actors/{long}/diff?from=1&to={middle}",
            }
            results = [await _page(client, name, path, actors, steps) for name, path in pages.items()]
    first = Result(benchmark="console", rate=looks, unit="pages until all are read", params={"actors": actors})
    return [first, *results]


async def _read_roster(client: httpx.AsyncClient) -> int:
    looks = 1
    while "Looking at the actors" in (await client.get("/console")).text:
        looks += 1
    return looks


async def _page(client: httpx.AsyncClient, name: str, path: str, actors: int, steps: int) -> Result:
    times = []
    for _ in range(LOOKS):
        begun = perf_counter()
        answer = await client.get(path)
        times.append(1000 * (perf_counter() - begun))
        assert answer.status_code == 200, answer.text
    return Result(
        benchmark="console",
        rate=median(times),
        unit="ms",
        params={"page": name, "actors": actors, "steps": steps},
        ceiling=WISHED_MS,
        ceiling_is="what a reader takes for at once; less is better",
    )


def _write(node: Node, actors: int, steps: int) -> ActorId:
    batch: list[Unit] = []
    for unit in _units(actors, steps):
        batch.append(unit)
        if len(batch) == BATCH:
            node.backend.commit(batch)
            batch = []
    node.backend.commit(batch)
    return _core(b"long")[1]


def _units(actors: int, steps: int) -> Iterator[Unit]:
    for number in range(actors):
        blocks, actor = _core(str(number).encode())
        yield from _history(actor, blocks, f"actor-{number:06}", 1)
    blocks, actor = _core(b"long")
    yield from _history(actor, blocks, "long", steps)


def _core(nonce: bytes) -> tuple[list[Block], ActorId]:
    files = [Block(ids.raw_id(data), data) for data in (CODE, nonce)]
    tree = node_block(flat_tree_node({"wit": files[0].id, "nonce": files[1].id}))
    return [*files, tree], ActorId(TreeId(tree.id))


def _history(actor: ActorId, blocks: list[Block], name: str, steps: int) -> Iterator[Unit]:
    """One unit for each step; the first one brings the core and the name."""
    parent: StepId | None = None
    previous: str | None = None
    for height in range(steps):
        content = actor if height == 0 else ids.raw_id(CODE)
        message = message_block(
            Message(to=str(actor), sender=SENDER, seq=height + 1, type="tick", content=content, previous=previous)
        )
        block = step_block(
            Step(
                parent=parent,
                actor=actor,
                height=height,
                time=BEGIN + height * 1_000_000,
                seed=height,
                engine=ENGINE,
                core=TreeId(actor),
                inbox={SENDER: Cursor(height + 1, ids.MessageId(message.id))},
                outbox={},
                consumed=(ids.MessageId(message.id),),
                sent=(),
            )
        )
        step = StepId(block.id)
        moves = [Move(head_ref(actor), parent, step)]
        moves += [Move(name_ref(name), None, actor)] if height == 0 else []
        new = [*(blocks if height == 0 else []), message, block]
        yield Unit(blocks=new, moves=moves, rows=[Row(height_row(actor, height), step)], feed=[step])
        parent, previous = step, str(message.id)
