"""Retry: the messages of a step that failed, run again by an order of an operator."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from understudy.web.authorization import UPDATE
from understudy.web.body import read_body
from understudy.web.face import node_of
from understudy.web.operation import Operation
from understudy.web.parameters import STEP
from understudy.web.routes.messages import (
    ANSWERS,
    ERRORS,
    KEY,
    PREFER,
    accepted_answer,
    answered,
    own_key,
    preference_of,
)

_MOST_BYTES = 64 * 1024


@Operation(
    "POST",
    "/steps/{step}/retry",
    name="retryStep",
    summary="Run the messages of a step that failed again",
    scope=UPDATE,
    parameters=[STEP, KEY, PREFER],
    answers=ANSWERS,
    errors=ERRORS,
)
async def retry_step(request: Request) -> Response:
    """200 once the step that ran them again is durable; it consumed the order, which says who gave it."""
    step, _ = STEP.of(request)
    await read_body(request, most=_MOST_BYTES)
    preference, headers = preference_of(request)
    node = node_of(request)
    actor, message, answer = await node.retry(step, idempotency_key=own_key(request), timeout=preference.wait_seconds)
    if answer is None:
        return accepted_answer(node, actor, message, headers)
    return answered(node.reader, message, answer, headers)
