"""Answers that are in memory as a whole: a large one is sent in pieces, and what of it is not sent yet is known.

The law: while one client is sent a large answer, other requests have their turn after each piece. Given to the transport as
a whole, it would be copied twice on the event loop, and held there a second time.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES: Final = 256 * 1024  # some 0.1 ms of the event loop
_KEY: Final = "understudy.unsent"  # where the scope of a request has it


class Unsent(NamedTuple):
    """The bytes of an answer that is being sent: those in memory, and those that its client was not sent yet."""

    held: int
    left: int


NOTHING: Final = Unsent(0, 0)


def unsent_of(scope: Scope) -> Unsent:
    """What is unsent of the answer to a request."""
    found: Unsent = scope.get(_KEY, NOTHING)
    return found


class Answer(Response):
    """An answer whose bytes are all there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        size = len(self.body)
        if size <= PIECE_BYTES or scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        data = memoryview(self.body)
        for start in range(0, size, PIECE_BYTES):
            end = start + PIECE_BYTES
            scope[_KEY] = Unsent(size, size - start) if end < size else NOTHING
            await send({"type": "http.response.body", "body": data[start:end], "more_body": end < size})
            # To a client that reads quickly, nothing else lets others have their turn.
            await asyncio.sleep(0)
