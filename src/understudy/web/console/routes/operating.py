"""Operating: pause, resume and retry, each behind a page that says what it will do."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.holds import MAX_REASON
from understudy.web.authorization import UPDATE
from understudy.web.console import addresses
from understudy.web.console.page_operation import form_at, go_to, page_at, read_form
from understudy.web.console.rendering import page
from understudy.web.console.routes.actor import head_of
from understudy.web.face import node_of
from understudy.web.parameters import ACTOR, EXPECTED_ACTOR, path_text
from understudy.web.schemas import STEP as STEP_TEXT

_SECONDS: Final = 30.0
_PAUSE: Final = "/console/actors/{actor}/pause"
_RESUME: Final = "/console/actors/{actor}/resume"
_RETRY: Final = "/console/actors/{actor}/steps/{step}/retry"
_STEP: Final = path_text("step", "Its height or its id", STEP_TEXT)


@page_at(_PAUSE, name="showPausePage", summary="Asks before an actor is paused", scope=UPDATE, parameters=[ACTOR])
def show_pause(request: Request) -> Response:
    """What a pause does."""
    node = node_of(request)
    return page(request, "confirm.html", **head_of(node, node.actor(ACTOR.of(request))), what="pause", step=None)


@form_at(_PAUSE, name="pauseByForm", summary="Pause an actor", scope=UPDATE, parameters=[ACTOR])
async def pause(request: Request) -> Response:
    """Leads to the actor."""
    actor, fields = ACTOR.of(request), await read_form(request)
    await node_of(request).pause(actor, reason=fields.get("reason", "").strip()[:MAX_REASON])
    return go_to(addresses.actor(actor))


@page_at(_RESUME, name="showResumePage", summary="Asks before an actor goes on", scope=UPDATE, parameters=[ACTOR])
def show_resume(request: Request) -> Response:
    """What it means that it goes on."""
    node = node_of(request)
    return page(request, "confirm.html", **head_of(node, node.actor(ACTOR.of(request))), what="resume", step=None)


@form_at(_RESUME, name="resumeByForm", summary="Let an actor go on", scope=UPDATE, parameters=[EXPECTED_ACTOR])
async def resume(request: Request) -> Response:
    """Leads to the actor, if it lives."""
    node, actor = node_of(request), EXPECTED_ACTOR.of(request)
    await read_form(request)
    await node.resume(actor)
    return go_to(addresses.actor(actor) if node.head(actor) is not None else addresses.home())


@page_at(
    _RETRY, name="showRetryPage", summary="Asks before a step is run again", scope=UPDATE, parameters=[ACTOR, _STEP]
)
def show_retry(request: Request) -> Response:
    """Which messages would run again."""
    node, actor = node_of(request), ACTOR.of(request)
    step = node.step(node.find_step(actor, _STEP.of(request)))
    return page(request, "confirm.html", **head_of(node, node.actor(actor)), what="retry", step=step)


@form_at(
    _RETRY, name="retryByForm", summary="Run the messages of a step again", scope=UPDATE, parameters=[ACTOR, _STEP]
)
async def retry(request: Request) -> Response:
    """Leads to the step that ran them again."""
    node, actor = node_of(request), ACTOR.of(request)
    await read_form(request)
    _, _, answer = await node.retry(node.find_step(actor, _STEP.of(request)), timeout=_SECONDS)
    return go_to(addresses.actor(actor) if answer is None else addresses.step(actor, answer.step))
