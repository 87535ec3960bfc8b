"""The note that a serving node leaves in its store's directory, so that other commands find it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec
from msgspec import Struct

from understudy.cli.errors import CommandError
from understudy.cli.turns import lives
from understudy.store.open import store_folder
from understudy.web.first_token import authorization, check_token, find_first_token

NOTE: Final = "node.json"
TOKEN: Final = "UNDERSTUDY_TOKEN"
_ASK_SECONDS: Final = 5.0
# As a node writes it: the number of an address, never a name, which others may answer for.
_ADDRESS: Final = re.compile(r"http://(?:([0-9.]+)|\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]):[0-9]{1,5}\Z")


class _NoRedirects(HTTPRedirectHandler):
    """A node redirects nowhere. Python would show the token to wherever another server points."""

    def redirect_request(self, *_: Any) -> None:
        return None


_DIRECT: Final = build_opener(ProxyHandler({}), _NoRedirects)  # proxies in the environment are for the internet


class _Health(Struct):
    node: str | None = None


class Running(Struct, frozen=True, kw_only=True):
    """A node that serves a store: where it answers, its process, its name."""

    address: str
    pid: int
    node: str


def leave_note(url: str, running: Running) -> None:
    """Say that this process serves the store; readable by its owner only."""
    path = _note_of(url)
    if path is None:
        return
    fresh = path.with_suffix(f".{running.pid}")
    with open(fresh, "wb", opener=_private) as file:
        file.write(msgspec.json.encode(running))
    # Renamed into place: a reader sees the whole note or none.
    fresh.replace(path)


def remove_note(url: str) -> None:
    """Remove the note, if it is this process's."""
    path = _note_of(url)
    running = None if path is None else _read(path)
    if path is not None and running is not None and running.pid == os.getpid():
        path.unlink(missing_ok=True)


def find_running(url: str, *, token: str | None) -> Running | None:
    """The node that serves the store now, None if none does. Raises CommandError if one lives but does not answer."""
    path = _note_of(url)
    running = None if path is None else _read(path)
    if running is None or not lives(running.pid):
        return None
    try:
        status, body = _get(f"{running.address}/healthz", token)
        if status == 401:
            raise CommandError(_wrong_token(running, token))
        name = msgspec.json.decode(body, type=_Health).node
    except TimeoutError as error:
        raise CommandError(f"the node at {running.address} (process {running.pid}) does not answer") from error
    except (OSError, HTTPException, ValueError):
        # A killed node left its note, and another process has its number now.
        return None
    return running if name == running.node else None


def ask_running(running: Running, path: str, *, token: str | None) -> Any:
    """The JSON that a node answers to a GET. Raises CommandError."""
    try:
        status, body = _get(f"{running.address}{path}", token)
        answer = msgspec.json.decode(body)
    except (OSError, HTTPException, ValueError) as error:
        raise CommandError(f"the node at {running.address} (process {running.pid}) does not answer: {error}") from error
    if status >= 400:
        raise CommandError(str(answer.get("detail", answer)), code=answer.get("code"))
    return answer


def node_token(url: str) -> str | None:
    """The token for the node of a store: that of the environment, else the store's first one; None without either."""
    given = environment_token()
    folder = store_folder(url)
    return given if given is not None or folder is None else find_first_token(folder)


def environment_token() -> str | None:
    """UNDERSTUDY_TOKEN, None without it. Raises BadTokens for one that no header can have."""
    given = os.environ.get(TOKEN)
    return check_token(given, TOKEN) if given else None


def _get(url: str, token: str | None) -> tuple[int, bytes]:
    """Status and body of an answer. Raises TimeoutError, OSError, HTTPException.

    With the standard library: to load httpx takes longer than what most commands do.
    """
    headers = {name.decode(): value.decode("latin-1") for name, value in authorization(token).items()}
    try:
        with _DIRECT.open(Request(url, headers=headers), timeout=_ASK_SECONDS) as answer:
            return answer.status, answer.read()
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()
    except URLError as error:
        # It wraps the error of the socket, which callers know.
        raise error.reason if isinstance(error.reason, OSError) else error from None


def _wrong_token(running: Running, token: str | None) -> str:
    if token is None:
        return f"the node at {running.address} wants its token: set UNDERSTUDY_TOKEN"
    return (
        f"the node at {running.address} does not take the token that this command shows: set UNDERSTUDY_TOKEN to the one "
        "that the node was started with, or unset it if it was started with none"
    )


def _note_of(url: str) -> Path | None:
    directory = store_folder(url)
    return None if directory is None else directory / NOTE


def _read(path: Path) -> Running | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        running = msgspec.json.decode(path.read_bytes(), type=Running)
        # A store may have come from elsewhere, with a note that somebody wrote who wants to be shown a token.
        return running if _is_of_this_machine(running.address) else None
    return None


def _is_of_this_machine(address: str) -> bool:
    """True if nobody but a process of this machine can answer there."""
    found = _ADDRESS.match(address)
    if found is None:
        return False
    host = found[1] or found[2]
    with contextlib.suppress(OSError, ValueError):
        if ip_address(host).is_loopback:
            return True
        kind, _, _, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as tried:
            # The system gives only its own addresses.
            tried.bind(place)
            return True
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
