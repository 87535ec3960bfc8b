"""OpenAPI: a document of the node and one of each actor, so that clients can be generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.actors.query import WUT, Blob
from understudy.node.errors import NotFound
from understudy.version import VERSION
from understudy.web.actor_document import actor_document
from understudy.web.answers import fresh_json, head_headers
from understudy.web.authorization import ANY, ASK
from understudy.web.face import node_of
from understudy.web.negotiate import JSON
from understudy.web.openapi import CACHED, SAME, answer, document
from understudy.web.operation import Operation, paths_of, schemas_of
from understudy.web.parameters import ACTOR, IF_NONE_MATCH
from understudy.web.routes.query import ERRORS
from understudy.web.schemas import OBJECT

_ABOUT: Final = "Actors whose every step can be replayed, and proved"


@Operation(
    "GET",
    "/openapi.json",
    name="describeNode",
    summary="This document",
    scope=ANY,
    answers={200: answer("OpenAPI 3.1", {JSON: OBJECT}), 304: SAME},
)
def describe_node(request: Request) -> Response:
    """What this node answers, made from what its operations declare."""
    operations: Sequence[Operation] = request.app.state.operations
    view = document("Understudy", _ABOUT, paths_of(operations), schemas_of(operations))
    return fresh_json(request, view, head_headers(VERSION if request.app.state.lead is None else f"{VERSION}.lead"))


@Operation(
    "GET",
    "/actors/{actor}/openapi.json",
    name="describeActorAsOpenApi",
    summary="The actor as an OpenAPI document, made from its wut",
    scope=ASK,
    parameters=[ACTOR, IF_NONE_MATCH],
    answers={200: answer("OpenAPI 3.1", {JSON: OBJECT}, CACHED), 304: SAME},
    errors=ERRORS,
)
async def describe_actor(request: Request) -> Response:
    """The actor, made from its `wut` at its head."""
    actor, node = ACTOR.of(request), node_of(request)
    found = await node.query(actor, WUT)
    try:
        wut = msgspec.json.decode(found.result.data, type=dict[str, Any]) if isinstance(found.result, Blob) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        wut = None
    if wut is None:
        raise NotFound(
            "the query `wut` of this actor answers no JSON object, so there is nothing to make a document of"
        )
    title = node.name_of(actor) or str(actor)
    view = actor_document(actor, title, wut, schemas_of(request.app.state.operations))
    return fresh_json(request, view, head_headers(f"{found.step}.{VERSION}"))
