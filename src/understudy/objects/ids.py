"""Ids: the CID of a block, binary inside and text at the edge.

The law: an id is exactly 36 bytes, `0x01`, codec, `0x12 0x20`, sha2-256 of the block.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NewType

import libipld

from understudy.objects.errors import BadId


class Id(bytes):
    """A binary CIDv1 of 36 bytes. `str(id)` is its text form, 59 characters."""

    __slots__ = ()

    def __str__(self) -> str:
        return libipld.encode_multibase("b", self)

    def __repr__(self) -> str:
        return f"Id({str(self)!r})"


BlobId = NewType("BlobId", Id)
TreeId = NewType("TreeId", Id)
ActorId = NewType("ActorId", TreeId)
MessageId = NewType("MessageId", Id)
StepId = NewType("StepId", Id)

RAW: Final = b"\x01\x55\x12\x20"
NODE: Final = b"\x01\x71\x12\x20"
_PREFIXES: Final = frozenset({RAW, NODE})
ID_BYTES: Final = 36
TEXT_LENGTH: Final = 59
# The last two bits of the prefix are in the eighth character, and in the last one two bits are spare: they are 0.
_NODE_TEXT: Final = re.compile(r"bafyrei[a-h][a-z2-7]{50}[aeimquy4]")
SHARED_PREFIX: Final = 7  # "bafkrei" or "bafyrei": says nothing, so short forms skip it


def raw_id(block: bytes) -> Id:
    """The id of a raw block."""
    return Id(RAW + sha256(block).digest())


def node_id(block: bytes) -> Id:
    """The id of a dag-cbor block."""
    return Id(NODE + sha256(block).digest())


def is_raw(id: bytes) -> bool:
    """True for a blob's bytes or a chunk, false for a node."""
    return id[:4] == RAW


def is_id(data: bytes) -> bool:
    """True if some bytes are an id, as `from_bytes` takes them."""
    return len(data) == ID_BYTES and data[:4] in _PREFIXES


def digest(id: bytes) -> bytes:
    """The sha2-256 inside an id, 32 bytes."""
    return bytes(id[4:])


def matches(id: bytes, block: bytes) -> bool:
    """True if the block hashes to the id."""
    return sha256(block).digest() == id[4:]


def from_bytes(data: bytes) -> Id:
    """An id from its binary form, or from what stands where one should. Raises BadId."""
    if not isinstance(data, bytes):
        raise BadId(f"no id: {data!r} is not a byte string")
    if len(data) != ID_BYTES or data[:4] not in _PREFIXES:
        raise BadId(f"no id: {data[:40].hex() or 'nothing'} is not a CIDv1 (raw or dag-cbor) with sha2-256")
    return Id(data)


def node_from_bytes(data: bytes) -> Id:
    """Like `from_bytes`, where only a node can be meant. Raises BadId for a blob's id too."""
    id = from_bytes(data)
    if data[:4] != NODE:
        raise BadId(f"{id} is the id of a raw block, and a node's id is expected")
    return id


def parse(text: str) -> Id:
    """An id from its text form (multibase b). Raises BadId."""
    if len(text) == TEXT_LENGTH and text[0] == "b":
        try:
            id = from_bytes(libipld.decode_multibase(text)[1])
        except ValueError:
            pass
        else:
            # Base32 has spare bits at the end: only one of the spellings is ours.
            if str(id) == text:
                return id
    raise BadId(f"no id: {text[:80]!r} (an id has 59 characters and begins with bafyrei or bafkrei)")


def is_node_text(text: str) -> bool:
    """True if `parse` takes the text and gives a node's id; for who needs no more."""
    return _NODE_TEXT.fullmatch(text) is not None


def short(id: bytes) -> str:
    """A form for people: ten characters after the shared prefix."""
    return str(Id(id))[SHARED_PREFIX : SHARED_PREFIX + 10]
