"""A node as a process: where it listens, how long it runs, and the note by which other commands find it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

try:
    import uvloop
except ImportError:  # Windows has none.
    uvloop = None  # type: ignore[assignment]

from starlette.applications import Starlette

from understudy.cli.access import find_node
from understudy.cli.errors import CommandError, NodeBroke
from understudy.cli.lossy import lossy_output
from understudy.cli.project import Project, find_project
from understudy.cli.running import Running, environment_token, find_running, leave_note, node_token, remove_note
from understudy.cli.store import store_url
from understudy.cli.turns import announce, wait_for_starting
from understudy.node.interpreter import tune_interpreter
from understudy.node.node import Node
from understudy.node.running.arenas import bound_arenas
from understudy.node.running.last_resort import LastResort
from understudy.objects.ids import ActorId
from understudy.store.open import store_folder
from understudy.web.app import build_app
from understudy.web.authorization import NOTHING, OPEN
from understudy.web.connections import raise_descriptor_limit
from understudy.web.first_token import first_token, new_token
from understudy.web.guard import is_loopback
from understudy.web.server import address_of, check_reach, parse_listen
from understudy.web.server import serve as serve_app
from understudy.web.tokens import TokenFolder, Tokens

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


class Place(NamedTuple):
    """What a node process is about: its store, where it answers, and the project of the folder, if there is one."""

    url: str
    host: str
    port: int
    project: Project | None
    answers: Callable[[], None]  # called once the node answers


@contextlib.contextmanager
def claimed_place(listen: str | None, store: str | None) -> Iterator[Place]:
    """What was asked for, checked; until the end of the block, other commands wait for this node to answer.

    Until then, too, what can't be written to standard output and error, or is not read, is dropped: a node neither ends
    nor stands still for that.
    Raises WrongUse, CannotListen, CommandError if another node has the store.
    """
    with lossy_output(waits=False), _claimed_place(listen, store) as place:
        yield place


@contextlib.contextmanager
def _claimed_place(listen: str | None, store: str | None) -> Iterator[Place]:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    project = find_project(Path())
    url = store_url(store)
    host, port = parse_listen(listen or (project.listen if project is not None else None) or DEFAULT_LISTEN)
    check_reach(host, environment_token())
    wait_for_starting(url)
    running = find_running(url, token=node_token(url))
    if running is not None:
        raise _already_served(running)
    with announce(url) as answers:
        yield Place(url, host, port, project, answers)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run a node; Ctrl-C and a polite kill cancel it."""
    with asyncio.Runner(loop_factory=None if uvloop is None else uvloop.new_event_loop) as runner:
        try:
            runner.run(_stoppable(work))
        except asyncio.CancelledError as error:
            # Stopped before it answered a request.
            raise KeyboardInterrupt from error


@contextlib.asynccontextmanager
async def living_node(
    place: Place, *, only_updates: bool = False, allow_http: Sequence[str] = ()
) -> AsyncIterator[Node]:
    """A node that lives until the end of the block; for `only_updates` see Node.start, for `allow_http` find_node."""
    # Before the store starts its threads, and asks how many files it may open.
    bound_arenas()
    raise_descriptor_limit()
    node = await find_node(place.url, place.project, makes_store=True, allow_http=allow_http)
    if isinstance(node, Running):
        raise _already_served(node)
    try:
        if place.project is not None:
            place.project.make_importable()
        tune_interpreter()
        # Before the start: a message that kept the interpreter for itself before is tried again at once.
        _heed_ctrl_z(node.end_if_stuck())
        await node.start(only_updates=only_updates)
        yield node
    finally:
        remove_note(place.url)
        await node.stop()


class Face(NamedTuple):
    """The web face of a node, and its token where there is no folder for it, so that it has to be told."""

    app: Starlette
    untold: str | None


def build_face(place: Place, node: Node, *, lead: ActorId | None = None) -> Face:
    """The web face, with the tokens that it takes; the first start on a store makes the first one. Raises BadTokens."""
    given, folder = environment_token(), store_folder(place.url)
    first = given or (new_token() if folder is None else first_token(folder))
    loopback = is_loopback(place.host)
    # A token that the operator set is needed for everything, unless the project says otherwise.
    opened = place.project.open if place.project is not None else None
    is_open = loopback and (given is None if opened is None else opened)
    app = build_app(
        node,
        loopback=loopback,
        tokens=Tokens(first, None if folder is None else TokenFolder(folder)),
        anybody=OPEN if is_open else NOTHING,
        lead=lead,
    )
    return Face(app, first if folder is None and given is None else None)


async def answer_requests(
    place: Place, node: Node, app: Starlette, opened: socket.socket, *, ready: Callable[[str], None]
) -> None:
    """Say where the node is, to other commands by a note and to people by `ready`; answer until this task is cancelled.

    Raises NodeBroke if the node can't go on.
    """
    address = address_of(opened)
    leave_note(place.url, Running(address=address, pid=os.getpid(), node=node.name))
    place.answers()
    ready(address)
    serving, failing = (asyncio.ensure_future(work) for work in (serve_app(app, opened), node.wait_for_failure()))
    # A stop is no error.
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({serving, failing}, return_when=asyncio.FIRST_COMPLETED)
    failing.cancel()
    serving.cancel()
    await serving
    if node.failure is not None:
        raise NodeBroke(
            f"the store failed: {node.failure}\neverything acknowledged is in the store; when the reason is gone, start again"
        )


def _already_served(running: Running) -> CommandError:
    return CommandError(f"process {running.pid} serves this store already, at {running.address}")


def _heed_ctrl_z(last_resort: LastResort) -> None:
    """While a terminal stops the process (Ctrl-Z), no wit's time counts."""

    def stop() -> None:
        last_resort.pause()
        os.kill(os.getpid(), signal.SIGSTOP)
        # Here the process was continued.
        last_resort.wake()

    with contextlib.suppress(NotImplementedError, AttributeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, stop)


async def _stoppable(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Ctrl-C cancels this task by itself; a polite kill does the same, where the system knows one.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
