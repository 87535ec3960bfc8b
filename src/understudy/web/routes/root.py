"""The root: what is here, for whoever opens the address of a node."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from understudy.version import VERSION
from understudy.web.answers import json_answer
from understudy.web.authorization import ANY
from understudy.web.console import addresses
from understudy.web.console.rendering import HTML
from understudy.web.face import node_of
from understudy.web.negotiate import JSON, choose
from understudy.web.openapi import answer
from understudy.web.operation import Operation
from understudy.web.schemas import TEXT, Named, object_of

_FIELDS = ("name", "version", "node", "actors", "events", "health", "openapi", "console")
TO_CONSOLE = answer("For a browser: Location is in the console", headers=["Location"])
_ROOT = Named("Root", object_of(dict.fromkeys(_FIELDS, TEXT)))


@Operation(
    "GET",
    "/",
    name="showRoot",
    summary="What is here",
    scope=ANY,
    answers={200: answer("Where to go on; for a browser, the console", {JSON: _ROOT, HTML: TEXT}), 303: TO_CONSOLE},
)
def show_root(request: Request) -> Response:
    """The node, and where to go on."""
    if choose(request, (JSON, HTML)) == HTML:
        return to_console(addresses.home())
    here = {
        "name": "Understudy",
        "version": VERSION,
        "node": node_of(request).name,
        "actors": "/actors",
        "events": "/events",
        "health": "/healthz",
        "openapi": "/openapi.json",
        "console": addresses.home(),
    }
    return json_answer(here, headers={"Cache-Control": "no-store", "Vary": "Accept"})


def to_console(where: str) -> Response:
    """A browser at the root is led to the console."""
    return RedirectResponse(where, 303, {"Cache-Control": "no-store", "Vary": "Accept"})
