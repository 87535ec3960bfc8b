"""The chain of an actor: its steps as they are hashed, newest first."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.objects.views import step_view
from understudy.web.answers import fresh_json, head_headers
from understudy.web.parameters import actor_in, allow_only, limit_in, node_of, number_in


def show_chain(request: Request) -> Response:
    """GET /actors/{actor}/chain?limit&before"""
    return show_chain_of(request, actor_in(request))


def show_chain_of(request: Request, actor: ActorId) -> Response:
    """The page of an actor's chain that a request asks for."""
    allow_only(request, ("limit", "before"))
    view = chain_view(node_of(request), actor, before=number_in(request, "before"), limit=limit_in(request))
    return fresh_json(request, view, head_headers(view["head"]))


def chain_view(node: Node, actor: ActorId, *, before: int | None, limit: int) -> dict[str, Any]:
    """A page of a chain in JSON; `next` is the `before` of the next page."""
    head = node.lookup.newest(actor)  # read first: the tag of an answer is never newer than the answer
    page = node.steps(actor, before=before, limit=limit)
    entries = [step_view(id, step) for id, step in page.items]
    newest = str(head) if before is not None or not page.items else entries[0]["id"]
    return {"actor": str(actor), "head": newest, "entries": entries, "next": page.next}
