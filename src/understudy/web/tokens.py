"""Tokens: a request may do what the token in its header allows.

The first token may do everything. It is in the file `token` in the store's folder, where the command line finds it. Of the
tokens that `understudy token new` makes, only hashes are kept, in the folder `tokens`. All these files have mode 0600.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from understudy.node.errors import BadRequest, Conflict, NotFound
from understudy.web.authorization import CREATE, EVERYTHING, SCOPES, Authorization
from understudy.web.first_token import PREFIX, BadTokens, write_new

KEPT: Final = "tokens"
MAX_TOKENS: Final = 1000  # each is a file, and listing them reads all
_ID: Final = re.compile(r"[0-9a-f]{8}\Z")


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is kept. `actors` are names or ids, None for all; `made` is microseconds since 1970."""

    id: str
    digest: str
    scopes: tuple[str, ...]
    actors: tuple[str, ...] | None = None
    note: str | None = None
    made: int = 0


class TokenFolder:
    """The tokens of one store, one file each. Several processes may use it. A change holds from the next request on."""

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
        """Make a token and keep its hash. The text is returned and stored nowhere. Raises BadTokens, BadRequest, Conflict."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise BadRequest(
                f"a token may {', '.join(SCOPES)}; {unknown[0] if unknown else 'nothing'!r} is none of them"
            )
        if CREATE in scopes and actors is not None:
            raise BadRequest(
                f"a token that may {CREATE} has to be for all actors: a new actor is not among those that were named"
            )
        if len(self.all()) >= MAX_TOKENS:
            raise Conflict(f"there are {MAX_TOKENS} tokens, which is the most; revoke one first")
        id = secrets.token_hex(4)
        text = f"{PREFIX}_{id}_{secrets.token_urlsafe(32)}"
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
            write_new(self._path(id), msgspec.json.encode(made))
        except OSError as error:
            raise BadTokens(f"{self._folder} can't be written: {error.strerror}") from error
        return text

    def revoke(self, id: str) -> Token:
        """Remove a token. Raises NotFound, BadTokens."""
        gone = self.find(id)
        if gone is None:
            raise NotFound(f"there is no token {id!r}; `understudy token list` shows the ids")
        self._path(id).unlink(missing_ok=True)
        return gone

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"


class Shown(Struct, frozen=True):
    """A token that somebody showed, as it may be kept: the id that it names, if any, and its hash."""

    id: str
    digest: str

    @classmethod
    def of(cls, token: bytes) -> Shown:
        """That of a token."""
        prefix, _, rest = token.decode("utf-8", "replace").partition("_")
        return cls(rest.partition("_")[0] if prefix == PREFIX else "", _digest(token))


class Tokens:
    """What each token allows: `first` everything, those of a folder what they were made for."""

    def __init__(self, first: str | None = None, folder: TokenFolder | None = None) -> None:
        self._first = None if first is None else _digest(first.encode())
        self._folder = folder

    def authorization_of(self, token: bytes) -> Authorization | None:
        """What this token allows, None if it is unknown. Compares in constant time. Raises BadTokens."""
        return self.authorization(Shown.of(token))

    def authorization(self, shown: Shown) -> Authorization | None:
        """The same for a token that was shown before."""
        if self._first is not None and hmac.compare_digest(shown.digest, self._first):
            return Authorization(EVERYTHING.scopes, by_token=True)
        kept = self._folder.find(shown.id) if self._folder is not None else None
        if kept is None or not hmac.compare_digest(shown.digest, kept.digest):
            return None
        return Authorization(frozenset(kept.scopes), kept.actors, by_token=True, holder=kept.id)


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()
