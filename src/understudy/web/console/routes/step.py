"""A step: what came in, how it ended, what went out, what was logged and asked; and the files of the core after it."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import NotFound
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.web.authorization import ASK, authorization_of
from understudy.web.console.page_operation import page_at
from understudy.web.console.rendering import page
from understudy.web.console.routes.actor import head_of
from understudy.web.console.views.changes import changes_between
from understudy.web.console.views.parties import Parties
from understudy.web.console.views.previews import preview
from understudy.web.console.views.steps import (
    MAX_ENTRIES,
    calls_of,
    carried,
    entries_of,
    is_folder,
    log_of,
    outcome_of,
)
from understudy.web.face import node_of
from understudy.web.parameters import ACTOR, number, one_of, path_text, text
from understudy.web.schemas import STEP as STEP_TEXT

_STEP: Final = path_text("step", "Its height or its id", STEP_TEXT)
_PATH: Final = path_text("path", "Names with slashes between them")
_AFTER: Final = number("query", "after", "Of a folder: how many entries come before this page", default=0)
_SHOW: Final = one_of("query", "show", "Of HTML: its text, or the page in a sandbox", ("text", "page"), default="text")
_FROM: Final = text("query", "from", "The step that is compared: its height or its id", STEP_TEXT)
_TO: Final = text("query", "to", "The step that it is compared with; without it, the newest", STEP_TEXT)


@page_at(
    "/console/actors/{actor}/steps/{step}",
    name="showStepPage",
    summary="A step",
    scope=ASK,
    parameters=[ACTOR, _STEP],
)
def show_step(request: Request) -> Response:
    """One step with all that it did."""
    node, actor, id, step = _found(request)
    parties, reader = Parties(node, authorization_of(request)), node.reader
    calls, call_count = calls_of(reader, step.journal)
    log, log_count = log_of(reader, step.log)
    return page(
        request,
        "step.html",
        **_above(node, actor, id, step),
        came=carried(node, parties, step.consumed, sent=False),
        went=carried(node, parties, step.sent, sent=True),
        calls=calls,
        call_count=call_count,
        log=log,
        log_count=log_count,
        entries=entries_of(reader, step.core)[0] if is_folder(reader, step.core) else [],
        changes=_changes(node, step),
    )


@page_at(
    "/console/actors/{actor}/steps/{step}/core/{path:path}",
    name="showFilePage",
    summary="A file or a folder of the core after a step",
    scope=ASK,
    parameters=[ACTOR, _STEP, _PATH, _AFTER, _SHOW],
)
def show_file(request: Request) -> Response:
    """A preview of a file, or the entries of a folder."""
    node, actor, id, step = _found(request)
    reader, path = node.reader, _PATH.of(request).strip("/")
    found = reader.find(step.core, path)
    if found is None:
        raise NotFound(f"there is nothing at /{path} in this core")
    values = {**_above(node, actor, id, step), "file": path, "names": path.split("/") if path else []}
    if is_folder(reader, found):
        after = _AFTER.of(request)
        entries, count = entries_of(reader, found, after=after)
        more = after + MAX_ENTRIES if after + MAX_ENTRIES < count else None
        return page(request, "folder.html", **values, entries=entries, count=count, after=after, more=more)
    values["id"] = found
    return page(request, "file.html", **values, preview=preview(reader, found, path=path), show=_SHOW.of(request))


@page_at(
    "/console/actors/{actor}/diff",
    name="showDiffPage",
    summary="What differs between two steps of an actor",
    scope=ASK,
    parameters=[ACTOR, _FROM, _TO],
)
def show_diff(request: Request) -> Response:
    """Code by line, state by value. Without `from`, the step before the other one."""
    node, actor = node_of(request), ACTOR.of(request)
    said = _TO.of(request)
    to = node.find_step(actor, said) if said else node.newest(actor)
    later = node.step(to)
    said = _FROM.of(request)
    earlier = node.step(node.find_step(actor, said)) if said else _parent(node, later)
    return page(
        request,
        "diff.html",
        **head_of(node, node.actor(actor)),
        earlier=earlier,
        later=later,
        changes=changes_between(node.reader, earlier.core, later.core),
    )


def _found(request: Request) -> tuple[Node, ActorId, StepId, Step]:
    node, actor = node_of(request), ACTOR.of(request)
    id = node.find_step(actor, _STEP.of(request))
    return node, actor, id, node.step(id)


def _above(node: Node, actor: ActorId, id: StepId, step: Step) -> dict[str, Any]:
    info = node.actor(actor)
    return {
        "info": info,
        "id": id,
        "id_of_step": id,
        "step": step,
        "outcome": outcome_of(step),
        "step_version": node.code_version(step.core),
        "next": step.height + 1 if step.height < info.height else None,
    }


def _parent(node: Node, step: Step) -> Step:
    return step if step.parent is None else node.step(step.parent)


def _changes(node: Node, step: Step) -> Any:
    """What the step did to the core; None for the first one, of which all is new."""
    return None if step.parent is None else changes_between(node.reader, _parent(node, step).core, step.core)
