"""Answers in JSON with their caching headers: what an id names never changes; what a head shows is asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import Id
from understudy.web.negotiate import JSON
from understudy.web.unsent import Answer

FOR_EVER: Final = "max-age=31536000, immutable"  # a year is as long as caches are told to keep anything
# What is at a head may be kept, but has to be asked for again: the answer is 304 while the head is where it was.
UNTIL_IT_MOVES: Final = "no-cache"


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; values may be Structs, and `msgspec.Raw` for JSON that is ready."""
    return Answer(msgspec.json.encode(value), status, headers, JSON)


def immutable_headers(id: Id) -> dict[str, str]:
    """The headers of an answer that is the same for ever, because an id names it."""
    return {"ETag": f'"{id}"', "Cache-Control": FOR_EVER}


def head_headers(tag: object) -> dict[str, str]:
    """The headers of an answer that depends on a head; `tag` is its ETag, as a rule the id of the step."""
    return {"ETag": f'"{tag}"', "Cache-Control": UNTIL_IT_MOVES}


def has_already(request: Request, headers: Mapping[str, str]) -> bool:
    """True if `If-None-Match` of the request names the ETag in these headers (RFC 9110)."""
    known = ",".join(request.headers.getlist("if-none-match"))
    if not known:
        return False
    return any(tag.strip().removeprefix("W/") in (headers["ETag"], "*") for tag in known.split(","))


def not_modified(headers: Mapping[str, str]) -> Response:
    """304: the caller's copy is still good."""
    return Response(status_code=304, headers=headers)


def fresh_json(request: Request, value: Any, headers: Mapping[str, str]) -> Response:
    """The value in JSON, or 304 if the caller has it already, as its `If-None-Match` says."""
    return not_modified(headers) if has_already(request, headers) else json_answer(value, headers=headers)
