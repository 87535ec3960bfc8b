"""The chain of an actor: its steps as they are hashed, newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import ActorId
from understudy.web.answers import fresh_json, head_headers
from understudy.web.authorization import ASK
from understudy.web.face import node_of
from understudy.web.history import chain_view
from understudy.web.openapi import CACHED, SAME, json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, BEFORE, IF_NONE_MATCH, LIMIT
from understudy.web.schemas import CHAIN


@Operation(
    "GET",
    "/actors/{actor}/chain",
    name="showChain",
    summary="The steps as they are hashed, newest first",
    scope=ASK,
    parameters=[ACTOR, LIMIT, BEFORE, IF_NONE_MATCH],
    answers={200: json_of("As it is at the head", CHAIN, CACHED), 304: SAME},
    errors=(404,),
)
def show_chain(request: Request) -> Response:
    """A page of an actor's chain."""
    return show_chain_of(request, ACTOR.of(request))


def show_chain_of(request: Request, actor: ActorId) -> Response:
    """The page of an actor's chain that LIMIT and BEFORE of a request ask for."""
    view = chain_view(node_of(request), actor, before=BEFORE.of(request), limit=LIMIT.of(request))
    return fresh_json(request, view, head_headers(view["head"]))
