"""Actors: create one from a core, list them, look at one."""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO
from urllib.parse import quote
from zlib import crc32

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import BadRequest, Rejected
from understudy.node.intake.cores import whole_core
from understudy.node.intake.creation import Created
from understudy.objects.codec import Block
from understudy.objects.errors import ObjectError
from understudy.objects.ids import TreeId
from understudy.store.car import read_car
from understudy.store.errors import BadCar, Corrupt
from understudy.web.answers import fresh_json, head_headers, json_answer
from understudy.web.authorization import ASK, CREATE
from understudy.web.body import read_body, spool_body
from understudy.web.errors import HttpProblem
from understudy.web.face import limits_of, node_of
from understudy.web.file_maps import read_files
from understudy.web.history import actor_view
from understudy.web.negotiate import CAR, JSON
from understudy.web.openapi import CACHED, SAME, json_of
from understudy.web.operation import Operation
from understudy.web.parameters import ACTOR, IF_NONE_MATCH, LIMIT, text
from understudy.web.schemas import ACTOR as ACTOR_SCHEMA
from understudy.web.schemas import BYTES, ID, MAYBE_TEXT, OBJECT, OUTCOME, SOME_TEXT, TEXT, Named, list_of, object_of

# A form is what curl calls its body when nobody says otherwise; one that is not JSON is refused as that.
_JSON = ("application/json", "application/x-www-form-urlencoded", "")
_FILE = Named(
    "File",
    {
        "description": "Text, or any bytes in base64",
        "anyOf": [TEXT, {**object_of({"base64": TEXT}), "additionalProperties": False}],
    },
)
_CORE = {"type": "object", "additionalProperties": _FILE, "minProperties": 1}
_CREATION = {**object_of({"core": _CORE}, {"name": MAYBE_TEXT, "nonce": MAYBE_TEXT}), "additionalProperties": False}
_CREATED = object_of({"id": ID, "name": MAYBE_TEXT, "head": ID, "outcome": OUTCOME}, {"error": OBJECT})
_ACTORS = object_of({"actors": list_of(ACTOR_SCHEMA), "next": MAYBE_TEXT})
_NAME = text("query", "name", "The name, where the core comes as a CAR file", SOME_TEXT)
_AFTER = text("query", "after", "The `next` of the page before", ID)


@Operation(
    "POST",
    "/actors",
    name="createActor",
    summary="Create an actor from a core",
    scope=CREATE,
    parameters=[_NAME],
    body={JSON: Named("Creation", _CREATION), CAR: BYTES},
    answers={
        201: json_of("The actor lives; the same core twice is one actor", Named("Created", _CREATED), ["Location"])
    },
    errors=(409, 413, 415, 422),
)
async def create_actor(request: Request) -> Response:
    """201 once the genesis step is durable. The same core twice is harmless."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == CAR:
        created = await _create_from_car(request)
    elif media_type in _JSON:
        created = await _create_from_json(request)
    else:
        raise HttpProblem(415, f"a core comes as application/json or {CAR}; the Content-Type says {media_type!r}")
    return json_answer(_created_view(created), 201, {"Location": f"/actors/{created.id}"})


@Operation(
    "GET",
    "/actors",
    name="listActors",
    summary="List actors",
    scope=ASK,
    about_all=True,
    parameters=[LIMIT, _AFTER],
    answers={200: json_of("A page", Named("Actors", _ACTORS))},
)
def list_actors(request: Request) -> Response:
    """A page of all actors, in the order of their ids."""
    page = node_of(request).actors(after=_AFTER.of(request), limit=LIMIT.of(request))
    return json_answer({"actors": [actor_view(info) for info in page.items], "next": page.next})


@Operation(
    "GET",
    "/actors/{actor}",
    name="showActor",
    summary="One actor",
    scope=ASK,
    parameters=[ACTOR, IF_NONE_MATCH],
    answers={200: json_of("As it is at the head", ACTOR_SCHEMA, CACHED), 304: SAME},
    errors=(404,),
)
def show_actor(request: Request) -> Response:
    """One actor, and what keeps it from working."""
    info = node_of(request).actor(ACTOR.of(request))
    # A name can come without a step.
    tag = str(info.head) if info.name is None else f"{info.head}.{quote(info.name)}"
    # So can a hold, and its end.
    tag += "" if info.reason is None else f".{info.status}.{crc32(info.reason.encode()):08x}"
    return fresh_json(request, actor_view(info), head_headers(tag))


def _created_view(created: Created) -> dict[str, Any]:
    outcome = None if created.answer is None else created.answer.outcome
    error = {} if outcome is None else {"error": {"code": outcome.code, "text": outcome.text}}
    kind = "ok" if outcome is None else outcome.kind
    return {"id": str(created.id), "name": created.name, "head": str(created.head), "outcome": kind, **error}


async def _create_from_json(request: Request) -> Created:
    if _NAME.of(request) is not None:
        raise BadRequest("the query parameter 'name' is for a CAR file; in JSON the name is a field of the body")
    data = await read_body(request, most=limits_of(request).body_bytes)
    value, files = await read_files(data, "core", {"name": str, "nonce": str})
    core = {path: file for path, file in files.items() if file is not None}
    return await node_of(request).create(core, name=value.get("name"), nonce=value.get("nonce"))


async def _create_from_car(request: Request) -> Created:
    with await spool_body(request, most=limits_of(request).car_bytes) as file:
        root, blocks = await asyncio.to_thread(_parse_car, file)
    node = node_of(request)
    whole = await asyncio.to_thread(whole_core, node.reader, blocks, root)
    return await node.create_from(whole, root, name=_NAME.of(request))


def _parse_car(file: BinaryIO) -> tuple[TreeId, list[Block]]:
    try:
        roots, blocks = read_car(file)
        if len(roots) != 1:
            raise Rejected(f"the CAR file has {len(roots)} roots; the one root of a core is expected")
        return TreeId(roots[0]), list(blocks)
    except (BadCar, Corrupt, ObjectError) as error:
        raise Rejected(str(error)) from error
