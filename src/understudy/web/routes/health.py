"""Health: 200 while the node works, 503 once its store has failed it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.answers import json_answer
from understudy.web.authorization import ANY, ASK, authorization_of
from understudy.web.face import node_of
from understudy.web.negotiate import JSON
from understudy.web.openapi import PROBLEM_TYPE, answer, json_of
from understudy.web.operation import Operation
from understudy.web.schemas import ID, MAYBE_NUMBER, MAYBE_TEXT, PROBLEM, TEXT, Named, list_of, object_of

_HEALTH = Named(
    "Health",
    object_of(
        {"status": {"enum": ["ok", "failed"]}, "node": TEXT, "version": TEXT, "feed": MAYBE_NUMBER},
        {"holds": list_of(object_of({"actor": ID, "name": MAYBE_TEXT, "state": TEXT, "reason": TEXT}))},
    ),
)


@Operation(
    "GET",
    "/healthz",
    name="showHealth",
    summary="How the node does",
    scope=ANY,
    answers={
        200: json_of("It works", _HEALTH),
        # A node whose store failed says so in the words of its health, not of a problem.
        503: answer("Its store failed it, or too many ask at once", {JSON: _HEALTH, PROBLEM_TYPE: PROBLEM}),
    },
)
def show_health(request: Request) -> Response:
    """How the node does, and which actors do not work."""
    health = node_of(request).health()
    authorization = authorization_of(request)
    if ASK not in authorization.scopes or authorization.actors is not None:
        # It names actors, and who may not ask about all of them learns nothing of the others.
        health.pop("holds", None)
    return json_answer(health, 200 if health["status"] == "ok" else 503, {"Cache-Control": "no-store"})
