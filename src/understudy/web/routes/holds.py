"""Pause and resume: an actor that takes nothing but updates for a while, by the will of an operator."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.answers import json_answer
from understudy.web.body import parse_json, read_body, read_object
from understudy.web.history import actor_view, expected_view
from understudy.web.parameters import actor_in, allow_only, expected_actor_in, node_of

_MOST_BYTES = 64 * 1024


async def pause_actor(request: Request) -> Response:
    """POST /actors/{actor}/pause, with `{"reason": text}` or nothing: 200 with the actor; no message is begun after that."""
    allow_only(request, ())
    actor = actor_in(request)
    body = await read_body(request, most=_MOST_BYTES)
    value = read_object(parse_json(body), {"reason": str}, required="reason") if body else {}
    return json_answer(actor_view(await node_of(request).pause(actor, reason=value.get("reason", ""))))


async def resume_actor(request: Request) -> Response:
    """POST /actors/{actor}/resume: 200 with the actor, which works on what waits; one that was not born has no head yet."""
    allow_only(request, ())
    actor = expected_actor_in(request)
    await read_body(request, most=_MOST_BYTES)
    return json_answer(expected_view(await node_of(request).resume(actor)))
