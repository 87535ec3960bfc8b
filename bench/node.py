"""A node on RocksDB for benchmarks to run in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import uvloop

from bench.result import scratch
from understudy.capabilities.http_grants import Grants
from understudy.node.interpreter import tune_interpreter
from understudy.node.node import Node
from understudy.node.running.arenas import bound_arenas
from understudy.node.running.scheduler import MAX_AHEAD
from understudy.objects.ids import ActorId
from understudy.store.open import open_store

Value = TypeVar("Value")


def run_live(work: Coroutine[Any, Any, Value]) -> Value:
    """Run something on the event loop that `understudy serve` runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@asynccontextmanager
async def open_node(name: str, *, run_ahead: int = MAX_AHEAD, http: Grants | None = None) -> AsyncIterator[Node]:
    """A living node on a new store, which is removed afterwards. `http` is what its actors may reach."""
    with scratch(name) as folder:
        # As `understudy serve` does, before the store starts its threads.
        bound_arenas()
        url = f"rocksdb:{folder / 'store'}"
        async with living(Node(open_store(url), store_url=url, run_ahead=run_ahead, http=http)) as node:
            yield node


@asynccontextmanager
async def living(node: Node) -> AsyncIterator[Node]:
    """A node that was opened, until the end of the block."""
    tune_interpreter()
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def wait_until(done: Callable[[], bool], *, pause_seconds: float = 0.02) -> None:
    """Look again and again, rarely enough not to disturb; raises what the look raises."""
    while not done():
        await asyncio.sleep(pause_seconds)


def state_of(node: Node, actor: ActorId) -> dict[str, Any]:
    """The JSON at `/state` of an actor's head; empty without one."""
    found = node.reader.find(node.reader.step(node.actor(actor).head).core, "state")
    return {} if found is None else msgspec.json.decode(node.reader.blob(found), type=dict[str, Any])
