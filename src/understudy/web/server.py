"""The server: uvicorn on a socket of ours, so that a free port can be asked for and is known at once."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.applications import Starlette

from understudy.node.errors import BadRequest
from understudy.web.connections import Connections
from understudy.web.connections import most_connections as connections_that_fit
from understudy.web.guard import is_loopback
from understudy.web.protocol import Protocol

GRACE_SECONDS: Final = 10  # for requests that are under way when the server is told to stop
_BACKLOG: Final = 256  # a client that waits here holds no descriptor of ours; those that are let in at once all do


class CannotListen(BadRequest):
    """The address can't be listened on; the text says why and what to try."""

    title = "Can't listen"
    exit_code = 2  # of the command that was told to


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT taken apart; an IPv6 host stands in brackets. Raises CannotListen."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise CannotListen(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8321")
    return host.strip("[]"), int(port)


def check_reach(host: str, token: str | None) -> None:
    """Raises CannotListen if others could reach the address and there is no token."""
    if not is_loopback(host) and not token:
        raise CannotListen(
            f"{host} can be reached from other machines, and a node runs code: set UNDERSTUDY_TOKEN to a secret, "
            "or listen on 127.0.0.1"
        )


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"{host} is no address of this machine: {error}") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        hint = "; something listens there already, try another --listen" if error.errno == errno.EADDRINUSE else ""
        raise CannotListen(f"can't listen on {host}:{port}: {error.strerror}{hint}") from error
    return opened


def address_of(opened: socket.socket) -> str:
    """The URL at which this machine reaches the socket."""
    host, port = opened.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Starlette, opened: socket.socket, *, most_connections: int | None = None) -> None:
    """Serve until this task is cancelled; then give open requests GRACE_SECONDS to finish, and return."""
    connections = Connections(most_connections or connections_that_fit())
    config = uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(Protocol, connections=connections)),
        backlog=_BACKLOG,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    running = asyncio.ensure_future(server.serve(sockets=[opened]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        app.state.stopping.set()
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again once it has stopped, and the store would never be closed.
        yield
