"""`understudy serve`: run a node until it is stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.access import Access, client_of
from understudy.cli.errors import WrongUse
from understudy.cli.failures import failures_told
from understudy.cli.node_process import (
    Listen,
    Place,
    answer_requests,
    build_face,
    claimed_place,
    living_node,
    run_until_stopped,
)
from understudy.cli.options import AsJson, Store
from understudy.cli.project import PROJECT_FILE, Project, find_project
from understudy.cli.push import push_project, show_pushed
from understudy.cli.reload import Follower
from understudy.cli.screen import print_json, remark, say
from understudy.engines.python.reload import Reloader
from understudy.node.node import Node
from understudy.store.open import shown_store
from understudy.version import VERSION
from understudy.web.server import open_socket

Reload = Annotated[
    bool, typer.Option("--reload", help="Follow the project's files: push what changes, reload `external:` modules.")
]

AllowHttp = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-http",
        metavar="HOST[:PORT]",
        help="Actors may reach this host by ctx.http, besides those of understudy.toml; again for more.",
        show_default=False,
    ),
]


def serve(
    listen: Listen = None,
    reload: Reload = False,
    allow_http: AllowHttp = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Run the node. In a project, push it first. Ctrl-C stops it; nothing that was acknowledged is lost.

    Example: understudy serve --listen 127.0.0.1:0
    """
    if reload and find_project(Path()) is None:
        raise WrongUse(f"--reload follows a project, and there is no {PROJECT_FILE} here; `understudy init` makes one")
    # The socket first: a client that connects before the store is open waits, instead of being refused.
    with claimed_place(listen, store) as place, open_socket(place.host, place.port) as opened:
        run_until_stopped(_serve(place, opened, allow_http or (), reload=reload, as_json=as_json))
    if not as_json:
        remark("stopped; everything acknowledged is in the store")


async def _serve(
    place: Place, opened: socket.socket, allow_http: Sequence[str], *, reload: bool, as_json: bool
) -> None:
    project = place.project
    follower = (
        Follower(project, Reloader(project.python.modules), quiet=as_json) if project is not None and reload else None
    )
    following: asyncio.Task[None] | None = None
    # The push goes before waiting messages: they may be the ones that fail until it is applied.
    living = living_node(place, only_updates=project is not None, allow_http=allow_http)
    async with living as node, failures_told(node, as_json=as_json):
        try:
            if project is not None:
                await _push(node, project, quiet=as_json)
                node.let_all_step()
            if follower is not None:
                following = asyncio.create_task(follower.follow(node))
            face = build_face(place, node)
            await answer_requests(
                place,
                node,
                face.app,
                opened,
                ready=lambda address: _announce(node, place.url, address, face.untold, as_json=as_json),
            )
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait([following])


async def _push(node: Node, project: Project, *, quiet: bool) -> None:
    async with client_of(node) as client:
        pushed = await push_project(Access(client, node), project)
    if not quiet:
        show_pushed(pushed)
    bad = [actor.name for actor in pushed if actor.error]
    if bad:
        # The others, and what these were before, still have work to do.
        remark(f"not taken: {', '.join(bad)}; serving what is in the store", style="red")


def _announce(node: Node, url: str, address: str, token: str | None, *, as_json: bool) -> None:
    if as_json:
        about = {"address": address, "node": node.name, "pid": os.getpid(), "store": shown_store(url)}
        print_json(about if token is None else {**about, "token": token})
        return
    say(f"Understudy {VERSION}, node {node.name}, store {shown_store(url)}")
    say(f"Listening on {address}", style="bold")
    say("Open that address in a browser to see the actors and what they did.")
    if token is not None:
        say(f"token, until it stops: {token}")
    names = sorted(node.names())
    say(f"actors: {', '.join(names[:10]) or 'none yet; `understudy init` makes a project with one'}")
    if names:
        say(f"try: understudy log {names[0]}    or send it a message: understudy send {names[0]} JSON --type TYPE")
        say(f"     curl {address}/actors/{names[0]}")
    say("Ctrl-C stops.")
    sys.stdout.flush()
