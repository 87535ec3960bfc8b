"""Errors that a person in a browser sees, on whichever route: a page with the facts of the problem document.

The law: only who prefers a page gets one; the status and the headers stay, and no fact is added or left out.
"""

from __future__ import annotations

import http
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.web.console import addresses
from understudy.web.console.rendering import HTML, render
from understudy.web.negotiate import JSON, prefers
from understudy.web.openapi import PROBLEM_TYPE

_SAID: Final = ("type", "title", "status", "detail")  # what stands on the page in words; other members are in a table
# It is shown wherever something went wrong, also between an actor's own pages, so it runs nothing at all.
_POLICY: Final = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_UNAUTHORIZED: Final = http.HTTPStatus.UNAUTHORIZED


class ErrorPages:
    """A middleware outside of all that makes problem documents, and inside of the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_reader(scope):
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        pieces: list[bytes] = []

        async def watch(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
            elif held is None:
                await send(message)
            else:
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await _page(Request(scope), held, b"".join(pieces))(scope, receive, send)

        await self._app(scope, receive, watch)


def _is_for_reader(scope: Scope) -> bool:
    accepted = [value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"]
    return prefers(",".join(accepted), HTML, over=(PROBLEM_TYPE, JSON))


def _is_problem(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value == PROBLEM_TYPE.encode() for name, value in message["headers"])


def _page(request: Request, start: Message, body: bytes) -> Response:
    problem: dict[str, Any] = msgspec.json.decode(body) if body else {}
    status = start["status"]
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in start["headers"]
        if name.lower() not in (b"content-type", b"content-length")
    }
    text = render(
        "error.html",
        status=status,
        title=problem.get("title") or http.HTTPStatus(status).phrase,
        detail=problem.get("detail", ""),
        facts={name: value for name, value in problem.items() if name not in _SAID},
        wants_token=status == _UNAUTHORIZED,
        back=addresses.here(request) if request.method in ("GET", "HEAD") else addresses.HOME,
    )
    more = {**headers, "Vary": "Accept", "Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    return Response(text, status, more, f"{HTML}; charset=utf-8")
