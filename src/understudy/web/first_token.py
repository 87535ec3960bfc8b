"""The first token of a store, which may do everything: the file `token` in the store's folder.

Every command reads it, so this module imports no web server.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from understudy.node.errors import NodeError

FIRST: Final = "token"
PREFIX: Final = "ust"  # so that scanners for leaked secrets recognise one
_PRIVATE: Final = 0o600


class BadTokens(NodeError):
    """The file or folder of tokens can't be used, so no token from it is accepted."""

    status, title = 503, "The tokens can't be read"


def new_token() -> str:
    """A token that may do everything, for a node whose store has no folder."""
    return f"{PREFIX}_{secrets.token_urlsafe(32)}"


def first_token(folder: Path) -> str:
    """The first token of a store, made if there is none. Raises BadTokens."""
    try:
        write_new(folder / FIRST, f"{new_token()}\n".encode())
    except FileExistsError:
        _keep_private(folder / FIRST)
    except OSError as error:
        raise BadTokens(f"{folder / FIRST} can't be written: {error.strerror}") from error
    found = find_first_token(folder)
    if found is None:
        raise BadTokens(f"{folder / FIRST} is empty; remove it, and the next start makes another")
    return found


def find_first_token(folder: Path) -> str | None:
    """The first token of a store, None if there is none that this user may read. Raises BadTokens if it can't be one."""
    try:
        text = (folder / FIRST).read_text("utf-8").strip()
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadTokens(f"{folder / FIRST} can't be read: {error}") from error
    return check_token(text, str(folder / FIRST)) if text else None


def check_token(text: str, where: str) -> str:
    """The text, if it can stand in a header. Raises BadTokens that names `where`."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadTokens(f"{where} is not UTF-8") from error
    if text != text.strip() or not text.isprintable():
        raise BadTokens(f"{where} has spaces around it, a line break or another character that no header can have")
    return text


def authorization(token: str | None) -> dict[bytes, bytes]:
    """The header that shows a token, in UTF-8; none without one."""
    return {} if token is None else {b"Authorization": b"Bearer " + token.encode()}


def write_new(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, durably. Raises FileExistsError, OSError."""
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep_private(path: Path) -> None:
    """Take the token from others: a copy may have lost the mode. What a link leads to is its owner's affair."""
    try:
        if not path.is_symlink() and path.stat().st_mode & 0o077:
            path.chmod(_PRIVATE)
    except OSError as error:
        raise BadTokens(f"others may read {path}, and its mode can't be changed: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)
