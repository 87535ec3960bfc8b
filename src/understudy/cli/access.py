"""Access to a node: the one that serves the store, or one in this process that is gone with the command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from understudy.cli.client import Client
from understudy.cli.project import find_project
from understudy.cli.running import Running, find_running
from understudy.cli.store import keep_private, store_directory
from understudy.node.node import Node
from understudy.web.app import build_app
from understudy.web.grants import EVERYTHING
from understudy.web.tokens import authorization, check_token, find_first_token

TOKEN: Final = "UNDERSTUDY_TOKEN"


class Access(Struct, frozen=True):
    """What changes things goes through `client`; `node` is for looking at what was durable when the command began."""

    client: Client
    node: Node


def node_token(url: str) -> str | None:
    """The token for the node of a store: that of the environment, else the store's first one; None without either."""
    given = environment_token()
    folder = store_directory(url)
    return given if given is not None or folder is None else find_first_token(folder)


def environment_token() -> str | None:
    """UNDERSTUDY_TOKEN, None without it. Raises BadTokens for one that no header can have."""
    given = os.environ.get(TOKEN)
    return check_token(given, TOKEN) if given else None


@asynccontextmanager
async def open_access(url: str) -> AsyncIterator[Access]:
    """Access to the node of a store. Raises StoreError, CommandError."""
    running = find_running(url, token=node_token(url))
    opened = _remote(url, running) if running is not None else _local(url)
    async with opened as access:
        yield access


@asynccontextmanager
async def client_of(node: Node) -> AsyncIterator[Client]:
    """A client of a living node in this process, which may do everything: whoever runs this owns the store."""
    transport = httpx.ASGITransport(build_app(node, anybody=EVERYTHING))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as http:
        yield Client(http)


@asynccontextmanager
async def _remote(url: str, running: Running) -> AsyncIterator[Access]:
    headers = authorization(node_token(url))
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
    keep_private()
    node = Node.open(url, modules=project.python.modules if project is not None else ())
    try:
        await node.start()
        async with client_of(node) as client:
            yield Access(client, node)
    finally:
        await node.stop()
