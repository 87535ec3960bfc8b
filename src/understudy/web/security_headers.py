"""Security headers: what every answer has, also one that was made outside of the application.

The law: an answer is no page unless it says so. A page that frames or opens a document of the same origin can act through
it, and a document without a policy of its own is bound by none. So every answer gets a policy.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

POLICY: Final = b"content-security-policy"
# The sandbox gives the document an origin that is nobody's, and runs no script.
NO_PAGE: Final = b"default-src 'none'; sandbox; frame-ancestors 'none'"
_ALWAYS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
    # Who opens it as a window of their own gets no handle on it, not even a page of another actor, which is of the same
    # origin: through the handle it could act as this page.
    (b"cross-origin-opener-policy", b"noopener-allow-popups"),
]
_NOT_MODIFIED: Final = 304


def with_security_headers(headers: Headers, status: int) -> Headers:
    """The headers of an answer, and those that every answer has."""
    # A 304 has no document; a browser that takes its headers for those of the page that it holds would lose the page's own.
    if status == _NOT_MODIFIED or any(name.lower() == POLICY for name, _ in headers):
        return [*headers, *_ALWAYS]
    return [*headers, *_ALWAYS, (POLICY, NO_PAGE)]


class SecurityHeaders:
    """The outermost middleware: it sees every answer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_security_headers(list(message["headers"]), message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)
