"""Pause and resume: an actor that takes nothing but updates for a while, by the will of an operator."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.holds import MAX_REASON
from understudy.web.answers import json_answer
from understudy.web.authorization import UPDATE
from understudy.web.body import parse_json, read_body, read_object
from understudy.web.face import node_of
from understudy.web.history import actor_view, expected_view
from understudy.web.negotiate import JSON
from understudy.web.openapi import json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, EXPECTED_ACTOR
from understudy.web.schemas import ACTOR as ACTOR_SCHEMA
from understudy.web.schemas import ID, MAYBE_NUMBER, MAYBE_TEXT, TEXT, Named, object_of

_MOST_BYTES = 64 * 1024
_REASON = object_of({"reason": {"type": "string", "maxLength": MAX_REASON}})
_RESUMED = Named(
    "Resumed",
    object_of(
        {
            "id": ID,
            "name": MAYBE_TEXT,
            "head": MAYBE_TEXT,
            "height": MAYBE_NUMBER,
            "engine": MAYBE_TEXT,
            "status": TEXT,
            "reason": MAYBE_TEXT,
        }
    ),
)
_ERRORS = (404, 413, 415, 422)


@Operation(
    "POST",
    "/actors/{actor}/pause",
    name="pauseActor",
    summary="Let an actor take nothing but updates",
    scope=UPDATE,
    parameters=[ACTOR],
    body={JSON: _REASON},
    needs_body=False,
    answers={200: json_of("As it is now", ACTOR_SCHEMA)},
    errors=_ERRORS,
)
async def pause_actor(request: Request) -> Response:
    """200 with the actor; no message is begun after that. The body may say why."""
    actor = ACTOR.of(request)
    body = await read_body(request, most=_MOST_BYTES)
    value = read_object(parse_json(body), {"reason": str}, required="reason") if body else {}
    return json_answer(actor_view(await node_of(request).pause(actor, reason=value.get("reason", ""))))


@Operation(
    "POST",
    "/actors/{actor}/resume",
    name="resumeActor",
    summary="Let a paused or held actor go on",
    scope=UPDATE,
    parameters=[EXPECTED_ACTOR],
    answers={200: json_of("As it is now", _RESUMED)},
    errors=_ERRORS,
)
async def resume_actor(request: Request) -> Response:
    """200 with the actor, which works on what waits; one that was not born has no head yet."""
    actor = EXPECTED_ACTOR.of(request)
    await read_body(request, most=_MOST_BYTES)
    return json_answer(expected_view(await node_of(request).resume(actor)))
