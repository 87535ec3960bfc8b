"""The first page: the actors of the node, those in trouble first."""

from __future__ import annotations

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.looking.directory import STATES, Wanted
from understudy.web.authorization import ASK
from understudy.web.console import addresses
from understudy.web.console.page_operation import page_at
from understudy.web.console.rendering import page
from understudy.web.console.views.charts import Chart, chart, edges_between
from understudy.web.face import node_of
from understudy.web.parameters import number, one_of, text

PAGE: Final = 50
_MAX_TEXT: Final = 200  # characters that are searched for; an id has 59
_HOUR: Final = 3600 * 1_000_000
_PARTS: Final = 60
_ANY: Final = "any"

_TEXT = text("query", "q", "A part of a name or of an id")
_STATE = one_of("query", "state", "Only those in this state", (_ANY, *STATES), default=_ANY)
_ENGINE = text("query", "engine", "Only those that this engine ran last")
_CODE = text("query", "code", "Only those with this version of the code")
_START = number("query", "start", "How many come before this page", most=10_000_000, default=0)


@page_at(
    addresses.HOME,
    name="showConsole",
    summary="The actors, those in trouble first",
    scope=ASK,
    about_all=True,
    parameters=[_TEXT, _STATE, _ENGINE, _CODE, _START],
)
def show_home(request: Request) -> Response:
    """A page of the actors that are looked for."""
    node, state = node_of(request), _STATE.of(request)
    said = (_TEXT.of(request) or "").strip()[:_MAX_TEXT]
    wanted = Wanted(
        text=said,
        state=None if state == _ANY else state,
        engine=_ENGINE.of(request) or None,
        code=_CODE.of(request) or None,
    )
    start = _START.of(request)
    found = node.find_actors(wanted, start=start, limit=PAGE)
    asked = {"q": wanted.text, "state": wanted.state, "engine": wanted.engine, "code": wanted.code}
    return page(
        request,
        "home.html",
        found=found,
        wanted=wanted,
        states=STATES,
        asked=asked,
        start=start,
        before=max(0, start - PAGE) if start else None,
        activity=_last_hour(request),
    )


def _last_hour(request: Request) -> Chart:
    now = time.time_ns() // 1000
    edges = edges_between(now - _HOUR, now, _PARTS)
    return chart(edges, node_of(request).activity(edges))
