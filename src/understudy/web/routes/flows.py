"""Flows: those of an actor that are under way, and what became of one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.answers import json_answer
from understudy.web.authorization import ASK
from understudy.web.face import node_of
from understudy.web.flow_views import flow_end_view, flow_view
from understudy.web.openapi import json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, number, path_text
from understudy.web.schemas import ID, MAYBE_TEXT, NUMBER, TEXT, Named, list_of, object_of
from understudy.wit.flows.overview import FlowView

_WAIT = object_of({"what": TEXT, "at": TEXT, "since": TEXT, "due": MAYBE_TEXT, "lost": {"type": "boolean"}})
_COMMON = {"id": TEXT, "state": {"enum": ["under way", "stalled", "over"]}, "type": TEXT, "sender": MAYBE_TEXT}
_FLOW = Named(
    "Flow",
    object_of(
        {**_COMMON, "begun": TEXT},
        {
            "asked": NUMBER,
            "waits": list_of(_WAIT),
            "waiting": NUMBER,
            "stopped": MAYBE_TEXT,
            "cancelled": {"type": "boolean"},
            "ended": TEXT,
            "step": ID,
            "outcome": TEXT,
            "error": {"anyOf": [object_of({"code": TEXT, "text": TEXT}), {"type": "null"}]},
            "answer": {"anyOf": [object_of({"type": TEXT, "content": {}}), {"type": "null"}]},
        },
    ),
)
# Of each flow the whole record is read, which may have 16 MiB.
_LIMIT = number("query", "limit", "How many flows", least=1, most=100, default=100)
_FLOW_ID = path_text("flow", "The flow: the id of the message that began it")


@Operation(
    "GET",
    "/actors/{actor}/flows",
    name="listFlows",
    summary="The flows of the actor that are under way, and what each waits for",
    scope=ASK,
    parameters=[ACTOR, _LIMIT],
    answers={200: json_of("At the head", Named("Flows", object_of({"flows": list_of(_FLOW), "count": NUMBER})))},
    errors=(404,),
)
def list_flows(request: Request) -> Response:
    """The first flows of an actor, in the order of their ids, and how many there are."""
    found, count = node_of(request).flows(ACTOR.of(request), limit=_LIMIT.of(request))
    return json_answer({"flows": [flow_view(flow) for flow in found], "count": count})


@Operation(
    "GET",
    "/actors/{actor}/flows/{flow}",
    name="showFlow",
    summary="One flow: what it waits for, or what became of it",
    scope=ASK,
    parameters=[ACTOR, _FLOW_ID],
    answers={200: json_of("At the head", _FLOW)},
    errors=(404,),
)
def show_flow(request: Request) -> Response:
    """One flow, under way or over."""
    node, id = node_of(request), _FLOW_ID.of(request)
    found = node.flow(ACTOR.of(request), id)
    return json_answer(flow_view(found) if isinstance(found, FlowView) else flow_end_view(node.reader, id, found))
