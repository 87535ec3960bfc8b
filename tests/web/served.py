"""A node behind a real socket, on a thread of its own: what only a server and a client can show."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from understudy.node.node import Node
from understudy.web.app import build_app
from understudy.web.first_token import authorization, new_token
from understudy.web.server import address_of, open_socket, serve
from understudy.web.tokens import Tokens

Value = TypeVar("Value")


class Served:
    """Answers from its start to the end of the `with`; `stop` is the polite end, as SIGTERM brings it."""

    def __init__(self, node: Node | None = None, *, most_connections: int | None = None, **options: Any) -> None:
        self.token = new_token()
        self.node = node or Node.open("memory:")
        self._options = options
        self._most_connections = most_connections
        self._socket = open_socket("127.0.0.1", 0)
        self.address = address_of(self._socket)
        self.client = httpx.Client(base_url=self.address, timeout=60, headers=authorization(self.token))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.stop()

    def stop(self) -> None:
        """Stop the server and the node, and wait until they are."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._serving.cancel)
            self._thread.join()
        self._socket.close()

    def call(self, action: Callable[[], Awaitable[Value]]) -> Value:
        """Run something on the server's loop."""

        async def run() -> Value:
            return await action()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)

    def create(self, core: dict[str, Any], name: str) -> dict[str, Any]:
        """An actor."""
        answer = self.client.post("/actors", json={"core": core, "name": name})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.node.start()
        self.app = build_app(self.node, tokens=Tokens(self.token), **self._options)
        self._serving = asyncio.ensure_future(serve(self.app, self._socket, most_connections=self._most_connections))
        self._ready.set()
        try:
            await self._serving
        finally:
            await self.node.stop()
