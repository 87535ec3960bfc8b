"""Blocks by their ids, as an IPFS trustless gateway serves them: any client can fetch them and check every hash.

The specification: <https://specs.ipfs.tech/http-gateways/trustless-gateway/>. The law: an answer depends on the id alone
and is read from this node's own store. Nothing is fetched from another machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import libipld
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from understudy.node.errors import BadRequest, Busy, NotFound
from understudy.objects import ids
from understudy.objects.codec import Block
from understudy.objects.errors import BadId
from understudy.objects.ids import Id
from understudy.store.car import car_pieces
from understudy.store.errors import Missing
from understudy.store.reader import Reader
from understudy.store.walk import walk
from understudy.web.answers import FOR_EVER, has_already, not_modified
from understudy.web.authorization import ASK
from understudy.web.errors import HttpProblem
from understudy.web.face import node_of
from understudy.web.negotiate import CAR, RAW, choose
from understudy.web.openapi import CACHED, SAME, answer
from understudy.web.operation import Operation
from understudy.web.parameters import IF_NONE_MATCH, one_of, path_text, text
from understudy.web.schemas import ID, Named

CAR_TYPE: Final = f"{CAR}; version=1; order=dfs; dups=n"
SCOPES: Final = ("block", "entity", "all")
MAX_CARS: Final = 8  # CAR streams at once: each reads the store as fast as its client reads
MAX_CAR_BLOCKS: Final = 2_000_000  # of one stream, which remembers the ids that it sent: some 300 MB
MAX_CID: Final = 512  # characters; other encodings than ours take time in the square of their length
_PIECE_BYTES: Final = 64 * 1024  # handed from thread to thread at a time
_FORMATS: Final = {"raw": RAW, "car": CAR}
# The options of a CAR file, in `Accept` or as parameters, with the values that are supported.
_CAR_OPTIONS: Final = {"version": ("1",), "order": ("dfs", "unk"), "dups": ("n",)}
_CID: Final = path_text("cid", "The id of a block")
_FORMAT: Final = text("query", "format", "`raw` or `car`; without it, Accept decides", {"enum": list(_FORMATS)})
_SCOPE: Final = one_of(
    "query", "dag-scope", "Of a CAR file: the block alone, or all that it links to", SCOPES, default="all"
)
_CAR_PARAMETERS: Final = {
    name: text("query", f"car-{name}", "Of a CAR file", {"enum": list(choices)})
    for name, choices in _CAR_OPTIONS.items()
}
_IDENTITY, _SHA2_256, _RAW_CODEC, _CBOR_CODEC = 0x00, 0x12, 0x55, 0x71

_cars = threading.BoundedSemaphore(MAX_CARS)


@Operation(
    "GET",
    "/ipfs/{cid}",
    name="fetchBlock",
    summary="A block by its id, as the IPFS trustless gateway gives it",
    scope=ASK,
    about_all=True,  # a block does not say whose it is
    parameters=[_CID, _FORMAT, _SCOPE, *_CAR_PARAMETERS.values(), IF_NONE_MATCH],
    also=[Named("Id", {"description": "A CIDv1 in base32", **ID})],
    answers={200: answer("The bytes of the block, or a CARv1", {RAW: {}, CAR: {}}, CACHED), 304: SAME},
    errors=(404, 412),
)
def fetch_block(request: Request) -> Response:
    """The block, or a CARv1 of it and what it links to."""
    kind = _media_type(request)
    # An entity is what UnixFS makes of blocks. These blocks are not UnixFS, so an entity is one block.
    scope = "block" if _SCOPE.of(request) == "entity" else _SCOPE.of(request)
    found = _find(request, _CID.of(request))
    # The canonical text of the id: some other encodings have letters that a header can't hold.
    text = "identity" if found.id is None else str(found.id)
    suffix = "raw" if kind == RAW else f"car.{scope}"
    headers = {
        "ETag": f'"{text}.{suffix}"',
        "Cache-Control": f"public, {FOR_EVER}",
        "Content-Disposition": f'attachment; filename="{text}.{"bin" if kind == RAW else "car"}"',
        "X-Ipfs-Path": f"/ipfs/{text}",
        "X-Ipfs-Roots": text,
        "Vary": "Accept",
    }
    if has_already(request, headers):
        return not_modified(headers)
    if kind == RAW:
        return Response(found.data, 200, headers, RAW)
    headers["Accept-Ranges"] = "none"
    if found.id is None:
        raise HttpProblem(406, f"{text} holds its own bytes: it has no CAR file", available=[RAW])
    if request.method == "HEAD":
        answer = Response(None, 200, headers, CAR_TYPE)
        # The length is known only once the file is made.
        del answer.headers["content-length"]
        return answer
    return _CarResponse(_Stream(node_of(request).reader, found, scope), headers)


class _Found(NamedTuple):
    """A block; one whose id holds the bytes themselves has none of ours."""

    id: Id | None
    data: bytes


class _Stream(Iterator[bytes]):
    """The pieces of a CAR file. It has a place among those that run until it is closed."""

    def __init__(self, reader: Reader, found: _Found, scope: str) -> None:
        self._has_place = _cars.acquire(blocking=False)
        if not self._has_place:
            raise Busy(f"{MAX_CARS} CAR files are being read, which is all that this node gives at once")
        assert found.id is not None
        blocks = walk(reader, found.id) if scope == "all" else iter([Block(found.id, found.data)])
        self._pieces = _gather(car_pieces([found.id], _bounded(blocks)))

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Free its place. Closing twice is harmless."""
        if self._has_place:
            self._has_place = False
            _cars.release()

    # For one that no response ever read.
    __del__ = close


