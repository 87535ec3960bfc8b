"""Bodies: read up to a bound, then parsed strictly. Never more than the bound is in memory."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

from starlette.requests import Request

from understudy.node.errors import BadRequest, Busy, Rejected, TooLarge
from understudy.web.errors import HttpProblem

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
# Of all bodies under way together, so that clients can't fill the memory: parsed JSON takes a few times its size.
MAX_BODIES_BYTES: Final = 256 * 1024 * 1024
QUICK_BYTES: Final = 64 * 1024  # parsed and hashed on the event loop; more would block it for other requests
# Of all large answers of queries that are not sent yet. Those whose clients do not read are cut off before they have so
# much (`connections.py`), which leaves a place for one more of the largest.
MAX_ANSWERS_BYTES: Final = 320 * 1024 * 1024
LARGE_ANSWER_BYTES: Final = 1024 * 1024  # smaller ones do not count, and are never refused
SHARE: Final = "understudy.share"  # where the scope of a request has it
ANSWER_SHARE: Final = "understudy.answer-share"
_SPOOL_BYTES: Final = 8 * 1024 * 1024  # a larger body is kept on disk


class Bodies:
    """Counts the bytes of all bodies under way, or of all that is called `what`, which have a bound together."""

    def __init__(self, most: int, what: str = "bodies of all requests") -> None:
        self._most = most
        self._what = what
        self._held = 0

    def share(self) -> Share:
        """The part of one request."""
        return Share(self)

    def take(self, size: int) -> None:
        """Count bytes that came in. Raises Busy if that is more than the bound."""
        if self._held + size > self._most:
            raise Busy(f"the {self._what} together have more than {self._most:,} bytes; try again later")
        self._held += size

    def give_back(self, size: int) -> None:
        """These bytes are no longer in memory."""
        self._held -= size


class Share:
    """The bytes of one request, counted until its end."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = 0

    def take(self, size: int) -> None:
        """See Bodies.take."""
        self._bodies.take(size)
        self._size += size

    def give_back(self) -> None:
        """The request is answered."""
        self._bodies.give_back(self._size)
        self._size = 0


async def read_body(request: Request, *, most: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to have more than `most` bytes."""
    return b"".join([piece async for piece in _pieces(request, most)])


async def spool_body(request: Request, *, most: int) -> BinaryIO:
    """The whole body as a file, on disk where it is large. Raises TooLarge."""
    file = cast(BinaryIO, SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115 - the caller closes it
    try:
        async for piece in _pieces(request, most):
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN. Raises BadRequest."""
    try:
        return json.loads(data.decode(), **STRICT)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error or 'nested too deep'}") from error


def read_object(value: Any, fields: Mapping[str, type | tuple[type, ...]], *, required: str) -> dict[str, Any]:
    """The object, if it has these fields only (null means absent) and the required one. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected(f"the body is {kind_of(value)}; an object with {', '.join(map(repr, fields))} is expected")
    unknown = [name for name in value if name not in fields]
    if unknown:
        raise Rejected(f"unknown field {unknown[0]!r}; there are {', '.join(map(repr, fields))}")
    if value.get(required) is None:
        raise Rejected(f"the field {required!r} is missing")
    for name, kind in fields.items():
        if value.get(name) is not None and not isinstance(value[name], kind):
            raise Rejected(f"the field {name!r} is {kind_of(value[name])}, which it can't be")
        if isinstance(value.get(name), str):
            _utf8(value[name], f"the field {name!r}")
    return value


def read_file(value: Any, where: str) -> bytes:
    """The bytes of a file in JSON: text, or `{"base64": text}`. Raises Rejected that names `where`."""
    match value:
        case str():
            return _utf8(value, where)
        case {"base64": str(text)} if len(value) == 1:
            try:
                return base64.b64decode(_utf8(text, where), validate=True)
            except binascii.Error as error:
                raise Rejected(f"{where}: this is not base64: {error}") from error
    raise Rejected(f'{where} is {kind_of(value)}; text or {{"base64": text}} is expected')


def kind_of(value: Any) -> str:
    """What a JSON value is, for a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def header_text(request: Request, name: str) -> str | None:
    """A header's value as UTF-8 text, None without it. Raises BadRequest if it stands there twice or is no UTF-8."""
    values = request.headers.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise BadRequest(f"the header {name} is given {len(values)} times")
    try:
        # Starlette reads headers as Latin-1; people send names in UTF-8.
        return values[0].encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the header {name} is not UTF-8") from error


def share_of(request: Request) -> Share:
    """What this request holds of all bodies in flight."""
    share: Share = request.scope[SHARE]
    return share


def answer_share_of(request: Request) -> Share:
    """What this request holds of all answers of queries."""
    share: Share = request.scope[ANSWER_SHARE]
    return share


async def _pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    if any(coding.strip().lower() != "identity" for coding in _codings(request)):
        raise HttpProblem(415, "send the body as it is, without a Content-Encoding", {"Accept-Encoding": "identity"})
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    seen, share = 0, share_of(request)
    async for piece in request.stream():
        seen += len(piece)
        if seen > most:
            raise _too_large(most)
        share.take(len(piece))
        yield piece


def _codings(request: Request) -> list[str]:
    return [
        coding for line in request.headers.getlist("content-encoding") for coding in line.split(",") if coding.strip()
    ]


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the body has more than {most:,} bytes, which is the most that this node takes at once")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# Nobody here counts with a number of a body, and Python would refuse an integer of 4,300 digits, which is JSON.
STRICT: Final[dict[str, Any]] = {"object_pairs_hook": _object, "parse_constant": _no_constant, "parse_int": float}


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Rejected(f"{where}: the text is not well-formed Unicode (a lone surrogate)") from error
