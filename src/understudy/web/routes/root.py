"""The root: what is here, for whoever opens the address of a node."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.version import VERSION
from understudy.web.answers import json_answer
from understudy.web.face import node_of
from understudy.web.grants import ANY
from understudy.web.openapi import json_of
from understudy.web.operation import Operation
from understudy.web.schemas import TEXT, Named, object_of

_FIELDS = ("name", "version", "node", "actors", "events", "health", "openapi")
_ROOT = Named("Root", object_of(dict.fromkeys(_FIELDS, TEXT)))


@Operation(
    "GET",
    "/",
    name="showRoot",
    summary="What is here",
    scope=ANY,
    answers={200: json_of("Where to go on", _ROOT)},
)
def show_root(request: Request) -> Response:
    """The node, and where to go on."""
    here = {
        "name": "Understudy",
        "version": VERSION,
        "node": node_of(request).name,
        "actors": "/actors",
        "events": "/events",
        "health": "/healthz",
        "openapi": "/openapi.json",
    }
    return json_answer(here, headers={"Cache-Control": "no-store"})
