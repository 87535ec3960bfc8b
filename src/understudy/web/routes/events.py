"""Events: durable steps as they come (SSE). A reader that comes back with `Last-Event-ID` has missed none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from understudy.node.errors import BadRequest
from understudy.node.looking.feed import Event
from understudy.objects.ids import ActorId
from understudy.web.body import header_text
from understudy.web.grants import grant_of
from understudy.web.negotiate import EVENT_STREAM
from understudy.web.parameters import actor_in, allow_only, node_of, parse_number

SILENCE_SECONDS: Final = 15.0  # proxies close what is silent for a minute


async def follow_node(request: Request) -> Response:
    """GET /events: the steps of all actors, numbered by the node's feed."""
    grant_of(request).check_all_actors()
    return _stream(request, None, node_of(request).lookup.newest_feed_number())


async def follow_actor(request: Request) -> Response:
    """GET /actors/{actor}/events: the steps of one actor, numbered by their height."""
    actor = actor_in(request)
    return _stream(request, actor, node_of(request).actor(actor).height)


def _stream(request: Request, actor: ActorId | None, newest: int) -> Response:
    allow_only(request, (), offered=(EVENT_STREAM,))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    last = header_text(request, "last-event-id")
    after = parse_number(last, "Last-Event-ID") if last else newest
    if after > newest:
        # It would wait in silence for numbers that mean other steps than those it has seen.
        raise BadRequest(f"Last-Event-ID is {after}, and the newest event here is {newest}: is this another store?")
    if request.method == "HEAD":
        return Response(headers=headers, media_type=EVENT_STREAM)
    events = node_of(request).events(actor=actor, after=after)
    stream = _lines(events, request.app.state.stopping)
    return StreamingResponse(stream, headers=headers, media_type=EVENT_STREAM)


async def _lines(events: AsyncIterator[Event], stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """What goes out; ends when the server stops, because an open stream would hold it up for ever."""
    yield b": following\n\n"
    stop = asyncio.ensure_future(stopping.wait())
    upcoming: asyncio.Future[Event] | None = None
    try:
        while not stop.done():
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            either: set[asyncio.Future[Any]] = {upcoming, stop}
            await asyncio.wait(either, timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                yield _event_text(upcoming.result())
                upcoming = None
            elif not stop.done():
                yield b": still here\n\n"
    finally:
        stop.cancel()
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait({upcoming})


def _event_text(event: Event) -> bytes:
    data = {"step": str(event.step), "actor": str(event.actor), "height": event.height}
    return b"id: %d\nevent: step\ndata: %s\n\n" % (event.number, msgspec.json.encode(data))
