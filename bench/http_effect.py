"""`http-effect`: calls of `ctx.http` per second, each in a durable step of its own or many in one step.

The ceiling is a bare `httpx.AsyncClient` with as many calls at once to the same server, which is a process on this machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

import httpx
import msgspec

from bench.node import open_node, run_live
from bench.result import Params, Result
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.node.node import Node
from understudy.objects.ids import ActorId

CODE: Final = b"""
import asyncio
from understudy import Wit

wit = Wit()

@wit.message("call")
def call(url: str, ctx) -> None:
    ctx.http.get(url)

@wit.message("call async")
async def call_async(url: str, ctx) -> None:
    await ctx.http.get(url)

@wit.message("call many")
async def call_many(urls: list[str], ctx) -> None:
    await asyncio.gather(*map(ctx.http.get, urls))
"""

SERVER: Final = """
import asyncio

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ncontent-length: 2\\r\\n\\r\\nok"

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
MANY: Final = 50  # calls in one step


def run(params: Params) -> list[Result]:
    """Each way in turn with the bare client."""
    return run_live(_run(params.get("actors", 8), params.get("calls_each", 100)))


async def _run(actors: int, calls: int) -> list[Result]:
    async with _server() as port:
        url = f"http://127.0.0.1:{port}/"
        http = Grants(HttpPart(allow=[f"127.0.0.1:{port}"]))
        async with open_node("http-effect", http=http) as node:
            made = [await _create(node, number) for number in range(actors)]
            async with httpx.AsyncClient(trust_env=False) as client:
                results = []
                for way, content, in_a_step in (
                    ("call", url, 1),
                    ("call async", url, 1),
                    ("call many", [url] * MANY, MANY),
                ):
                    steps = max(1, calls // in_a_step)
                    await _rate(made, 2, _telling(node, way, content))
                    bare = await _rate(made, calls, lambda _: client.get(url))
                    rate = await _rate(made, steps, _telling(node, way, content)) * in_a_step
                    results.append(_result(way, rate, bare, actors, in_a_step))
    return results


def _telling(node: Node, way: str, content: object) -> Callable[[ActorId], Awaitable[object]]:
    async def tell(actor: ActorId) -> None:
        _, answer = await node.tell(actor, msgspec.json.encode(content), type=way)
        assert answer is not None and answer.outcome is None, answer

    return tell


async def _rate(actors: list[ActorId], times: int, work: Callable[[ActorId], Awaitable[object]]) -> float:
    """How often the work is done in a second, by all actors at once and by each in a row."""

    async def often(actor: ActorId) -> None:
        for _ in range(times):
            await work(actor)

    start = perf_counter()
    await asyncio.gather(*map(often, actors))
    return len(actors) * times / (perf_counter() - start)


def _result(way: str, rate: float, bare: float, actors: int, in_a_step: int) -> Result:
    return Result(
        benchmark="http-effect",
        rate=rate,
        unit="calls/s",
        params={"way": way, "actors": actors, "calls_in_a_step": in_a_step},
        ceiling=bare,
        ceiling_is="a bare httpx.AsyncClient to the same server, as many calls at once as there are actors",
    )


async def _create(node: Node, number: int) -> ActorId:
    return (await node.create({"wit": b"/code:m:wit", "code/m.py": CODE}, nonce=str(number))).id


@asynccontextmanager
async def _server() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()
