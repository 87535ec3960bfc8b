"""What was accepted and not yet consumed, and why it waits."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import ActorId
from understudy.web.answers import json_answer
from understudy.web.grants import grant_of
from understudy.web.history import pending_view
from understudy.web.parameters import allow_only, expected_actor_in, limit_in, node_of


def list_pending(request: Request) -> Response:
    """GET /pending?limit"""
    grant_of(request).check_all_actors()
    return _answer(request, None)


def list_pending_of(request: Request) -> Response:
    """GET /actors/{actor}/pending?limit"""
    return _answer(request, expected_actor_in(request))


def _answer(request: Request, actor: ActorId | None) -> Response:
    allow_only(request, ("limit",))
    return json_answer(
        {"pending": [pending_view(one) for one in node_of(request).pending(actor, limit=limit_in(request))]}
    )
