"""`http`: the web API under load: durable POSTs, queries at the head and far back, and a crowd of idle readers.

The node serves in a process of its own, as does the ceiling: the same routes, with answers of the same size, in bare
Starlette on uvicorn. `--set height=1000000` asks at height 10 of a million steps; the default is smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import resource
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, repeat
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, cast

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.history import _grow
from bench.hot import COUNTER, SENDER
from bench.node import open_node
from bench.result import Params, Result
from understudy.web.app import build_app
from understudy.web.server import open_socket, serve

ASKED = (
    COUNTER
    + b"""

@wit.query
def total(state: Counter, more: int = 0) -> int:
    return state.total + more
"""
)
MESSAGE = b'{"amount": 1}'
BARE = "the same route and answer in bare Starlette on uvicorn"
ROUNDS = 5
READERS = 1_000
HEIGHT = 100_000
Settings = Mapping[str, int | float | str]
Child = Callable[[Connection, int], None]


def run(params: Params) -> list[Result]:
    """Rates with their ceilings, the latency far back, and what a crowd of readers costs."""
    seconds, height = params.get("seconds", 5), params.get("height", HEIGHT)
    readers = params.get("readers", READERS)
    _allow_files(4 * readers)
    with _server(_serve_bare, height) as (bare, _), _server(_serve_node, height) as (port, about):
        results = uvloop.run(_rates(bare, port, about["actor"], seconds))
        results.append(uvloop.run(_latency(port, about["actor"], about["at"], height, seconds)))
        results += uvloop.run(_crowd(port, about, readers, seconds))
    return results


async def _rates(bare: int, node: int, actor: str, seconds: int) -> list[Result]:
    """The ceiling and the node in turns: on a shared machine the figure of a minute ago is another machine's."""
    query = f"/actors/{actor}/query/total"
    kinds = {
        "POST": repeat(_post(actor)),
        "query, each another": (_get(f"{query}?more={number}") for number in count()),
        "query, the same again": repeat(_get(query)),
    }
    results = []
    for what, requests in kinds.items():
        for connections in (1, 64):
            pairs = [
                (await _load(bare, requests, connections, share), await _load(node, requests, connections, share))
                for share in [seconds / ROUNDS] * ROUNDS
            ]
            results.append(
                Result(
                    benchmark="http",
                    rate=median(rate for _, rate in pairs),
                    unit="requests/s",
                    params={"what": what, "connections": connections},
                    ceiling=median(ceiling for ceiling, _ in pairs),
                    ceiling_is=BARE,
                )
            )
    return results


async def _latency(port: int, actor: str, at: str, height: int, seconds: int) -> Result:
    """Both in turns on one connection, so that whatever else the machine does meets both."""
    head, back = f"/actors/{actor}/query/total?more=", f"/actors/{actor}/query/total?at={at}&more="
    times: dict[str, list[float]] = {head: [], back: []}
    client = await _Client.connect(port)
    until = perf_counter() + seconds
    # Each question is another: the answer to one that was asked before is kept.
    numbers = count()
    while perf_counter() < until:
        for path, taken in times.items():
            request = _get(f"{path}{next(numbers)}")
            start = perf_counter()
            await client.ask(request)
            taken.append(perf_counter() - start)
    client.close()
    far, near = median(times[back]), median(times[head])
    return Result(
        benchmark="http",
        rate=far * 1e6,
        unit="µs",
        params={"what": "query at height 10", "height": height},
        ceiling=near * 1e6,
        ceiling_is="the same at the head; a ratio up to 1.2 is well",
    )


async def _crowd(port: int, about: dict[str, Any], readers: int, seconds: int) -> list[Result]:
    """Readers of an actor that does nothing, while another works."""
    alone = await _load(port, repeat(_post(about["actor"])), 64, seconds)
    before = _resident_mb(about["pid"])
    clients = [await _Client.connect(port) for _ in range(readers)]
    for client in clients:
        await client.begin(_get(f"/actors/{about['idle']}/events"))
    grown = _resident_mb(about["pid"]) - before
    beside = await _load(port, repeat(_post(about["actor"])), 64, seconds)
    for client in clients:
        client.close()
    params: Settings = {"what": "idle readers", "readers": readers}
    return [
        Result(benchmark="http", rate=grown, unit="MB", params=params),
        Result(
            benchmark="http",
            rate=beside,
            unit="requests/s",
            params={**params, "what": "POST beside idle readers", "connections": 64},
            ceiling=alone,
            ceiling_is="the same without readers",
        ),
    ]


