"""The canonical codec: DAG-CBOR, strict in both directions.

The law: `decode` accepts a block only if `encode` of what it gives writes the same bytes again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import libipld

from understudy.objects.errors import NotCanonical, TooLarge
from understudy.objects.ids import Id, node_id, raw_id

MAX_BLOCK: Final = 2 * 1024 * 1024  # what every IPFS peer accepts
MAX_RAW: Final = 1024 * 1024  # above, a blob is a node of chunks: one form for the same bytes
MAX_DEPTH: Final = 64
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**63 - 1


class Block(NamedTuple):
    """An id and the bytes that hash to it."""

    id: Id
    data: bytes


def encode(node: Any) -> bytes:
    """The DAG-CBOR of plain dicts, lists, texts, integers, None and ids.

    `bytes` that parse as a CID become links; other bytes are only legal inside a HAMT. Raises TooLarge.
    """
    data: bytes = libipld.encode_dag_cbor(node)
    if len(data) > MAX_BLOCK:
        raise TooLarge(f"a node of {len(data):,} bytes: a block has at most {MAX_BLOCK:,}")
    return data


def decode(data: bytes) -> Any:
    """The node in a block, as plain values; links and byte strings both come as `bytes`. Raises NotCanonical."""
    if len(data) > MAX_BLOCK:
        raise TooLarge(f"a block of {len(data):,} bytes: at most {MAX_BLOCK:,} are allowed")
    try:
        node = libipld.decode_dag_cbor(data)
        _check_values([node], MAX_DEPTH + 1)
        again = libipld.encode_dag_cbor(node)
    except (ValueError, RecursionError, OverflowError) as error:
        raise NotCanonical(f"not DAG-CBOR: {error}") from error
    if again != data:
        raise NotCanonical("not canonical DAG-CBOR: encoding it again gives other bytes")
    return node


def node_block(node: Any) -> Block:
    """Encode a node and name it."""
    data = encode(node)
    return Block(node_id(data), data)


def raw_block(data: bytes) -> Block:
    """Name a blob's bytes, or a chunk's. Raises TooLarge."""
    if len(data) > MAX_RAW:
        raise TooLarge(f"a raw block of {len(data):,} bytes: at most {MAX_RAW:,} are allowed")
    return Block(raw_id(data), data)


def _check_values(value: Any, depth: int) -> None:
    """Raise NotCanonical unless all that is inside a value is what a node may hold."""
    if depth == 0:
        raise NotCanonical(f"nested more than {MAX_DEPTH} deep")
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        # The common kinds first, and no call for what has nothing inside: half of the time of decoding is spent here.
        if kind is bytes or kind is str or item is None:
            continue
        if kind is list or kind is dict:
            _check_values(item, depth - 1)
        elif kind is not int:
            raise NotCanonical(f"a {kind.__name__} ({item!r}): nodes hold no floats and no booleans")
        elif not _MIN_INT <= item <= _MAX_INT:
            raise NotCanonical(f"the integer {item} does not fit into 64 bits")
