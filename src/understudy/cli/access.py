"""Access to a node: the one that serves the store, or one in this process that is gone with the command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from msgspec import Struct

from understudy.cli.client import Client
from understudy.cli.project import find_project
from understudy.cli.running import Running, find_running
from understudy.node.node import Node
from understudy.web.app import build_app


class Access(Struct, frozen=True):
    """What changes things goes through `client`; `node` is for looking at what was durable when the command began."""

    client: Client
    node: Node


def node_token() -> str | None:
    """The token of the environment, None without one."""
    return os.environ.get("UNDERSTUDY_TOKEN") or None


@asynccontextmanager
async def open_access(url: str) -> AsyncIterator[Access]:
    """Access to the node of a store. Raises StoreError, CommandError."""
    running = find_running(url, token=node_token())
    opened = _remote(url, running) if running is not None else _local(url)
    async with opened as access:
        yield access


@asynccontextmanager
async def client_of(node: Node) -> AsyncIterator[Client]:
    """A client of a living node in this process."""
    transport = httpx.ASGITransport(build_app(node))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as http:
        yield Client(http)


@asynccontextmanager
async def _remote(url: str, running: Running) -> AsyncIterator[Access]:
    token = node_token()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    node = Node.open(url, read_only=True)
    try:
        # What proxies the environment names is about the internet, not about a process beside this one.
        async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=90, trust_env=False) as http:
            yield Access(Client(http), node)
    finally:
        node.backend.close()


@asynccontextmanager
async def _local(url: str) -> AsyncIterator[Access]:
    project = find_project(Path())
    if project is not None:
        project.make_importable()
    node = Node.open(url, modules=project.python.modules if project is not None else ())
    try:
        await node.start()
        async with client_of(node) as client:
            yield Access(client, node)
    finally:
        await node.stop()