async def _load(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> float:
    """Requests per second, each connection with one under way; a tenth of the time before counts for nothing."""
    clients = [await _Client.connect(port) for _ in range(connections)]
    done, counting = 0, False

    async def work(client: _Client) -> None:
        nonlocal done
        while True:
            await client.ask(next(requests))
            done += counting

    tasks = [asyncio.ensure_future(work(client)) for client in clients]
    await asyncio.sleep(seconds / 10)
    counting, start = True, perf_counter()
    await asyncio.sleep(seconds)
    rate = done / (perf_counter() - start)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        client.close()
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return rate


class _Client(asyncio.Protocol):
    """One connection, as little of HTTP as there has to be: the load must cost less than what it measures."""

    def __init__(self) -> None:
        self._data = b""
        self._whole: asyncio.Future[None] | None = None
        self._any = False

    @classmethod
    async def connect(cls, port: int) -> _Client:
        """A new connection."""
        _, client = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> None:
        """Send a request and wait for its answer, which must be a 200."""
        self._data, self._whole = b"", asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._whole

    async def begin(self, request: bytes) -> None:
        """Send a request and wait for the first bytes of an answer without end."""
        self._any = True
        await self.ask(request)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or self._whole is None or self._whole.done():
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._whole.set_exception(RuntimeError(self._data.decode()))
        elif self._any or len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self._whole.set_result(None)


def _post(actor: str) -> bytes:
    head = f"POST /actors/{actor}/messages HTTP/1.1\r\nHost: localhost\r\nMessage-Type: add\r\nContent-Length: "
    return head.encode() + str(len(MESSAGE)).encode() + b"\r\n\r\n" + MESSAGE


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@contextmanager
def _server(child: Child, height: int) -> Iterator[tuple[int, dict[str, Any]]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=child, args=(theirs, height))
    process.start()
    try:
        about = ours.recv()
        yield about["port"], about
    finally:
        process.terminate()
        process.join()


def _serve_node(parent: Connection, height: int) -> None:
    async def work() -> None:
        async with open_node("http") as node:
            files = {"wit": b"/code:counter:wit", "code/counter.py": ASKED, "policy": b'{"batch": 1}'}
            counter = (await node.create(files)).id
            sender = (await node.create({"wit": b"/code:sender:wit", "code/sender.py": SENDER})).id
            await _grow(node, sender, counter, to=height)
            # Asked at the height that it grew to, and asked to step at the batch that actors have by default.
            await node.answer(counter, await node.patch(counter, {"policy": None}))
            about = {"actor": str(counter), "at": str(node.step_at(counter, 10)), "idle": str(sender)}
            await _serve(build_app(node), parent, about)

    _until_terminated(work())


def _serve_bare(parent: Connection, _: int) -> None:
    reply = b'{"head":"%b","step":"%b","message":"%b","outcome":"ok","replies":[]}' % ((b"b" * 59,) * 3)

    async def take(request: Request) -> Response:
        await request.body()
        return Response(reply, media_type="application/json")

    async def answer(request: Request) -> Response:
        return Response(b"100000", media_type="application/json")

    paths = [
        Route("/actors/{actor}/messages", take, methods=["POST"]),
        Route("/actors/{actor}/query/{name}", answer),
    ]
    app = Starlette(routes=paths)
    app.state.stopping = asyncio.Event()
    _until_terminated(_serve(app, parent, {"actor": "bare"}))


async def _serve(app: Starlette, parent: Connection, about: dict[str, Any]) -> None:
    opened = open_socket("127.0.0.1", 0)
    parent.send({**about, "port": opened.getsockname()[1], "pid": multiprocessing.current_process().pid})
    await serve(app, opened)


def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM, and end politely, so that nothing is left on the disk."""

    async def whole() -> None:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(15, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    uvloop.run(whole())


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))
