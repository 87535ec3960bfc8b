"""The canonical codec: DAG-CBOR, strict in both directions.

The law: `decode` accepts a block only if `encode` of what it gives writes the same bytes again.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import libipld
from msgspec import Struct

from understudy.objects.errors import NotCanonical, TooLarge
from understudy.objects.ids import Id, node_id, raw_id
from understudy.objects.wording import type_with_article

MAX_BLOCK: Final = 2 * 1024 * 1024  # what every IPFS peer accepts
MAX_RAW: Final = 1024 * 1024  # above, a blob is a node of chunks: one form for the same bytes
MAX_DEPTH: Final = 64
_MAX_INT: Final = 2**63 - 1
_ALLOWED: Final = frozenset({str, bytes, int, list, dict, type(None)})


class Block(Struct, frozen=True, gc=False):
    """An id and the bytes that hash to it. A Struct is made in a fifth of the time of a NamedTuple, and a step makes five."""

    id: Id
    data: bytes


def encode(node: Any) -> bytes:
    """The DAG-CBOR of plain dicts, lists, texts, integers, None and ids.

    `bytes` that parse as a CID become links; other bytes are only legal inside a HAMT. Raises TooLarge.
    """
    data: bytes = libipld.encode_dag_cbor(node)
    if len(data) > MAX_BLOCK:
        raise _too_large(data)
    return data


def decode(data: bytes) -> Any:
    """The node in a block, as plain values; links and byte strings both come as `bytes`. Raises NotCanonical."""
    if len(data) > MAX_BLOCK:
        raise TooLarge(f"a block of {len(data):,} bytes: at most {MAX_BLOCK:,} are allowed")
    try:
        node = libipld.decode_dag_cbor(data)
        _check_values(node)
        again = libipld.encode_dag_cbor(node)
    except (ValueError, RecursionError, OverflowError) as error:
        raise NotCanonical(f"not DAG-CBOR: {error}") from error
    if again != data:
        raise NotCanonical("not canonical DAG-CBOR: encoding it again gives other bytes")
    return node


def node_block(node: Any) -> Block:
    """Encode a node and name it."""
    data: bytes = libipld.encode_dag_cbor(node)
    if len(data) > MAX_BLOCK:
        raise _too_large(data)
    return Block(node_id(data), data)


def raw_block(data: bytes) -> Block:
    """Name a blob's bytes, or a chunk's. Raises TooLarge."""
    if len(data) > MAX_RAW:
        raise TooLarge(f"a raw block of {len(data):,} bytes: at most {MAX_RAW:,} are allowed")
    return Block(raw_id(data), data)


def _too_large(data: bytes) -> TooLarge:
    return TooLarge(f"a node of {len(data):,} bytes: a block has at most {MAX_BLOCK:,}")


def _check_values(node: Any) -> None:
    """Raise NotCanonical for a value of a kind that nodes do not hold, or for too deep a nesting."""
    level = [node]
    # A level at a time, so that the interpreter's own loops do the looking: this is on the way of every block that is read.
    for depth in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not _ALLOWED.issuperset(kinds):
            odd = next(value for value in level if type(value) not in _ALLOWED)
            raise NotCanonical(f"{type_with_article(odd)} ({odd!r}): nodes hold no floats and no booleans")
        if int in kinds:
            for value in level:
                if type(value) is int and not -_MAX_INT - 1 <= value <= _MAX_INT:
                    raise NotCanonical(f"the integer {value} does not fit into 64 bits")
        if list not in kinds and dict not in kinds:
            return
        if depth == MAX_DEPTH:
            break
        inside: list[Any] = []
        if list in kinds:
            inside += chain.from_iterable([value for value in level if type(value) is list])
        if dict in kinds:
            inside += chain.from_iterable([value.values() for value in level if type(value) is dict])
        level = inside
    raise NotCanonical(f"nested more than {MAX_DEPTH} deep")
