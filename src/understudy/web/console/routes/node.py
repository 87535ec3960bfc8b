"""The node: how it does, and what waits."""

from __future__ import annotations

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.authorization import ASK, authorization_of
from understudy.web.console import addresses
from understudy.web.console.page_operation import page_at
from understudy.web.console.rendering import page
from understudy.web.console.views.charts import chart, edges_between
from understudy.web.console.views.parties import Parties
from understudy.web.face import node_of

_MOST: Final = 100  # of each list
_DAY: Final = 24 * 3600 * 1_000_000
_PARTS: Final = 96  # a quarter of an hour each


@page_at(
    addresses.NODE,
    name="showNodePage",
    summary="How the node does, what waits, and why",
    scope=ASK,
    about_all=True,
)
def show_node(request: Request) -> Response:
    """What its health says, and everything that does not move."""
    node = node_of(request)
    health = node.health()
    if health["status"] != "ok":
        # A store that failed is not asked for anything.
        return page(request, "node.html", status=503, health=health, holds=[], activity=None)
    now = time.time_ns() // 1000
    edges = edges_between(now - _DAY, now, _PARTS)
    pending = node.pending(limit=_MOST + 1)
    return page(
        request,
        "node.html",
        health=health,
        holds=node.holds(limit=_MOST),
        pending=pending[:_MOST],
        more_pending=len(pending) > _MOST,
        stopped=node.stopped_flows(limit=_MOST),
        timers=node.timers(limit=_MOST),
        evidence=node.evidence(limit=_MOST),
        activity=chart(edges, node.activity(edges)),
        parties=Parties(node, authorization_of(request)),
    )
