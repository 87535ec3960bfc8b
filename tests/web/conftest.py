"""A living node in memory, and its web face without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from understudy.node.node import Node
from understudy.web.app import build_app
from understudy.web.authorization import NOTHING
from understudy.web.face import Limits
from understudy.web.first_token import authorization
from understudy.web.tokens import Tokens

TOKEN = "open sesame"

GREETER = """
from understudy import Core, Refusal, Wit

wit = Wit()


@wit.message("greet")
def greet(core: Core, hello: dict) -> str:
    count = int(core.get("count", b"0")) + 1
    core["count"] = str(count)
    return f"Hello {hello['name']}, number {count}"


@wit.message("echo")
def echo(data: bytes) -> bytes:
    return data


@wit.message("fail")
def fail() -> None:
    raise ValueError("the wit is broken")


@wit.message("refuse")
def refuse() -> None:
    raise Refusal("NotToday", "come back tomorrow")
"""


class Face:
    """The web face of a node, asked from ordinary code by somebody who shows `token`; None is somebody without one."""

    def __init__(
        self,
        runner: asyncio.Runner,
        node: Node,
        *,
        token: str | None = TOKEN,
        tokens: Tokens | None = None,
        **options: Any,
    ) -> None:
        self.runner, self.node = runner, node
        # An event of asyncio belongs to the loop that is running when it is first waited for.
        self.app: Starlette = build_app(node, tokens=tokens or Tokens(TOKEN), **options)
        self._http = self._client(token)

    def as_somebody(self, token: str | None) -> Face:
        """The same face, asked by somebody else."""
        other = copy(self)
        other._http = self._client(token)
        return other

    def _client(self, token: str | None) -> httpx.AsyncClient:
        transport, headers = httpx.ASGITransport(self.app), authorization(token)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8321", timeout=60, headers=headers)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.runner.run(self._http.get(path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.runner.run(self._http.post(path, **more))

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.runner.run(self._http.request(method, path, **more))

    def create(self, core: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        answer = self.post("/actors", json={"core": core or {"wit": GREETER}, **more})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def send(self, actor: str, content: Any, type: str, **headers: str) -> httpx.Response:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(f"/actors/{actor}/messages", content=data, headers={"Message-Type": type, **named})

    def follow(self, path: str, count: int, last: str | None = None) -> list[dict[str, Any]]:
        """The first events of a stream, after which the reader hangs up."""
        return self.runner.run(asyncio.wait_for(self.listen(path, count, last), 30))

    async def listen(
        self,
        path: str,
        count: int,
        last: str | None = None,
        listening: asyncio.Event | None = None,
        token: str | None = None,
    ) -> list[dict[str, Any]]:
        """The same, for a story with several voices; `listening` is set once the stream has begun."""
        headers = [(b"host", b"localhost")] + ([(b"last-event-id", last.encode())] if last is not None else [])
        headers += [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "http_version": "1.1",
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }
        pieces: list[bytes] = []
        enough = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            pieces.append(message.get("body", b""))
            if listening is not None and pieces[-1]:
                listening.set()
            if b"".join(pieces).count(b"\ndata: ") >= count:
                enough.set()

        await self.app(scope, receive, send)
        return list(map(_event, b"".join(pieces).split(b"\n\n")))[1:-1][:count]


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert "Traceback" not in answer.text
    return body


@pytest.fixture
def node() -> Iterator[tuple[asyncio.Runner, Node]]:
    with asyncio.Runner() as runner:
        node = Node.open("memory:")
        runner.run(node.start())
        yield runner, node
        runner.run(node.stop())


@pytest.fixture
def face(node: tuple[asyncio.Runner, Node]) -> Face:
    return Face(*node)


@pytest.fixture
def small_face(node: tuple[asyncio.Runner, Node]) -> Face:
    """One that takes little, and waits for nobody."""
    return Face(*node, limits=Limits(body_bytes=1000, car_bytes=1000, wait_seconds=0))


@pytest.fixture
def public_face(node: tuple[asyncio.Runner, Node]) -> Face:
    """One that others can reach."""
    return Face(*node, loopback=False, anybody=NOTHING, token=None)


def _event(text: bytes) -> dict[str, Any]:
    fields = dict(line.split(": ", 1) for line in text.decode().splitlines() if line)
    return {**json.loads(fields["data"]), "number": fields["id"]} if "data" in fields else {}
