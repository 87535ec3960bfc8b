"""OpenAPI: a document of the node and one of each actor, so that clients can be generated."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.actors.query import WUT, Blob
from understudy.node.errors import NotFound
from understudy.version import VERSION
from understudy.web.actor_document import actor_document
from understudy.web.answers import fresh_json, head_headers
from understudy.web.node_document import node_document
from understudy.web.parameters import actor_in, allow_only, node_of

_NODE: Final = msgspec.Raw(msgspec.json.encode(node_document(with_lead=False)))
_NODE_WITH_LEAD: Final = msgspec.Raw(msgspec.json.encode(node_document(with_lead=True)))


def describe_node(request: Request) -> Response:
    """GET /openapi.json"""
    allow_only(request, ())
    if request.app.state.lead is None:
        return fresh_json(request, _NODE, head_headers(VERSION))
    return fresh_json(request, _NODE_WITH_LEAD, head_headers(f"{VERSION}.lead"))


async def describe_actor(request: Request) -> Response:
    """GET /actors/{actor}/openapi.json: made from the actor's `wut` at its head."""
    allow_only(request, ())
    actor, node = actor_in(request), node_of(request)
    found = await node.query(actor, WUT)
    try:
        wut = msgspec.json.decode(found.result.data, type=dict[str, Any]) if isinstance(found.result, Blob) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        wut = None
    if wut is None:
        raise NotFound(
            "the query `wut` of this actor answers no JSON object, so there is nothing to make a document of"
        )
    view = actor_document(actor, node.lookup.names.name_of(actor), wut)
    return fresh_json(request, view, head_headers(f"{found.step}.{VERSION}"))
