"""Content negotiation: which of the media types on offer the caller prefers (RFC 9110, `Accept`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.requests import Request

from understudy.web.errors import HttpProblem

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
CAR: Final = "application/vnd.ipld.car"
RAW: Final = "application/vnd.ipld.raw"  # the bytes of a blob as the object store keeps them
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|\Z)", re.IGNORECASE)


def choose(request: Request, offered: Sequence[str]) -> str:
    """The offered media type that the caller likes best; the first of equals. Raises HttpProblem 406, with the offers."""
    lines = request.headers.getlist("accept")
    if not lines:
        return offered[0]
    ranges = list(_ranges(",".join(lines)))
    best = max(offered, key=lambda media_type: _quality(ranges, media_type))
    if _quality(ranges, best) == 0:
        detail = f"the Accept header allows none of the types that there are: {', '.join(offered)}"
        raise HttpProblem(406, detail, available=list(offered))
    return best


def prefers(accept: str, media_type: str, *, over: Sequence[str]) -> bool:
    """True if an Accept header names a media type itself, and likes it at least as much as the others."""
    ranges = list(_ranges(accept))
    named = max((quality for name, quality in ranges if name == media_type), default=0.0)
    return named > 0 and all(named >= _quality(ranges, other) for other in over)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        name = part.partition(";")[0].strip().lower()
        found = _QUALITY.search(part)
        if name:
            yield name, min(1.0, float(found[1])) if found else 1.0


def _quality(ranges: Sequence[tuple[str, float]], media_type: str) -> float:
    """The quality of the most specific range that matches. Parameters such as the charset are ignored."""
    kind = media_type.partition(";")[0].strip().lower()
    for wanted in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
