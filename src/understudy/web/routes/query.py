"""Queries over HTTP: an actor asked at its head, or at an earlier step for an answer that never changes."""

from __future__ import annotations

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
from understudy.web.body import header_text, read_body
from understudy.web.files import AS_DATA
from understudy.web.negotiate import JSON, RAW, choose
from understudy.web.parameters import actor_in, limits_of, node_of, read_preference, step_in

AT: Final = "at"
_SAFE_METHODS: Final = ("GET", "HEAD")


class At(NamedTuple):
    """The step that was asked for, None for the head. What its id names never changes; a height is that of a name."""

    step: StepId | None
    is_id: bool


async def ask_actor(request: Request) -> Response:
    """GET or POST /actors/{actor}/query/{name}?at=STEP"""
    actor = actor_in(request)
    return await _answer(request, actor, request.path_params["name"], _at(request, actor))


async def ask_step(request: Request) -> Response:
    """GET or POST /steps/{step}/query/{name}: the same `at` this step, so that links of a page stay in its time."""
    id, step = step_in(request)
    return await _answer(request, step.actor, request.path_params["name"], At(id, True))


async def describe_actor(request: Request) -> Response:
    """GET /actors/{actor}/wut?at=STEP"""
    actor = actor_in(request)
    return await _answer(request, actor, WUT, _at(request, actor))


async def _answer(request: Request, actor: ActorId, name: str, at: At) -> Response:
    context = await _context(request)
    node = node_of(request)
    waits = read_preference(request.headers.getlist("prefer"), QUERY_SECONDS, limits_of(request).most_query_seconds)
    try:
        found = await node.query(actor, name, context, at=at.step, timeout=waits.wait_seconds or QUERY_SECONDS)
    except QueryRefused as error:
        if DAG_CBOR not in request.headers.get("accept", ""):
            raise
        return Response(encoded(error.error), error.status, {"Vary": "Accept"}, DAG_CBOR)
    return _found_answer(request, at, found)


def _found_answer(request: Request, at: At, found: Queried) -> Response:
    data, media_type = _represented(request, found.result)
    headers = _headers(at, found.step) if found.is_fixed else head_headers(_tag_of_more(found, data))
    if media_type in (RAW, DAG_CBOR):
        headers["ETag"] = f'{headers["ETag"][:-1]}.{media_type.rpartition(".")[2]}"'
    headers["Vary"] = "Accept"
    if request.method in _SAFE_METHODS and has_already(request, headers):
        return not_modified(headers)
    headers["Content-Security-Policy"] = AS_DATA if media_type == JSON else page_policy(request)
    return Response(data, headers=headers, media_type=media_type)


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


def _at(request: Request, actor: ActorId) -> At:
    given = request.query_params.getlist(AT) if request.scope["query_string"] else []
    if len(given) > 1:
        raise BadRequest(f"the query parameter {AT!r} stands there {len(given)} times")
    if not given:
        return At(None, False)
    return At(node_of(request).lookup.find_step(actor, given[0]), not is_height(given[0].rpartition("@")[2]))


async def _context(request: Request) -> Blob:
    """The body of a POST as it is; the parameters of a GET as a JSON object of texts, a list where one is repeated."""
    given = [(name, value) for name, value in request.query_params.multi_items() if name != AT]
    if request.method == "POST":
        if given:
            raise BadRequest(f"the arguments of a POST are its body; {given[0][0]!r} stands in the query")
        data = await read_body(request, most=limits_of(request).body_bytes)
        try:
            return Blob(data, header_text(request, "content-type") or BYTES)
        except ValueError as error:
            raise BadRequest(f"the Content-Type: {error}") from error
    if not given:
        return NO_CONTEXT
    values: dict[str, list[str]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    texts = {name: found[0] if len(found) == 1 else found for name, found in values.items()}
    return Blob(msgspec.json.encode(texts), TEXTS)


def _headers(at: At, step: StepId) -> dict[str, str]:
    return immutable_headers(step) if at.is_id else head_headers(step)


def _tag_of_more(found: Queried, data: bytes) -> str:
    """A tag for an answer that depends on more than the step: on steps of other actors, or code that is in no core."""
    return f"{found.step}.{sha256(data).hexdigest()[:16]}"
