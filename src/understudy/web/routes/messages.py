"""Messages: the body is the content. The answer is sent once the step that consumed it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import Conflict, Rejected
from understudy.node.intake.answers import Answer, Reply
from understudy.node.intake.composing import SendOptions
from understudy.node.intake.reception import MAX_KEY_BYTES
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.errors import BadId, WrongKind
from understudy.objects.ids import ActorId, MessageId, StepId
from understudy.objects.mailbox import QUEUE, SIGNAL, UPDATE
from understudy.objects.names import check_text
from understudy.objects.step import NOOP, REFUSED
from understudy.store.reader import Reader
from understudy.web.answers import json_answer
from understudy.web.authorization import authorization_of, scope_of_lane
from understudy.web.body import read_body
from understudy.web.content import content_view
from understudy.web.errors import HttpProblem, problem
from understudy.web.face import limits_of, node_of
from understudy.web.file_maps import read_files
from understudy.web.openapi import json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, Parameter, listed, one_of, path_text, text
from understudy.web.preference import Preference, read_preference
from understudy.web.schemas import ACCEPTED, ANSWER, ANY_BODY, SOME_TEXT
from understudy.wit.flows.overview import has_flow

DEFAULT_TYPE: Final = "message"
TOO_LARGE: Final = "MessageTooLarge"  # the code of an actor whose limits are below the node's
_LANES: Final = (QUEUE, SIGNAL, UPDATE)

LANE: Final = one_of("header", "Message-Lane", "Which lane", _LANES, default=QUEUE, error=Rejected)
KEY: Final = text(
    "header",
    "Idempotency-Key",
    "The same key with the same request is one message",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
)
_OWN_KEY_BYTES: Final = MAX_KEY_BYTES - 16  # leaves room for whose it is
IF_MATCH: Final = listed("If-Match", "The step that must be the newest")
PREFER: Final = listed("Prefer", "`respond-async`, `wait=SECONDS`, for an update also `handling=strict` (RFC 7240)")
HEADERS: Final[tuple[Parameter[Any], ...]] = (LANE, KEY, IF_MATCH, PREFER)
ANSWERS: Final = {
    200: json_of("Durable: the step, and the replies", ANSWER),
    202: json_of("Accepted: durable, and not consumed yet; Location is where its step will be", ACCEPTED, ["Location"]),
}
ERRORS: Final = (404, 409, 413, 415, 422)
_TYPE_HEADER: Final = text("header", "Message-Type", f"The type; without it, `{DEFAULT_TYPE}`", SOME_TEXT)
_TYPE: Final = path_text("type", "The type")
_SUMMARY: Final = "Send a message; the body is its content, as it is"


@Operation(
    "POST",
    "/actors/{actor}/messages",
    name="sendMessage",
    summary=_SUMMARY,
    scope=scope_of_lane,
    parameters=[ACTOR, _TYPE_HEADER, *HEADERS],
    body=ANY_BODY,
    answers=ANSWERS,
    errors=ERRORS,
)
async def send_message(request: Request) -> Response:
    """200 with head, step and replies; 202 once the message is accepted, if nobody waits for more."""
    type = _TYPE_HEADER.of(request)
    # A header that is there and empty is not the same as none.
    return await _send_message(request, DEFAULT_TYPE if type is None else type)


@Operation(
    "POST",
    "/actors/{actor}/messages/{type:path}",
    name="sendMessageOfType",
    summary=_SUMMARY,
    scope=scope_of_lane,
    parameters=[ACTOR, _TYPE, *HEADERS],
    body=ANY_BODY,
    answers=ANSWERS,
    errors=ERRORS,
)
async def send_message_of_type(request: Request) -> Response:
    """The same with the type in the path."""
    return await _send_message(request, _TYPE.of(request))


async def _send_message(request: Request, type: str) -> Response:
    actor, lane, head = ACTOR.of(request), LANE.of(request), expected_head(request, ACTOR.of(request))
    content = await read_body(request, most=limits_of(request).body_bytes)
    preference, headers = preference_of(request, heeds_strict=lane == UPDATE)
    node, key, seconds = node_of(request), own_key(request), preference.wait_seconds
    if lane == UPDATE:
        _, patch = await read_files(content, "patch")
        if preference.is_strict:
            await _check_update(node, actor, patch)
        message, answer = await node.tell_patch(actor, patch, idempotency_key=key, head=head, timeout=seconds)
    else:
        message, answer = await node.tell(
            actor, content, type=type, options=SendOptions(lane=lane, idempotency_key=key), head=head, timeout=seconds
        )
    if answer is None:
        return accepted_answer(node, actor, message, headers)
    reader = node.reader
    if any(_is_large(reader, reply) for reply in answer.replies):
        return await asyncio.to_thread(answered, reader, message, answer, headers)
    return answered(reader, message, answer, headers)


async def _check_update(node: Node, actor: ActorId, patch: Mapping[str, bytes | None]) -> None:
    """Raise Rejected for code that does not load, HttpProblem 422 if the present state would be lost."""
    found = await node.check_update(actor, [patch])
    if found.problem is not None:
        detail = f"{found.problem}; nothing was sent. Without `handling=strict` it is sent all the same"
        raise HttpProblem(422, detail, code="StateLost", dropped=list(found.dropped))


def expected_head(request: Request, actor: ActorId) -> StepId | None:
    """The step that `If-Match` wants to be the newest, None where any will do. Raises Conflict if it is another one."""
    if "if-match" not in request.headers:
        return None
    tags = [tag.strip() for tag in ",".join(request.headers.getlist("if-match")).split(",")]
    if "*" in tags:
        return None
    head = node_of(request).newest(actor)
    if f'"{head}"' in tags:
        return head
    # The same key may have been used before. That is looked up where the message would be taken, and so is the head.
    for tag in tags if KEY.of(request) is not None else ():
        if tag[:1] == tag[-1:] == '"':
            with suppress(BadId):
                return StepId(ids.parse(tag[1:-1]))
    raise Conflict(f"the head has moved: it is {head}, and If-Match names another step; nothing was sent")


def preference_of(request: Request, *, heeds_strict: bool = False) -> tuple[Preference, dict[str, str]]:
    """How long the caller waits, and the header that tells it what was heeded."""
    limits = limits_of(request)
    preference = read_preference(request.headers.getlist("prefer"), limits.wait_seconds, limits.most_wait_seconds)
    strict = "handling=strict" if heeds_strict and preference.is_strict else None
    applied = ", ".join(each for each in (preference.applied, strict) if each is not None)
    return preference, {"Preference-Applied": applied} if applied else {}


def accepted_answer(node: Node, actor: ActorId, message: MessageId, headers: dict[str, str]) -> Response:
    """202: the message is durable, and Location is where its step will be. If its actor does not work, it says why."""
    where = f"/actors/{actor}/steps?message={message}"
    about = node.actor(actor)
    view = {"message": str(message), "step": None, "status": about.status, "reason": about.reason}
    return json_answer(view, 202, {"Location": where, **headers})


def answered(reader: Reader, message: MessageId, answer: Answer, headers: Mapping[str, str]) -> Response:
    """200 with head, step and replies, or the problem of a message that ended badly."""
    outcome = answer.outcome
    if outcome is not None and outcome.kind != NOOP:
        return problem_of_outcome(message, answer)
    kind = "ok" if outcome is None else outcome.kind
    view = {**_place(message, answer), "outcome": kind, "replies": reply_views(reader, answer)}
    if not answer.replies and has_flow(reader, reader.step(answer.step).core, str(message)):
        view["flow"] = str(message)
    return json_answer(view, headers=headers)


def problem_of_outcome(message: MessageId, answer: Answer) -> Response:
    """The answer to a message that ended badly: 422 refused, 413 too large for the actor, 500 failed."""
    outcome = answer.outcome
    assert outcome is not None
    status, title = 500, "The actor failed"
    if outcome.kind == REFUSED:
        status, title = (413 if outcome.code == TOO_LARGE else 422), "The actor refused"
    place = {**_place(message, answer), "outcome": outcome.kind, "code": outcome.code}
    return problem(status, outcome.text, title=title, **place)


def reply_views(reader: Reader, answer: Answer) -> list[dict[str, Any]]:
    """What an answer's replies are in JSON."""
    return [{"type": reply.type, "content": content_view(reader, reply.content)} for reply in answer.replies]


def _place(message: MessageId, answer: Answer) -> dict[str, Any]:
    return {"head": str(answer.head), "step": str(answer.step), "message": str(message)}


def _is_large(reader: Reader, reply: Reply) -> bool:
    """True for a content of several blocks: to read and to check it takes long enough that others would notice."""
    try:
        return reader.blob_info(reply.content) is not None
    except WrongKind:
        return False


def own_key(request: Request) -> str | None:
    """The idempotency key of a request. Each token has keys of its own, or its holder would get another one's answers."""
    key, holder = KEY.of(request), authorization_of(request).holder
    if key is None or holder is None:
        return key
    check_text(key, what="idempotency key", most=MAX_KEY_BYTES)
    if len(key.encode()) > _OWN_KEY_BYTES:
        key = sha256(key.encode()).hexdigest()
    return f"{key} of {holder}"
