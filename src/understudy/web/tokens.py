"""Tokens: whoever shows one may do what it was made for.

The first one, which may do everything, stands in the file `token` beside the store, so that the command line finds it.
Those that `understudy token new` makes are kept as hashes in the folder `tokens`. All of it is for its owner alone.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from understudy.node.errors import BadRequest, Conflict, NodeError, NotFound
from understudy.web.grants import CREATE, EVERYTHING, SCOPES, Grant

FIRST: Final = "token"
KEPT: Final = "tokens"
MAX_TOKENS: Final = 1000  # each is a file; to list them reads all
_PREFIX: Final = "ust"  # so that programs which look for secrets in a repository know one
_PRIVATE: Final = 0o600
_ID: Final = re.compile(r"[0-9a-f]{8}\Z")


class BadTokens(NodeError):
    """What holds the tokens can't be used; nobody gets in by a token that is kept there."""

    status, title = 503, "The tokens can't be read"


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is kept. `actors` are names or ids, None for all; `made` is microseconds since 1970."""

    id: str
    digest: str
    scopes: tuple[str, ...]
    actors: tuple[str, ...] | None = None
    note: str | None = None
    made: int = 0


class TokenFolder:
    """The tokens of one store, each a file. Several processes may use it; the next request sees what changed."""

    def __init__(self, store: Path) -> None:
        self._folder = store / KEPT

    def all(self) -> list[Token]:
        """Every token, the oldest first. Raises BadTokens."""
        found = [token for path in self._folder.glob("*.json") if (token := self.find(path.stem)) is not None]
        return sorted(found, key=lambda token: (token.made, token.id))

    def find(self, id: str) -> Token | None:
        """The token with an id. Raises BadTokens."""
        if not _ID.match(id):
            return None
        try:
            return msgspec.json.decode(self._path(id).read_bytes(), type=Token)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadTokens(f"{KEPT}/{id}.json in the store's folder can't be read: {error}") from error

    def make(self, *, scopes: Sequence[str], actors: Sequence[str] | None, note: str | None, now: int) -> str:
        """Make a token and keep its hash; the text is in the answer and nowhere else. Raises BadTokens, BadRequest."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise BadRequest(
                f"a token may {', '.join(SCOPES)}; {unknown[0] if unknown else 'nothing'!r} is none of them"
            )
        if CREATE in scopes and actors is not None:
            raise BadRequest(
                f"a token that may {CREATE} is for all actors: the new one is none of those that were named"
            )
        if len(self.all()) >= MAX_TOKENS:
            raise Conflict(f"there are {MAX_TOKENS} tokens, which is the most; revoke one first")
        id = secrets.token_hex(4)
        text = f"{_PREFIX}_{id}_{secrets.token_urlsafe(32)}"
        made = Token(
            id=id,
            digest=_digest(text.encode()),
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            actors=None if actors is None else tuple(actors),
            note=note,
            made=now,
        )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _write_new(self._path(id), msgspec.json.encode(made))
        except OSError as error:
            raise BadTokens(f"{self._folder} can't be written: {error.strerror}") from error
        return text

    def revoke(self, id: str) -> Token:
        """Take a token away. Raises NotFound, BadTokens."""
        gone = self.find(id)
        if gone is None:
            raise NotFound(f"there is no token {id!r}; `understudy token list` shows the ids")
        self._path(id).unlink(missing_ok=True)
        return gone

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"


class Tokens:
    """What each token allows: `first` everything, those of a folder what they were made for."""

    def __init__(self, first: str | None = None, folder: TokenFolder | None = None) -> None:
        self._first = None if first is None else _digest(first.encode())
        self._folder = folder

    def grant_of(self, shown: bytes) -> Grant | None:
        """What whoever shows this may do, None if it is no token. Takes the same time for each. Raises BadTokens."""
        digest = _digest(shown)
        if self._first is not None and hmac.compare_digest(digest, self._first):
            return Grant(EVERYTHING.scopes, by_token=True)
        prefix, _, rest = shown.decode("utf-8", "replace").partition("_")
        kept = self._folder.find(rest.partition("_")[0]) if self._folder is not None and prefix == _PREFIX else None
        if kept is None or not hmac.compare_digest(digest, kept.digest):
            return None
        return Grant(frozenset(kept.scopes), kept.actors, by_token=True)


def new_token() -> str:
    """A token that may do everything, for a node whose store has no folder."""
    return f"{_PREFIX}_{secrets.token_urlsafe(32)}"


def first_token(folder: Path) -> str:
    """The first token of a store, made if there is none. Raises BadTokens."""
    try:
        _write_new(folder / FIRST, f"{new_token()}\n".encode())
    except FileExistsError:
        # Somebody may have copied it without its mode.
        os.chmod(folder / FIRST, _PRIVATE)
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


def _write_new(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)
