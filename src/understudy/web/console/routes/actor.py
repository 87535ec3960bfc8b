"""An actor: what it is, what keeps it from working, and its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import BadRequest, NotFound
from understudy.node.looking.lookup import ActorInfo
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.web.authorization import ASK, authorization_of
from understudy.web.console import addresses
from understudy.web.console.page_operation import go_to, page_at
from understudy.web.console.rendering import page
from understudy.web.console.views.charts import Chart, chart, edges_between
from understudy.web.console.views.moments import microseconds_of
from understudy.web.console.views.parties import Parties
from understudy.web.console.views.timeline import Row, grouped, row_of
from understudy.web.face import node_of
from understudy.web.history import step_summary
from understudy.web.parameters import BEFORE, EXPECTED_ACTOR, text

PAGE: Final = 100  # steps on a page
_PARTS: Final = 60
_MAX_WAITING: Final = 20
_AT: Final = text("query", "at", "A time in ISO 8601: the steps up to then")


@page_at(
    "/console/actors/{actor}",
    name="showActorPage",
    summary="The history of an actor",
    scope=ASK,
    parameters=[EXPECTED_ACTOR, BEFORE, _AT],
)
def show_actor(request: Request) -> Response:
    """A page of the timeline; an actor that is not born yet has only what waits for it."""
    node, actor = node_of(request), EXPECTED_ACTOR.of(request)
    if node.head(actor) is None:
        return page(request, "unborn.html", actor=actor, **_waiting(node, actor))
    at = _AT.of(request)
    if at:
        return go_to(addresses.actor(actor, before=_height_after(node, actor, at)))
    info, before = node.actor(actor), BEFORE.of(request)
    found = node.steps(actor, before=before, limit=PAGE + 1)
    parties = Parties(node, authorization_of(request))
    rows = rows_of(node, found.items, parties)
    return page(
        request,
        "actor.html",
        **head_of(node, info),
        groups=list(grouped(rows)),
        before=before,
        newest=info.height,
        older=rows[-1].height if len(found.items) > PAGE else None,
        newer=min(info.height + 1, before + PAGE) if before is not None and before <= info.height else None,
        activity=_life(node, actor, info),
        **_waiting(node, actor),
    )


def head_of(node: Node, info: ActorInfo) -> dict[str, Any]:
    """What stands above each page of an actor."""
    return {"info": info, "code": node.code_version(node.step(info.head).core)}


def rows_of(node: Node, steps: Sequence[tuple[StepId, Step]], parties: Parties) -> list[Row]:
    """The rows of a page; of one step more than PAGE, only the version of its code is looked at."""
    versions = [node.code_version(step.core) for _, step in steps]
    rows = []
    for number, (id, step) in enumerate(steps[:PAGE]):
        earlier = versions[number + 1] if number + 1 < len(steps) else versions[number]
        rows.append(
            row_of(
                step_summary(node.reader, id, step),
                asked=step.journal is not None,
                version=versions[number],
                changed=versions[number] != earlier,
                party=parties.party,
            )
        )
    return rows


def _height_after(node: Node, actor: ActorId, at: str) -> int:
    time = microseconds_of(at)
    if time is None:
        raise BadRequest(f"at is {at[:40]!r}; a time such as 2026-11-22T09:30 is expected")
    height = node.height_at(actor, time)
    if height is None:
        raise NotFound(f"the actor has no step before {at}")
    return height + 1


def _life(node: Node, actor: ActorId, info: ActorInfo) -> Chart | None:
    """Steps over the whole life; None for a life of one step. Each bar leads to the steps up to its end."""
    first = node.step_at(actor, 0)
    if info.height == 0 or first is None:
        return None
    begin, end = node.step(first).time, node.step(info.head).time + 1
    edges = edges_between(begin, end, min(_PARTS, end - begin))
    return chart(edges, node.activity(edges, actor=actor))


def _waiting(node: Node, actor: ActorId) -> dict[str, Any]:
    waiting = node.pending(actor, limit=_MAX_WAITING + 1)
    is_born = node.head(actor) is not None
    flows, flow_count = node.flows(actor, limit=_MAX_WAITING) if is_born else ([], 0)
    return {
        "waiting": waiting[:_MAX_WAITING],
        "more_waiting": len(waiting) > _MAX_WAITING,
        "flows": flows,
        "flow_count": flow_count,
        "timers": node.timers(actor, limit=_MAX_WAITING) if is_born else [],
    }
