"""Queries over HTTP: an actor asked at its head, or at an earlier step for an answer that never changes."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.actors.query import BYTES, DAG_CBOR, NO_CONTEXT, TEXTS, WUT, Blob, Tree, encoded
from understudy.node.asking.queries import QUERY_SECONDS, Queried
from understudy.node.errors import BadRequest, QueryRefused
from understudy.node.looking.lookup import is_height
from understudy.objects.ids import ActorId, StepId
from understudy.web.answers import has_already, head_headers, immutable_headers, not_modified
from understudy.web.authorization import ASK
from understudy.web.body import LARGE_ANSWER_BYTES, QUICK_BYTES, answer_share_of, header_text, read_body
from understudy.web.face import limits_of, node_of
from understudy.web.files import AS_DATA
from understudy.web.negotiate import JSON, RAW, choose
from understudy.web.openapi import CACHED, SAME, answer
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, IF_NONE_MATCH, STEP, Parameter, path_text, text
from understudy.web.preference import read_preference
from understudy.web.schemas import ANY_ANSWER, ANY_BODY, ID, OBJECT, Json, Named, object_of
from understudy.web.schemas import STEP as STEP_TEXT
from understudy.web.unsent import Answer

AT: Final = text(
    "query", "at", "A step of the actor: its height, its id, or ACTOR@HEIGHT; without it, the head", STEP_TEXT
)
ARGUMENTS: Final[Parameter[None]] = Parameter(
    place="query",
    name="arguments",
    description="The arguments of the query",
    schema={"type": "object", "additionalProperties": {"type": "string"}},
    form={"style": "form", "explode": True},
)
ERRORS: Final = (404, 413, 415, 422, 504)
_NAME: Final = path_text("name", "The name of a query")
_SUMMARY: Final = "Ask an actor; nothing is changed"
_SAFE_METHODS: Final = ("GET", "HEAD")


def query_answers(content: Json | None = None) -> dict[int, Json]:
    """What a query is answered where it goes well; `content` maps media types to schemas."""
    return {200: answer("The answer with its media type; a tree as links", content or ANY_ANSWER, CACHED), 304: SAME}


_ANSWERS: Final = query_answers()
_ANSWERS_TO_POST: Final = {200: _ANSWERS[200]}
_TREE: Final = Named(
    "Tree",
    {
        "description": "Names of objects that exist, as links",
        "type": "object",
        "additionalProperties": {**object_of({"/": ID}), "additionalProperties": False},
    },
)
# A wit without the comfortable form may answer its `wut` as it likes.
WUT_ANSWERS: Final = query_answers({JSON: OBJECT, "*/*": {}})


class At(NamedTuple):
    """The step that was asked for, None for the head. What its id names never changes; a height is that of a name."""

    step: StepId | None
    is_id: bool


@Operation(
    "GET",
    "/actors/{actor}/query/{name}",
    name="queryActor",
    summary=_SUMMARY,
    scope=ASK,
    parameters=[ACTOR, _NAME, AT, ARGUMENTS, IF_NONE_MATCH],
    answers=_ANSWERS,
    also=[_TREE],
    errors=ERRORS,
)
async def ask_actor(request: Request) -> Response:
    """The arguments stand in the query of the URL."""
    return await _answer(request, ACTOR.of(request), _NAME.of(request), _at(request), _arguments(request))


@Operation(
    "POST",
    "/actors/{actor}/query/{name}",
    name="queryActorWith",
    summary=_SUMMARY,
    scope=ASK,
    parameters=[ACTOR, _NAME, AT],
    body=ANY_BODY,
    answers=_ANSWERS_TO_POST,
    also=[_TREE],
    errors=ERRORS,
)
async def ask_actor_with(request: Request) -> Response:
    """The body is the context, as it is."""
    return await _answer(request, ACTOR.of(request), _NAME.of(request), _at(request), await _context(request))


@Operation(
    "GET",
    "/steps/{step}/query/{name}",
    name="queryStep",
    summary=_SUMMARY,
    scope=ASK,
    parameters=[STEP, _NAME, ARGUMENTS, IF_NONE_MATCH],
    answers=_ANSWERS,
    also=[_TREE],
    errors=ERRORS,
)
async def ask_step(request: Request) -> Response:
    """The same `at` this step: relative links of a page stay at it."""
    id, step = STEP.of(request)
    return await _answer(request, step.actor, _NAME.of(request), At(id, True), _arguments(request))


@Operation(
    "POST",
    "/steps/{step}/query/{name}",
    name="queryStepWith",
    summary=_SUMMARY,
    scope=ASK,
    parameters=[STEP, _NAME],
    body=ANY_BODY,
    answers=_ANSWERS_TO_POST,
    also=[_TREE],
    errors=ERRORS,
)
async def ask_step_with(request: Request) -> Response:
    """The same with the context in the body."""
    id, step = STEP.of(request)
    return await _answer(request, step.actor, _NAME.of(request), At(id, True), await _context(request))


@Operation(
    "GET",
    "/actors/{actor}/wut",
    name="describeActor",
    summary="What the actor is, and takes",
    scope=ASK,
    parameters=[ACTOR, AT, IF_NONE_MATCH],
    answers=WUT_ANSWERS,
    errors=ERRORS,
)
async def describe_actor(request: Request) -> Response:
    """The query `wut`, which takes no arguments."""
    return await _answer(request, ACTOR.of(request), WUT, _at(request), NO_CONTEXT)


async def _answer(request: Request, actor: ActorId, name: str, at: At, context: Blob) -> Response:
    node = node_of(request)
    waits = read_preference(request.headers.getlist("prefer"), QUERY_SECONDS, limits_of(request).most_query_seconds)
    try:
        found = await node.query(actor, name, context, at=at.step, timeout=waits.wait_seconds or QUERY_SECONDS)
    except QueryRefused as error:
        if DAG_CBOR not in request.headers.get("accept", ""):
            raise
        return Response(encoded(error.error), error.status, {"Vary": "Accept"}, DAG_CBOR)
    return await _found_answer(request, at, found)


async def _found_answer(request: Request, at: At, found: Queried) -> Response:
    data, media_type = _represented(request, found.result)
    if len(data) > LARGE_ANSWER_BYTES:
        answer_share_of(request).take(len(data))
    headers = _headers(at, found.step) if found.is_fixed else head_headers(await _tag_of_more(found, data))
    if media_type in (RAW, DAG_CBOR):
        headers["ETag"] = f'{headers["ETag"][:-1]}.{media_type.rpartition(".")[2]}"'
    headers["Vary"] = "Accept"
    if request.method in _SAFE_METHODS and has_already(request, headers):
        return not_modified(headers)
    headers["Content-Security-Policy"] = AS_DATA if media_type == JSON else page_policy(request)
    return Answer(data, headers=headers, media_type=media_type)


def _represented(request: Request, result: Blob | Tree) -> tuple[bytes, str]:
    """The bytes that the caller takes best, and what they are."""
    if isinstance(result, Blob):
        return result.data, choose(request, (result.media_type, RAW))
    if choose(request, (JSON, DAG_CBOR)) == DAG_CBOR:
        return encoded(result), DAG_CBOR
    return msgspec.json.encode({name: {"/": str(id)} for name, id in result.entries.items()}), JSON


def page_policy(request: Request) -> str:
    """What a page of an actor may do: load and ask what is of its own actor, and run no script that stands in the page.

    Text of others that a page shows unescaped is then no program, and a page cannot speak to another actor.
    """
    own = "/".join(quote(part, safe="") for part in request.scope["path"].split("/")[:3])
    host = request.headers["host"]
    # An IPv6 address can't stand in a policy, and 'self' would be all actors: there a page may use nothing.
    base = "'none'" if host.startswith("[") else f"{host}{own}/"
    style = "'unsafe-inline'" if base == "'none'" else f"{base} 'unsafe-inline'"
    image = "data:" if base == "'none'" else f"{base} data:"
    kinds = " ".join(f"{kind}-src {base};" for kind in ("script", "font", "media", "connect", "frame", "worker"))
    return (
        f"default-src 'none'; {kinds} style-src {style}; img-src {image}; form-action {base}; "
        "base-uri 'none'; frame-ancestors 'self'"
    )


def _at(request: Request) -> At:
    said = AT.of(request)
    if said is None:
        return At(None, False)
    return At(node_of(request).find_step(ACTOR.of(request), said), not is_height(said.rpartition("@")[2]))


async def _context(request: Request) -> Blob:
    """The body of a POST as it is."""
    data = await read_body(request, most=limits_of(request).body_bytes)
    try:
        return Blob(data, header_text(request, "content-type") or BYTES)
    except ValueError as error:
        raise BadRequest(f"the Content-Type: {error}") from error


def _arguments(request: Request) -> Blob:
    """The parameters of a GET as a JSON object of texts, with a list where one is repeated."""
    if not request.scope["query_string"]:
        return NO_CONTEXT
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name != AT.name:
            values.setdefault(name, []).append(value)
    if not values:
        return NO_CONTEXT
    texts = {name: found[0] if len(found) == 1 else found for name, found in values.items()}
    return Blob(msgspec.json.encode(texts), TEXTS)


def _headers(at: At, step: StepId) -> dict[str, str]:
    return immutable_headers(step) if at.is_id else head_headers(step)


async def _tag_of_more(found: Queried, data: bytes) -> str:
    """A tag for an answer that depends on more than the step: on steps of other actors, or code that is in no core."""
    digest = await asyncio.to_thread(sha256, data) if len(data) > QUICK_BYTES else sha256(data)
    return f"{found.step}.{digest.hexdigest()[:16]}"
