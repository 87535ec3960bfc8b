"""The guard before every request: a node runs code, so no web page may reach it, and no stranger without the token.

The law: on loopback only loopback's own names are answered (a page that rebinds its name to 127.0.0.1 is not);
an Origin must be the host that was asked; what a browser asks for on behalf of another page is answered only if the
user goes there; beyond loopback, or when one is set, the token must be shown. No answer may be read, framed or guessed
at by another page.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.web.errors import problem

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z", re.IGNORECASE)
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?\Z")

# Pages of other ports of localhost are "same-site": that is not ours. Without the header it is no browser (or an old one).
_OWN: Final = frozenset({"same-origin", "none"})
_ALWAYS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
]


def is_loopback(host: str) -> bool:
    """True if an address to listen on can't be reached from other machines."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """Lets a request through, or answers it. `loopback` says where the node listens."""

    def __init__(self, app: ASGIApp, *, loopback: bool, token: str | None) -> None:
        assert loopback or token, "listening beyond loopback needs a token"
        self._app = app
        self._hosts = _LOOPBACK if loopback else _HOST
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # There is nothing but HTTP here; a handshake that went past the checks would be a way around them.
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ALWAYS]
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["method"])
        await (refusal or self._app)(scope, receive, send_marked)

    def _refusal(self, headers: Headers, method: str) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            return problem(400, "a request names one host")
        if not self._hosts.match(hosts[0]):
            return problem(403, f"the host {hosts[0]!r} is not this node; use the address that it prints at its start")
        for origin in headers.getlist("origin"):
            if origin.lower() not in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"):
                return problem(403, f"the origin {origin!r} may not use this node: only its own pages may")
        if not _may_come(headers, method):
            return problem(
                403, "another page asks for this through its reader's browser: only the node's own pages may"
            )
        if self._token is not None and not self._shows_token(headers):
            detail = "send the header `Authorization: Bearer TOKEN` with the UNDERSTUDY_TOKEN of the node"
            return problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="understudy"'})
        return None

    def _shows_token(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token or b"")


def _may_come(headers: Headers, method: str) -> bool:
    """False for what another page embeds, fetches or posts; true if its reader follows a link to us."""
    if all(site in _OWN for site in headers.getlist("sec-fetch-site")):
        return True
    goes_there = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return goes_there and method in ("GET", "HEAD")
