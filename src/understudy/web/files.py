"""Blobs as files: whole or in byte ranges (RFC 9110, section 14), read chunk by chunk."""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from understudy.objects.ids import Id
from understudy.store.reader import Reader
from understudy.web.answers import has_already, not_modified
from understudy.web.errors import HttpProblem
from understudy.web.negotiate import choose

MAX_RANGES: Final = 16  # a viewer of PDFs asks for a handful; hundreds of small ones are an attack
# A file of a core comes from whoever wrote the actor, or wrote to it: a browser that opens it must not run it.
AS_DATA: Final = "default-src 'none'; sandbox"
_RANGES: Final = re.compile(r"bytes\s*=\s*(.*)\Z", re.IGNORECASE)
_RANGE: Final = re.compile(r"(\d{0,19})-(\d{0,19})\Z", re.ASCII)


class _File(NamedTuple):
    pieces: Iterator[bytes]
    length: int
    media_type: str


class Span(Struct, frozen=True):
    """Bytes from `start` to before `end`."""

    start: int
    end: int


def media_type_of(path: str) -> str:
    """The media type that the name of a file stands for."""
    guessed, encoding = mimetypes.guess_type(path)
    return guessed if guessed and not encoding else "application/octet-stream"


def file_answer(request: Request, reader: Reader, id: Id, *, path: str, headers: Mapping[str, str]) -> Response:
    """The blob as a file with these caching headers: 200, 206 for ranges, 304. Raises HttpProblem 406 and 416."""
    media_type = choose(request, [media_type_of(path)])
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Security-Policy": AS_DATA}
    if has_already(request, headers):
        return not_modified(headers)
    big = reader.blob_info(id)
    size = len(reader.block(id)) if big is None else big.size
    spans = spans_asked_for(request, size, headers["ETag"])
    if spans is None:
        body = _File(_pieces(reader, id, Span(0, size)), size, media_type)
    elif len(spans) == 1:
        headers["Content-Range"] = _content_range(spans[0], size)
        body = _File(_pieces(reader, id, spans[0]), spans[0].end - spans[0].start, media_type)
    else:
        body = _multipart(reader, id, spans, size, media_type)
    headers["Content-Length"] = str(body.length)
    status = 200 if spans is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, body.media_type)
    return StreamingResponse(body.pieces, status, headers, body.media_type)


def spans_asked_for(request: Request, size: int, etag: str) -> list[Span] | None:
    """The ranges, None for the whole. Raises HttpProblem 416 if none can be met, or if they are too many or overlap."""
    found = _RANGES.match(request.headers.get("range", ""))
    # HEAD has no ranges, and who holds part of something else (If-Range) wants the whole of this.
    if request.method != "GET" or found is None or request.headers.get("if-range", etag) != etag:
        return None
    parts = [part.strip() for part in found[1].split(",") if part.strip()]
    if not parts or not all(map(_is_range, parts)):
        return None  # what can't be read counts as not said
    refusal = {"Content-Range": f"bytes */{size}"}
    if len(parts) > MAX_RANGES:
        raise HttpProblem(416, f"{len(parts)} ranges are asked for; at most {MAX_RANGES} come at once", refusal)
    spans = [span for part in parts if (span := _span(part, size)) is not None]
    if not spans:
        raise HttpProblem(416, f"the range is outside of the {size:,} bytes that there are", refusal)
    if sum(span.end - span.start for span in spans) > size:
        raise HttpProblem(416, "the ranges overlap: together they are more than the whole", refusal)
    return spans


def _is_range(part: str) -> bool:
    found = _RANGE.match(part)
    return found is not None and part != "-" and not (found[1] and found[2] and int(found[1]) > int(found[2]))


def _span(part: str, size: int) -> Span | None:
    first, _, last = part.partition("-")
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return Span(start, end) if start < end else None


def _multipart(reader: Reader, id: Id, spans: Sequence[Span], size: int, media_type: str) -> _File:
    boundary = secrets.token_hex(16)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {_content_range(span, size)}\r\n\r\n".encode()
        for span in spans
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        for head, span in zip(heads, spans, strict=True):
            yield head
            yield from _pieces(reader, id, span)
        yield tail

    length = sum(map(len, heads)) + sum(span.end - span.start for span in spans) + len(tail)
    return _File(pieces(), length, f"multipart/byteranges; boundary={boundary}")


def _pieces(reader: Reader, id: Id, span: Span) -> Iterator[bytes]:
    left = span.end - span.start
    for piece in reader.open_blob(id, span.start) if left else ():
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.start}-{span.end - 1}/{size}"
