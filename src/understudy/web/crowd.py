"""The crowd: how many requests are under way at once, and what their bodies hold. Who comes when it is full comes again."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.web.body import SHARE, Bodies
from understudy.web.errors import problem

RETRY_AFTER_SECONDS: Final = 1


class Crowd:
    """Lets `most` requests in at a time, and answers 503 to the others at once, without reading what they send."""

    def __init__(self, app: ASGIApp, *, most: int, most_bytes: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0
        self._bodies = Bodies(most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inside >= self._most:
            detail = f"{self._most:,} requests are under way, which is all that this node takes at once"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            await problem(503, detail, title="Busy", headers=headers)(scope, receive, send)
            return
        self._inside += 1
        scope[SHARE] = share = self._bodies.share()
        try:
            await self._app(scope, receive, send)
        finally:
            share.give_back()
            self._inside -= 1
