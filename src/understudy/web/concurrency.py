"""The concurrency limit: how many requests a node works on at once, and how many bytes their bodies hold together.

`If-Match` is not here, but in `routes/messages.py` and `node/intake/reception.py`.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.web.body import ANSWER_SHARE, SHARE, Bodies
from understudy.web.errors import problem

RETRY_AFTER_SECONDS: Final = 1


class ConcurrencyLimit:
    """Middleware. Above `most` requests at a time, the others are answered 503 at once, and their bodies are not read."""

    def __init__(self, app: ASGIApp, *, most: int, most_bytes: int, most_answer_bytes: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0
        self._bodies = Bodies(most_bytes)
        self._answers = Bodies(most_answer_bytes, "large answers of queries")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inside >= self._most:
            detail = f"{self._most:,} requests are under way, which is all that this node takes at once"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            await problem(503, detail, title="Busy", headers=headers)(scope, receive, send)
            return
        self._inside += 1
        scope[SHARE] = share = self._bodies.share()
        scope[ANSWER_SHARE] = answer_share = self._answers.share()
        try:
            await self._app(scope, receive, send)
        finally:
            share.give_back()
            answer_share.give_back()
            self._inside -= 1
