"""The chain of an actor: its steps as they are hashed, newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import ActorId
from understudy.web.answers import fresh_json, head_headers
from understudy.web.history import chain_view
from understudy.web.parameters import actor_in, allow_only, limit_in, node_of, number_in


def show_chain(request: Request) -> Response:
    """GET /actors/{actor}/chain?limit&before"""
    return show_chain_of(request, actor_in(request))


def show_chain_of(request: Request, actor: ActorId) -> Response:
    """The page of an actor's chain that a request asks for."""
    allow_only(request, ("limit", "before"))
    view = chain_view(node_of(request), actor, before=number_in(request, "before"), limit=limit_in(request))
    return fresh_json(request, view, head_headers(view["head"]))
