"""Sessions: a browser shows a token once, at the sign-in, and after that a cookie.

The laws: a session allows what its token allows, and nothing once that token is gone; it ends after LIFE_SECONDS. It is in
memory alone, so a restart of the node ends it. Neither token nor cookie is kept, only their hashes.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Final

from msgspec import Struct

from understudy.web.authorization import Authorization
from understudy.web.tokens import Shown, Tokens

LIFE_SECONDS: Final = 12 * 3600  # a working day; a forgotten browser is no key for longer
MAX_SESSIONS: Final = 1000  # the oldest one ends when there are more; each is some 500 bytes


class _Session(Struct, frozen=True):
    token: Shown
    ends: float


class Sessions:
    """The sessions of one node's web face. Thread-safe."""

    def __init__(self, tokens: Tokens, *, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        # A cookie does not belong to a port: two nodes of one machine must not overwrite each other's.
        self.cookie: Final = f"understudy-{sha256(node.encode()).hexdigest()[:8]}"
        self._tokens = tokens
        self._clock = clock
        self._lock = Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, token: bytes) -> str | None:
        """The cookie of a new session, None if this is no token of the node. Raises BadTokens."""
        if self._tokens.authorization_of(token) is None:
            return None
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_key(cookie)] = _Session(Shown.of(token), self._clock() + LIFE_SECONDS)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def authorization_of(self, cookie: str) -> Authorization | None:
        """What a session allows at this moment, None if it is over. Raises BadTokens."""
        found = self._sessions.get(_key(cookie))
        if found is None:
            return None
        authorization = self._tokens.authorization(found.token) if self._clock() < found.ends else None
        if authorization is None:
            self.end(cookie)
        return authorization

    def end(self, cookie: str) -> None:
        """End a session; harmless if there is none."""
        with self._lock:
            self._sessions.pop(_key(cookie), None)


def _key(cookie: str) -> str:
    return sha256(cookie.encode("utf-8", "replace")).hexdigest()
