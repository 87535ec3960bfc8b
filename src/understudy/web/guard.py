"""The guard checks every request first: a node runs code, so neither web pages nor strangers may reach it.

The law: on loopback only loopback's own names are answered (a page that rebinds its name to 127.0.0.1 is not);
an Origin must be the host that was asked; what a browser asks for on behalf of another page is answered only if the
user goes there; what a request may do is what its token says, and without one what everybody may. What
no other page may do with an answer is said by security_headers.py.

A cookie stands for the token of its session, with two limits. What changes something must show that it comes from a page
of this node. And only the console may bring code with it: pages of actors are of the same origin as the console, and
their scripts, which reach their own actor's routes alone, must not update that actor in the name of who looks at it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.web.authorization import BEARER, HOW, NOTHING, OPEN, Authorization, keep_authorization
from understudy.web.errors import problem
from understudy.web.first_token import BadTokens
from understudy.web.sessions import Sessions
from understudy.web.tokens import Tokens

_Headers = Sequence[tuple[bytes, bytes]]

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z", re.IGNORECASE)
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\Z")

# The only headers that are looked at here: most requests carry one of them, and this is on the way of every request.
_LOOKED_AT: Final = frozenset(
    {b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"authorization", b"cookie"}
)
_CONSOLE: Final = "/console"
# What a browser without a token needs to get to its session.
_PUBLIC: Final = ("/console/sign-in", "/console/assets/")
_SAFE_METHODS: Final = ("GET", "HEAD")
# Pages of other ports of localhost are "same-site": that is not ours. Without the header it is no browser (or an old one).
_OWN: Final = frozenset({"same-origin", "none"})


def is_loopback(host: str) -> bool:
    """True if an address to listen on can't be reached from other machines."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """Lets a request through, or answers it. `loopback` says where the node listens, `anybody` what needs no token."""

    def __init__(
        self, app: ASGIApp, *, loopback: bool, tokens: Tokens, sessions: Sessions, anybody: Authorization
    ) -> None:
        assert loopback or not anybody.scopes, "beyond loopback everything needs a token"
        self._app = app
        self._sessions = sessions
        self._hosts = _LOOPBACK if loopback else _HOST
        self._tokens = tokens
        self._anybody = anybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # There is nothing but HTTP here; a handshake that went past the checks would be a way around them.
            await send({"type": "websocket.close", "code": 1008})
            return

        headers = [pair for pair in scope["headers"] if pair[0] in _LOOKED_AT]
        method, path = scope["method"], scope["path"]
        found = self._refusal(headers, method) or self._authorize(headers, method, path)
        if isinstance(found, Authorization):
            keep_authorization(scope, found, partial(self._authorize, headers, method, path))
            send = _kept_private(send) if found.by_session else send
        await (self._app if isinstance(found, Authorization) else found)(scope, receive, send)

    def _refusal(self, headers: _Headers, method: str) -> Response | None:
        hosts = _values(headers, b"host")
        if len(hosts) != 1:
            return problem(400, "a request names one host")
        if not self._hosts.match(hosts[0]):
            return problem(403, f"the host {hosts[0]!r} is not this node; use the address that it prints at its start")
        for origin in _values(headers, b"origin"):
            if origin.lower() not in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"):
                return problem(403, f"the origin {origin!r} may not use this node: only its own pages may")
        if not _may_come(headers, method):
            return problem(
                403, "another page asks for this through its reader's browser: only the node's own pages may"
            )
        return None

    def _authorize(self, headers: _Headers, method: str, path: str) -> Authorization | Response:
        shown = [value for name, value in headers if name == b"authorization"]
        if not shown:
            return self._authorize_without_token(headers, method, path)
        if len(shown) > 1:
            return problem(400, f"the header Authorization is given {len(shown)} times")
        scheme, _, token = shown[0].partition(b" ")
        try:
            authorization = self._tokens.authorization_of(token.strip()) if scheme.lower() == b"bearer" else None
        except BadTokens as error:
            return problem(error.status, error.detail, title=error.title)
        # One that is wrong is not the same as none, or who mistypes it would learn so only by chance.
        return authorization or problem(401, f"that is no token of this node; {HOW}", headers=BEARER)

    def _authorize_without_token(self, headers: _Headers, method: str, path: str) -> Authorization | Response:
        try:
            found = self._authorize_session(headers, method, path)
        except BadTokens as error:
            return problem(error.status, error.detail, title=error.title)
        if found is not None:
            return found
        if self._anybody.scopes:
            return self._anybody
        return NOTHING if path.startswith(_PUBLIC) else problem(401, HOW, headers=BEARER)

    def _authorize_session(self, headers: _Headers, method: str, path: str) -> Authorization | None:
        cookies = [cookie_parser(value).get(self._sessions.cookie) for value in _values(headers, b"cookie")]
        if not cookies or cookies[0] is None or (method not in _SAFE_METHODS and not _is_own(headers)):
            return None
        authorization = self._sessions.authorization_of(cookies[0])
        if authorization is None:
            return None
        of_console = path == _CONSOLE or path.startswith(f"{_CONSOLE}/")
        scopes = authorization.scopes if of_console else authorization.scopes & OPEN.scopes
        return msgspec.structs.replace(authorization, scopes=scopes, by_session=True)


def _is_own(headers: _Headers) -> bool:
    """True if a request shows that a page of this node makes it; an Origin that is there was compared before."""
    return bool(_values(headers, b"origin")) or _values(headers, b"sec-fetch-site") == ["same-origin"]


def _kept_private(send: Send) -> Send:
    """Answers of a session are for its browser alone: without the header Authorization, a cache between would not know."""

    async def send_private(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            said = [value for name, value in message["headers"] if name.lower() == b"cache-control"]
            kept += [(b"cache-control", b", ".join([*said, b"private"])), (b"vary", b"Cookie")]
            message = {**message, "headers": kept}
        await send(message)

    return send_private


def _may_come(headers: _Headers, method: str) -> bool:
    """False for what another page embeds, fetches or posts; true if its reader follows a link to us."""
    if all(site in _OWN for site in _values(headers, b"sec-fetch-site")):
        return True
    mode, target = _values(headers, b"sec-fetch-mode"), _values(headers, b"sec-fetch-dest")
    return mode == ["navigate"] and target == ["document"] and method in ("GET", "HEAD")


def _values(headers: _Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
