"""Health: 200 while the node works, 503 once its store has failed it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.answers import json_answer
from understudy.web.grants import ASK, grant_of
from understudy.web.parameters import allow_only, node_of


def show_health(request: Request) -> Response:
    """GET /healthz"""
    allow_only(request, ())
    health = node_of(request).health()
    grant = grant_of(request)
    if ASK not in grant.scopes or grant.actors is not None:
        # It names actors, and who may not ask about all of them learns nothing of the others.
        health.pop("holds", None)
    return json_answer(health, 200 if health["status"] == "ok" else 503, {"Cache-Control": "no-store"})
