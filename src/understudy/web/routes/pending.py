"""What was accepted and not yet consumed, and why it waits; and flows that stand still."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import ActorId
from understudy.web.answers import json_answer
from understudy.web.authorization import ASK
from understudy.web.face import node_of
from understudy.web.history import pending_view, stopped_flow_view
from understudy.web.openapi import json_of
from understudy.web.operation import Operation
from understudy.web.parameters import EXPECTED_ACTOR, LIMIT
from understudy.web.schemas import ID, MAYBE_TEXT, NUMBER, TEXT, Named, list_of, object_of

_MESSAGE = object_of(
    {
        "to": TEXT,
        "sender": TEXT,
        "lane": TEXT,
        "seq": NUMBER,
        "type": TEXT,
        "message": ID,
        "state": TEXT,
        "attempts": NUMBER,
        "error": MAYBE_TEXT,
    }
)
_FLOW = object_of({"actor": ID, "flow": MAYBE_TEXT, "why": TEXT})
_BOTH = object_of({"pending": list_of(_MESSAGE), "flows": list_of(_FLOW)})
_WAITING = {200: json_of("As it is at this moment", Named("Waiting", _BOTH))}


@Operation(
    "GET",
    "/pending",
    name="listPending",
    summary="Messages that wait and flows that stand still, and why",
    scope=ASK,
    about_all=True,
    parameters=[LIMIT],
    answers=_WAITING,
)
def list_pending(request: Request) -> Response:
    """What waits for all actors."""
    return _answer(request, None)


@Operation(
    "GET",
    "/actors/{actor}/pending",
    name="listPendingOf",
    summary="Messages that wait for the actor, and its flows that stand still",
    scope=ASK,
    parameters=[EXPECTED_ACTOR, LIMIT],
    answers=_WAITING,
    errors=(404,),
)
def list_pending_of(request: Request) -> Response:
    """What waits for one actor, which may be unborn."""
    return _answer(request, EXPECTED_ACTOR.of(request))


def _answer(request: Request, actor: ActorId | None) -> Response:
    node, limit = node_of(request), LIMIT.of(request)
    waiting = [pending_view(one) for one in node.pending(actor, limit=limit)]
    flows = [stopped_flow_view(one) for one in node.stopped_flows(actor, limit=limit)]
    return json_answer({"pending": waiting, "flows": flows})
