"""Events: durable steps as they come (SSE). A reader that comes back with `Last-Event-ID` has missed none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from understudy.node.errors import BadRequest
from understudy.node.looking.feed import Event
from understudy.objects.ids import ActorId
from understudy.web.authorization import ASK, is_still_authorized
from understudy.web.face import node_of
from understudy.web.negotiate import EVENT_STREAM
from understudy.web.openapi import answer
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, Parameter, parse_number
from understudy.web.schemas import TEXT

SILENCE_SECONDS: Final = 15.0  # proxies close what is silent for a minute
_LAST_EVENT: Final = Parameter(
    place="header",
    name="Last-Event-ID",
    description="The number of the last event that was seen",
    schema={"type": "string", "pattern": "^[0-9]*$"},
    # Empty is what a browser's EventSource says that has seen none.
    read=lambda _, said: parse_number(said, "Last-Event-ID") if said else None,
)
_EVENTS: Final = {200: answer("Events, for as long as the reader stays", {EVENT_STREAM: TEXT})}


@Operation(
    "GET",
    "/events",
    name="followNode",
    summary="New steps of all actors",
    scope=ASK,
    about_all=True,
    parameters=[_LAST_EVENT],
    answers=_EVENTS,
)
async def follow_node(request: Request) -> Response:
    """The steps of all actors, numbered by the node's feed."""
    return _stream(request, None, node_of(request).newest_event())


@Operation(
    "GET",
    "/actors/{actor}/events",
    name="followActor",
    summary="New steps of one actor",
    scope=ASK,
    parameters=[ACTOR, _LAST_EVENT],
    answers=_EVENTS,
    errors=(404,),
)
async def follow_actor(request: Request) -> Response:
    """The steps of one actor, numbered by their height."""
    actor = ACTOR.of(request)
    return _stream(request, actor, node_of(request).actor(actor).height)


def _stream(request: Request, actor: ActorId | None, newest: int) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    last = _LAST_EVENT.of(request)
    after = newest if last is None else last
    if after > newest:
        # It would wait in silence for numbers that mean other steps than those it has seen.
        raise BadRequest(f"Last-Event-ID is {after}, and the newest event here is {newest}: is this another store?")
    if request.method == "HEAD":
        return Response(headers=headers, media_type=EVENT_STREAM)
    events = node_of(request).events(actor=actor, after=after)
    stream = _lines(events, request.app.state.stopping, partial(is_still_authorized, request))
    return StreamingResponse(stream, headers=headers, media_type=EVENT_STREAM)


async def _lines(
    events: AsyncIterator[Event], stopping: asyncio.Event, may_go_on: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """What goes out; ends when the server stops, because an open stream would hold it up for ever.

    Asks now and then whether the reader may go on: a token that is revoked must not read on for months.
    """
    yield b": following\n\n"
    stop = asyncio.ensure_future(stopping.wait())
    upcoming: asyncio.Future[Event] | None = None
    asked = time.monotonic()
    try:
        while not stop.done():
            if time.monotonic() - asked >= SILENCE_SECONDS:
                asked = time.monotonic()
                if not may_go_on():
                    return
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
