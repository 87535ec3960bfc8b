"""Blobs: bytes, in one raw block up to 1 MiB and in a node of chunks above.

The law: the same bytes have the same id, however they were handed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from understudy.objects import ids
from understudy.objects.codec import MAX_RAW, Block, node_block, raw_block
from understudy.objects.errors import ObjectError, TooLarge, WrongKind
from understudy.objects.ids import BlobId, Id

CHUNK: Final = MAX_RAW
MAX_CHUNKS: Final = 40_000
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class BigBlob(Struct, frozen=True):
    """The node of a blob above 1 MiB: `size` in bytes, `sha256` of the whole, ids of the chunks in order."""

    size: int
    sha256: str
    chunks: tuple[Id, ...]


def blob_blocks(data: bytes) -> list[Block]:
    """The blocks of a blob, its own block last. Raises TooLarge above 40 GB."""
    if len(data) <= CHUNK:
        return [raw_block(data)]
    return list(stream_blocks(data[start : start + CHUNK] for start in range(0, len(data), CHUNK)))


def stream_blocks(pieces: Iterable[bytes]) -> Iterator[Block]:
    """The blocks of a blob whose bytes come in pieces of any length; the last one names the blob.

    Holds at most one chunk and one piece in memory.
    """
    whole, size, waiting = sha256(), 0, bytearray()
    chunks: list[Id] = []
    for piece in pieces:
        whole.update(piece)
        size += len(piece)
        waiting += piece
        # One byte more than a chunk must be there before the first is cut: a blob of 1 MiB is one raw block.
        while len(waiting) > CHUNK:
            yield _chunk(waiting[:CHUNK], chunks)
            del waiting[:CHUNK]
    if not chunks:
        yield raw_block(bytes(waiting))
        return
    yield _chunk(waiting, chunks)
    yield node_block(blob_node(BigBlob(size, whole.hexdigest(), tuple(chunks))))


def blob_node(blob: BigBlob) -> dict[str, Any]:
    """The node of a large blob."""
    return {"blob": {"size": blob.size, "sha256": blob.sha256, "chunks": list(blob.chunks)}}


def read_blob_node(node: Any) -> BigBlob:
    """A large blob's description out of its node. Raises WrongKind."""
    try:
        fields = node["blob"]
        blob = BigBlob(fields["size"], fields["sha256"], tuple(ids.from_bytes(chunk) for chunk in fields["chunks"]))
        fits = (len(blob.chunks) - 1) * CHUNK < blob.size <= len(blob.chunks) * CHUNK
        fits = fits and 2 <= len(blob.chunks) <= MAX_CHUNKS and all(map(ids.is_raw, blob.chunks))
        good = fits and _HEX.match(blob.sha256)
    except (KeyError, TypeError, ObjectError) as error:
        raise WrongKind(f"not a blob: {error}") from error
    if not good or blob_node(blob) != node:
        raise WrongKind("not a blob: size, sha256 and chunks do not fit together")
    return blob


def blob_id(data: bytes) -> BlobId:
    """The id that these bytes have as a blob."""
    return BlobId(blob_blocks(data)[-1].id)


def _chunk(data: bytearray, chunks: list[Id]) -> Block:
    if len(chunks) == MAX_CHUNKS:
        raise TooLarge(f"a blob has at most {MAX_CHUNKS:,} chunks of 1 MiB")
    block = raw_block(bytes(data))
    chunks.append(block.id)
    return block
