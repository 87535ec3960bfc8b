"""Access to a node: the one that serves the store, or one in this process that ends with the command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import httpx
from msgspec import Struct

from understudy.cli.client import Client
from understudy.cli.lossy import lossy_output
from understudy.cli.project import Project, find_project, http_grants
from understudy.cli.running import Running, find_running, node_token
from understudy.cli.store import keep_private
from understudy.cli.turns import STARTS, TURN_SECONDS, Patience, announce, other_that_starts, pause_for_store
from understudy.node.node import Node
from understudy.node.running.impurity import Impure
from understudy.store.errors import StoreInUse
from understudy.store.open import is_made
from understudy.web.app import build_app
from understudy.web.authorization import EVERYTHING
from understudy.web.first_token import authorization


class Access(Struct, frozen=True):
    """What changes things goes through `client`; `node` is for looking at what was durable when the command began."""

    client: Client
    node: Node


@asynccontextmanager
async def open_access(
    url: str, project: Project | None = None, *, makes_store: bool = False, only_updates: bool = False
) -> AsyncIterator[Access]:
    """Access to the node of a store. Without a running node, code may need the modules of the project.

    With `only_updates`, a node of this process runs no waiting messages. A push wants that: the waiting messages may be
    the ones that fail until its update is applied.

    Raises StoreError, CommandError.
    """
    project = project or find_project(Path())
    with announce(url) if makes_store and not is_made(url) else nullcontext():
        found = await find_node(url, project, makes_store=makes_store)
        opened = _local(found, project, only_updates=only_updates) if isinstance(found, Node) else _remote(url, found)
        async with opened as access:
            yield access


async def find_node(
    url: str, project: Project | None, *, makes_store: bool, allow_http: Sequence[str] = ()
) -> Running | Node:
    """The node that serves a store; or one in this process, not started, once no other process has the store.

    Waits for a process that starts, or has the store, or is about to make it. `allow_http` is granted besides what the
    project grants. Raises StoreError, CommandError.
    """
    http = http_grants(project, allow_http)
    patience = Patience()
    while True:
        running = find_running(url, token=node_token(url))
        if running is not None:
            return running
        if other_that_starts(url) is not None:
            pause = patience.pause(TURN_SECONDS, STARTS)
        elif not makes_store and not is_made(url):
            pause = pause_for_store(patience, url)
        else:
            keep_private()
            try:
                return Node.open(
                    url,
                    modules=() if project is None else project.python.modules,
                    http=http,
                    effects=None if project is None else project.capabilities.effect,
                    impure=Impure.WARN if project is None else Impure(project.impure),
                )
            except StoreInUse as error:
                pause = patience.pause(TURN_SECONDS, "the process that has this store open", error)
        await asyncio.sleep(pause)


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
        # Proxies in the environment are for the internet, and not for a process on this machine.
        async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=90, trust_env=False) as http:
            yield Access(Client(http), node)
    finally:
        node.close()


@asynccontextmanager
async def _local(node: Node, project: Project | None, *, only_updates: bool) -> AsyncIterator[Access]:
    # What a wit prints must not fail its step because nobody reads it. The command prints its result afterwards.
    with lossy_output():
        try:
            if project is not None:
                project.make_importable()
            await node.start(only_updates=only_updates)
            async with client_of(node) as client:
                yield Access(client, node)
        finally:
            await node.stop()
