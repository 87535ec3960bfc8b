"""The body of a response: read to its end, then unpacked, with a bound that holds for both."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable
from typing import Final, Protocol

from understudy.actors.errors import CallFailed

ACCEPT_ENCODING: Final = "gzip, deflate"
_EITHER: Final = 32 + zlib.MAX_WBITS  # gzip or zlib, whichever it begins like
_PIECE: Final = 64 * 1024
_PACKED: Final = 4096  # bytes that are unpacked at a time: what is left of them is copied once for each member
MAX_MEMBERS: Final = (
    10_000  # of a gzip body. Files that are packed block by block have some hundreds; empty ones cost time alone
)


class _Unpacker(Protocol):
    """What both kinds of decompression objects of zlib do."""

    @property
    def eof(self) -> bool: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


async def read_body(parts: AsyncIterable[bytes], *, most: int) -> bytes:
    """All of it, as it came. Raises CallFailed(TooLarge) past `most` bytes."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def unpack(data: bytes, encoding: str, *, most: int) -> bytes:
    """What a body of a `Content-Encoding` is. Raises CallFailed: TooLarge past `most` bytes, DecodingError. httpx would unpack
    without a bound.
    """
    encoding = encoding.strip().lower()
    if not data or encoding in ("", "identity"):
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise CallFailed("DecodingError", f"the response is packed with {encoding!r}, which nobody asked for")
    try:
        return _inflate(data, _EITHER, most)
    except zlib.error as error:
        if encoding != "deflate":
            raise CallFailed("DecodingError", f"the response is no {encoding}: {error}") from None
    try:
        # Some servers send it without the frame that the standard asks for.
        return _inflate(data, -zlib.MAX_WBITS, most)
    except zlib.error as error:
        raise CallFailed("DecodingError", f"the response is no deflate: {error}") from None


def _inflate(data: bytes, window: int, most: int) -> bytes:
    body = bytearray()
    packed = _Packed(data)
    members = 0
    # A gzip file may have several members, one after the other.
    while packed.has_more:
        members += 1
        if members > MAX_MEMBERS:
            raise zlib.error(f"it has more than {MAX_MEMBERS:,} members")
        _inflate_member(packed, zlib.decompressobj(window), body, most)
    return bytes(body)


def _inflate_member(packed: _Packed, unpacker: _Unpacker, body: bytearray, most: int) -> None:
    data = b""
    while not unpacker.eof:
        data = data or packed.take()
        piece = unpacker.decompress(data, _PIECE)
        data = unpacker.unconsumed_tail
        if not (piece or data or packed.has_more or unpacker.eof):
            raise zlib.error("it ends in the middle")
        body += piece
        if len(body) > most:
            raise _too_large(most)
    packed.give_back(len(unpacker.unused_data))


class _Packed:
    """A packed body that is taken in parts. To copy the rest of it for each member would take hours for many small ones."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def has_more(self) -> bool:
        return self._at < len(self._data)

    def take(self) -> bytes:
        part = self._data[self._at : self._at + _PACKED]
        self._at += len(part)
        return part

    def give_back(self, size: int) -> None:
        self._at -= size


def _too_large(most: int) -> CallFailed:
    return CallFailed(
        "TooLarge",
        f"the response has more than {most:,} bytes; [capabilities.http] max_response says how many it may have",
    )
