"""The note that a serving node leaves in its store's directory, so that other commands find it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from understudy.cli.errors import CommandError
from understudy.cli.turns import lives
from understudy.store.open import store_folder
from understudy.web.tokens import authorization

NOTE: Final = "node.json"
_ASK_SECONDS: Final = 5.0


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
    """Take the note away, if it is this process's."""
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
        answer = httpx.get(
            f"{running.address}/healthz", headers=authorization(token), timeout=_ASK_SECONDS, trust_env=False
        )
        if answer.status_code == 401:
            raise CommandError(_wrong_token(running, token))
        name = answer.json().get("node")
    except httpx.TimeoutException as error:
        raise CommandError(f"the node at {running.address} (process {running.pid}) does not answer") from error
    except (httpx.TransportError, ValueError, AttributeError):
        # A note that a killed node left behind, and a process that happens to have its number.
        return None
    return running if name == running.node else None


def ask_running(running: Running, path: str, *, token: str | None) -> Any:
    """The JSON that a node answers to a GET. Raises CommandError."""
    try:
        answer = httpx.get(
            f"{running.address}{path}", headers=authorization(token), timeout=_ASK_SECONDS, trust_env=False
        )
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CommandError(f"the node at {running.address} (process {running.pid}) does not answer: {error}") from error
    if not answer.is_success:
        raise CommandError(str(body.get("detail", body)), code=body.get("code"))
    return body


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
        return msgspec.json.decode(path.read_bytes(), type=Running)
    return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