class _CarResponse(StreamingResponse):
    """Closes its stream when it ends in whatever way: a collector may come late, and a place is missed meanwhile."""

    def __init__(self, stream: _Stream, headers: dict[str, str]) -> None:
        super().__init__(stream, 200, headers, CAR_TYPE)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


def _find(request: Request, text: str) -> _Found:
    id = _parse(text)
    if not isinstance(id, Id):
        return _Found(None, id)
    try:
        reader = node_of(request).reader
        return _Found(id, reader.block(id))
    except Missing as error:
        if "only-if-cached" in request.headers.get("cache-control", ""):
            raise HttpProblem(412, f"the block {text} is not here") from error
        raise NotFound(f"the block {text} is not here; a node gives only what is in its own store") from error


def _parse(text: str) -> Id | bytes:
    """The id that a CID stands for, or the bytes that it holds. Raises BadRequest, NotFound."""
    try:
        return ids.parse(text)
    except BadId:
        pass
    try:
        if len(text) > MAX_CID:
            raise ValueError(f"it has {len(text):,} characters")
        cid = libipld.decode_cid(text)
    except ValueError as error:
        raise BadRequest(f"{text[:80]!r} is no CID: {error}") from error
    codec, hashed = cid["codec"], cid["hash"]
    if hashed["code"] == _IDENTITY and codec == _RAW_CODEC:
        return bytes(hashed["digest"])
    if hashed["code"] != _SHA2_256 or codec not in (_RAW_CODEC, _CBOR_CODEC) or cid["version"] != 1:
        raise NotFound(f"the block {text} is not here: a node's blocks are raw or dag-cbor, and named by sha2-256")
    return ids.from_bytes((ids.RAW if codec == _RAW_CODEC else ids.NODE) + bytes(hashed["digest"]))


def _media_type(request: Request) -> str:
    """What the caller wants: `format` says so, or else `Accept`. Raises HttpProblem 406."""
    wanted = _FORMAT.of(request)
    offered = [RAW, CAR_TYPE]
    if wanted is not None and wanted not in _FORMATS:
        raise HttpProblem(406, f"format is {wanted[:40]!r}; there are raw and car", available=offered)
    kind = _FORMATS[wanted] if wanted is not None else choose(request, [RAW, CAR])
    _check_options(request, offered, dict(_accept_options(request)) if kind == CAR else {})
    return kind


def _check_options(request: Request, offered: list[str], asked: dict[str, str]) -> None:
    said = {name: parameter.of(request) for name, parameter in _CAR_PARAMETERS.items()}
    asked |= {name: value for name, value in said.items() if value is not None}
    for name, value in asked.items():
        if name in _CAR_OPTIONS and value not in _CAR_OPTIONS[name]:
            detail = f"the CAR file is asked for with {name}={value[:40]}; there is {' or '.join(_CAR_OPTIONS[name])}"
            raise HttpProblem(406, detail, available=offered)


def _accept_options(request: Request) -> Iterator[tuple[str, str]]:
    for part in ",".join(request.headers.getlist("accept")).split(","):
        name, *options = part.split(";")
        if name.strip().lower() == CAR:
            for option in options:
                key, _, value = option.partition("=")
                yield key.strip().lower(), value.strip().strip('"').lower()


def _bounded(blocks: Iterator[Block]) -> Iterator[Block]:
    yield from islice(blocks, MAX_CAR_BLOCKS)
    if next(blocks, None) is not None:
        # The connection is aborted, so the client sees that the file is incomplete.
        raise ValueError(f"a CAR file of more than {MAX_CAR_BLOCKS:,} blocks: fetch its parts")


def _gather(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
