"""The root: what is here, for whoever opens the address of a node."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.version import VERSION
from understudy.web.answers import json_answer
from understudy.web.parameters import allow_only, node_of


def show_root(request: Request) -> Response:
    """GET /"""
    allow_only(request, ())
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
