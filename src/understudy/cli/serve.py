"""`understudy serve`: the node, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

try:
    import uvloop
except ImportError:  # Windows has none.
    uvloop = None  # type: ignore[assignment]

from understudy.cli.access import Access, client_of, node_token
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.options import AsJson, Store
from understudy.cli.project import PROJECT_FILE, Project, find_project
from understudy.cli.push import push_project, show_pushed
from understudy.cli.reload import Follower
from understudy.cli.running import Running, find_running, leave_note, remove_note
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import store_url
from understudy.engines.python.reload import Reloader
from understudy.node.arenas import bound_arenas
from understudy.node.node import Node
from understudy.version import VERSION
from understudy.web.app import build_app
from understudy.web.guard import is_loopback
from understudy.web.server import address_of, check_reach, open_socket, parse_listen
from understudy.web.server import serve as serve_app

DEFAULT_LISTEN: Final = "127.0.0.1:8321"
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help=f"Where to answer; port 0 takes a free one.  [default: that of understudy.toml, else {DEFAULT_LISTEN}]",
        show_default=False,
    ),
]
Reload = Annotated[
    bool, typer.Option("--reload", help="Follow the project's files: push what changes, reload `external:` modules.")
]


def serve(listen: Listen = None, reload: Reload = False, store: Store = None, as_json: AsJson = False) -> None:
    """Run the node. In a project, push it first. Ctrl-C stops it; nothing that was acknowledged is lost.

    Example: understudy serve --listen 127.0.0.1:0
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    project = find_project(Path())
    if reload and project is None:
        raise WrongUse(f"--reload follows a project, and there is no {PROJECT_FILE} here; `understudy init` makes one")
    url = store_url(store)
    host, port = parse_listen(listen or (project.listen if project is not None else None) or DEFAULT_LISTEN)
    check_reach(host, node_token())
    running = find_running(url, token=node_token())
    if running is not None:
        raise CommandError(f"process {running.pid} serves this store already, at {running.address}")
    with open_socket(host, port) as opened:
        _run(_serve(url, project, opened, loopback=is_loopback(host), reload=reload, as_json=as_json))


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=None if uvloop is None else uvloop.new_event_loop) as runner:
        runner.run(work)


async def _serve(
    url: str, project: Project | None, opened: socket.socket, *, loopback: bool, reload: bool, as_json: bool
) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Ctrl-C cancels this task by itself; a polite kill does the same, where the system knows one.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    modules = project.python.modules if project is not None else []
    follower = Follower(project, Reloader(modules), quiet=as_json) if project is not None and reload else None
    if project is not None:
        project.make_importable()
    # Before the store starts its threads.
    bound_arenas()
    node = Node.open(url, modules=modules)
    following: asyncio.Task[None] | None = None
    try:
        await node.start()
        if project is not None:
            await _push(node, project, quiet=as_json)
        app = build_app(node, loopback=loopback, token=node_token())
        leave_note(url, Running(address=address_of(opened), pid=os.getpid(), node=node.name))
        _announce(node, url, address_of(opened), as_json=as_json)
        if follower is not None:
            following = asyncio.create_task(follower.follow(node))
        await serve_app(app, opened)
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        remove_note(url)
        await node.stop()
    if not as_json:
        remark("stopped; everything acknowledged is in the store")


async def _push(node: Node, project: Project, *, quiet: bool) -> None:
    async with client_of(node) as client:
        pushed = await push_project(Access(client, node), project)
    if not quiet:
        show_pushed(pushed)
    bad = [actor.name for actor in pushed if actor.error]
    if bad:
        # The others, and what these were before, still have work to do.
        remark(f"not taken: {', '.join(bad)}; serving what is in the store", style="red")


def _announce(node: Node, url: str, address: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"address": address, "node": node.name, "pid": os.getpid(), "store": url})
        return
    say(f"Understudy {VERSION}, node {node.name}, store {url}")
    say(f"Listening on {address}", style="bold")
    names = sorted(node.names())
    say(f"actors: {', '.join(names[:10]) or 'none yet; `understudy init` makes a project with one'}")
    if names:
        say(f"try: understudy log {names[0]}    or send it a message: understudy send {names[0]} JSON --type TYPE")
        say(f"     curl {address}/actors/{names[0]}")
    say("Ctrl-C stops.")
    sys.stdout.flush()
