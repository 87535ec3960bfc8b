"""The routes of the lead, the one actor that `understudy run` started: a JSON object goes in, its state comes out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from understudy.node.errors import Rejected
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import NOOP
from understudy.web.answers import fresh_json, head_headers, json_answer
from understudy.web.body import header_text, kind_of, parse_json, read_body
from understudy.web.history import actor_view
from understudy.web.parameters import allow_only, limits_of, node_of
from understudy.web.routes.chain import show_chain_of
from understudy.web.routes.messages import (
    DEFAULT_TYPE,
    accepted_answer,
    content_view,
    preference_of,
    problem_of_outcome,
    reply_views,
)

_STATE: Final = "state"
_QUICK_BYTES: Final = 64 * 1024  # parsed where it came in; more would hold up the others


def lead_routes() -> list[Route]:
    """What only a node with a lead answers."""
    return [
        Route("/", tell_lead, methods=["POST"]),
        Route("/", show_lead, methods=["GET"]),
        Route("/chain", show_lead_chain, methods=["GET"]),
    ]


async def tell_lead(request: Request) -> Response:
    """POST /: a JSON object, whatever its Content-Type; the bytes go on the chain as they are. 200 with head and state.

    With `replies`, if the component answered whoever sent it.
    """
    allow_only(request, ())
    node, lead = node_of(request), _lead_of(request)
    body = await read_body(request, most=limits_of(request).body_bytes)
    value = parse_json(body) if len(body) <= _QUICK_BYTES else await asyncio.to_thread(parse_json, body)
    if not isinstance(value, dict):
        raise Rejected(f"the body is {kind_of(value)}; a JSON object is expected")
    key = header_text(request, "idempotency-key")
    preference, headers = preference_of(request)
    message, answer = await node.tell(
        lead, body, type=DEFAULT_TYPE, idempotency_key=key, timeout=preference.wait_seconds
    )
    if answer is None:
        return accepted_answer(lead, message, headers)
    if answer.outcome is not None and answer.outcome.kind != NOOP:
        return problem_of_outcome(message, answer)
    told: dict[str, Any] = {"head": str(answer.step), "state": _state_after(node, answer.step)}
    if answer.replies:
        # On a thread: a component may answer with megabytes.
        told["replies"] = await asyncio.to_thread(reply_views, node.reader, answer)
    return json_answer(told, headers=headers)


def show_lead(request: Request) -> Response:
    """GET /: the actor and its state."""
    allow_only(request, ())
    node = node_of(request)
    about = node.actor(_lead_of(request))
    view = {**actor_view(about), "state": _state_after(node, about.head)}
    return fresh_json(request, view, head_headers(about.head))


def show_lead_chain(request: Request) -> Response:
    """GET /chain?limit&before"""
    return show_chain_of(request, _lead_of(request))


def _lead_of(request: Request) -> ActorId:
    lead: ActorId = request.app.state.lead
    return lead


def _state_after(node: Node, id: StepId) -> Any:
    """The state in JSON: the JSON that it is, other bytes as base64; null where there is none."""
    state = node.reader.find(node.reader.step(id).core, _STATE)
    return None if state is None else content_view(node.reader, state)
