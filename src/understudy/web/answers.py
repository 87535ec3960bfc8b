"""Answers in JSON, and how an immutable one is cached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.objects.ids import Id

FOR_EVER: Final = "max-age=31536000, immutable"  # a year is as long as caches are told to keep anything


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; values may be Structs, and `msgspec.Raw` for JSON that is ready."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def immutable_headers(id: Id) -> dict[str, str]:
    """The headers of an answer that is the same for ever, because an id names it."""
    return {"ETag": f'"{id}"', "Cache-Control": FOR_EVER}


def has_already(request: Request, id: Id) -> bool:
    """True if the caller says that it holds what the id names."""
    known = request.headers.get("if-none-match", "")
    return any(tag.strip().removeprefix("W/") in (f'"{id}"', "*") for tag in known.split(","))


def not_modified(id: Id) -> Response:
    """The answer to a caller that holds it already."""
    return Response(status_code=304, headers=immutable_headers(id))
