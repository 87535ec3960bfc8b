"""The routes of the lead, the one actor that `understudy run` started: a JSON object goes in, its state comes out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import Rejected
from understudy.node.intake.composing import SendOptions
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import NOOP
from understudy.web.answers import fresh_json, head_headers, json_answer
from understudy.web.authorization import ASK, SEND, authorization_of
from understudy.web.body import QUICK_BYTES, kind_of, parse_json, read_body
from understudy.web.console import addresses
from understudy.web.console.rendering import HTML
from understudy.web.content import content_view
from understudy.web.face import limits_of, node_of
from understudy.web.history import actor_view
from understudy.web.negotiate import JSON, choose
from understudy.web.openapi import CACHED, SAME, answer, json_of
from understudy.web.operation import Operation
from understudy.web.parameters import BEFORE, IF_NONE_MATCH, LIMIT
from understudy.web.routes.chain import show_chain_of
from understudy.web.routes.messages import (
    ANSWERS,
    DEFAULT_TYPE,
    HEADERS,
    LANE,
    accepted_answer,
    expected_head,
    own_key,
    preference_of,
    problem_of_outcome,
    reply_views,
)
from understudy.web.routes.root import TO_CONSOLE, to_console
from understudy.web.schemas import ACTOR, CHAIN, ID, OBJECT, TEXT

_STATE: Final = "state"
_TOLD: Final = {
    "type": "object",
    "properties": {"head": ID, "state": {}, "replies": {}},
    "required": ["head", "state"],
}
_WITH_STATE: Final = {"type": "object", "properties": {"state": {}}, "required": ["state"]}


def _check_lead(request: Request) -> None:
    authorization_of(request).check_actor(node_of(request), request.app.state.lead)


def _may_ask(request: Request) -> str:
    _check_lead(request)
    return ASK


def _may_send(request: Request) -> str:
    _check_lead(request)
    return SEND


@Operation(
    "POST",
    "/",
    name="tellLead",
    summary="Send the node's own actor a JSON object; its new state comes back",
    scope=_may_send,
    parameters=[each for each in HEADERS if each is not LANE],
    body={JSON: OBJECT},
    answers={**ANSWERS, 200: answer("Durable: the step, and the state after it", {JSON: _TOLD})},
    errors=(409, 413, 415, 422),
)
async def tell_lead(request: Request) -> Response:
    """The bytes go on the chain as they are, whatever their Content-Type. 200 with head and state.

    With `replies`, if the component answered whoever sent it.
    """
    node, lead = node_of(request), _lead_of(request)
    body = await read_body(request, most=limits_of(request).body_bytes)
    value = parse_json(body) if len(body) <= QUICK_BYTES else await asyncio.to_thread(parse_json, body)
    if not isinstance(value, dict):
        raise Rejected(f"the body is {kind_of(value)}; a JSON object is expected")
    preference, headers = preference_of(request)
    message, found = await node.tell(
        lead,
        body,
        type=DEFAULT_TYPE,
        options=SendOptions(idempotency_key=own_key(request)),
        head=expected_head(request, lead),
        timeout=preference.wait_seconds,
    )
    if found is None:
        return accepted_answer(node, lead, message, headers)
    if found.outcome is not None and found.outcome.kind != NOOP:
        return problem_of_outcome(message, found)
    told: dict[str, Any] = {"head": str(found.step), "state": _state_after(node, found.step)}
    if found.replies:
        # On a thread: a component may answer with megabytes.
        told["replies"] = await asyncio.to_thread(reply_views, node.reader, found)
    return json_answer(told, headers=headers)


@Operation(
    "GET",
    "/",
    name="showLead",
    summary="The node's own actor and its state",
    scope=_may_ask,
    parameters=[IF_NONE_MATCH],
    answers={
        200: answer(
            "As it is at the head; for a browser, the console",
            {JSON: {"allOf": [ACTOR, _WITH_STATE]}, HTML: TEXT},
            CACHED,
        ),
        303: TO_CONSOLE,
        304: SAME,
    },
)
def show_lead(request: Request) -> Response:
    """The actor and its state."""
    if choose(request, (JSON, HTML)) == HTML:
        return to_console(addresses.actor(_lead_of(request)))
    node = node_of(request)
    about = node.actor(_lead_of(request))
    view = {**actor_view(about), "state": _state_after(node, about.head)}
    return fresh_json(request, view, {**head_headers(about.head), "Vary": "Accept"})


@Operation(
    "GET",
    "/chain",
    name="showLeadChain",
    summary="Its steps as they are hashed, newest first",
    scope=_may_ask,
    parameters=[LIMIT, BEFORE, IF_NONE_MATCH],
    answers={200: json_of("As it is at the head", CHAIN, CACHED), 304: SAME},
)
def show_lead_chain(request: Request) -> Response:
    """A page of its chain."""
    return show_chain_of(request, _lead_of(request))


def _lead_of(request: Request) -> ActorId:
    lead: ActorId = request.app.state.lead
    return lead


def _state_after(node: Node, id: StepId) -> Any:
    """The state in JSON: the JSON that it is, other bytes as base64; null where there is none."""
    reader = node.reader
    state = reader.find(reader.step(id).core, _STATE)
    return None if state is None else content_view(reader, state)
