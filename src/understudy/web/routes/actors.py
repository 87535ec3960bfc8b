"""Actors: create one from a core, list them, look at one."""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO
from urllib.parse import quote
from zlib import crc32

from starlette.requests import Request
from starlette.responses import Response

from understudy.node.errors import Rejected
from understudy.node.intake.cores import whole_core
from understudy.node.node import Created
from understudy.objects.codec import Block
from understudy.objects.errors import ObjectError
from understudy.objects.ids import TreeId
from understudy.store.car import read_car
from understudy.store.errors import BadCar, Corrupt
from understudy.web.answers import fresh_json, head_headers, json_answer
from understudy.web.body import read_body, spool_body
from understudy.web.errors import HttpProblem
from understudy.web.file_maps import read_files
from understudy.web.grants import grant_of
from understudy.web.history import actor_view
from understudy.web.parameters import actor_in, allow_only, limit_in, limits_of, node_of

CAR = "application/vnd.ipld.car"
# A form is what curl calls its body when nobody says otherwise; one that is not JSON is refused as that.
_JSON = ("application/json", "application/x-www-form-urlencoded", "")


async def create_actor(request: Request) -> Response:
    """POST /actors: 201 once the genesis step is durable. The same core twice is harmless."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == CAR:
        created = await _create_from_car(request)
    elif media_type in _JSON:
        created = await _create_from_json(request)
    else:
        raise HttpProblem(415, f"a core comes as application/json or {CAR}; the Content-Type says {media_type!r}")
    return json_answer(_created_view(created), 201, {"Location": f"/actors/{created.id}"})


def list_actors(request: Request) -> Response:
    """GET /actors?limit&after"""
    allow_only(request, ("limit", "after"))
    grant_of(request).check_all_actors()
    page = node_of(request).actors(after=request.query_params.get("after"), limit=limit_in(request))
    return json_answer({"actors": [actor_view(info) for info in page.items], "next": page.next})


def show_actor(request: Request) -> Response:
    """GET /actors/{actor}"""
    allow_only(request, ())
    info = node_of(request).actor(actor_in(request))
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
    allow_only(request, ())
    data = await read_body(request, most=limits_of(request).body_bytes)
    value, files = await read_files(data, "core", {"name": str, "nonce": str})
    core = {path: file for path, file in files.items() if file is not None}
    return await node_of(request).create(core, name=value.get("name"), nonce=value.get("nonce"))


async def _create_from_car(request: Request) -> Created:
    allow_only(request, ("name",))
    with await spool_body(request, most=limits_of(request).car_bytes) as file:
        root, blocks = await asyncio.to_thread(_parse_car, file)
    node = node_of(request)
    whole = await asyncio.to_thread(whole_core, node.reader, blocks, root)
    return await node.create_from(whole, root, name=request.query_params.get("name"))


def _parse_car(file: BinaryIO) -> tuple[TreeId, list[Block]]:
    try:
        roots, blocks = read_car(file)
        if len(roots) != 1:
            raise Rejected(f"the CAR file has {len(roots)} roots; the one root of a core is expected")
        return TreeId(roots[0]), list(blocks)
    except (BadCar, Corrupt, ObjectError) as error:
        raise Rejected(str(error)) from error
