"""The shape of large maps: the nodes of an IPLD HashMap of bit width 4 and bucket size 3.

Only the shape and its checks; reading and changing one needs a store, see `store/maps.py`.
The specification: <https://ipld.io/specs/advanced-data-layouts/hamt/spec/>.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from understudy.objects.errors import WrongKind
from understudy.objects.ids import NODE

HASH_ALGORITHM: Final = 0x12  # sha2-256 in the multicodec table
BUCKET_SIZE: Final = 3
MAX_LEVELS: Final = 64  # the nibbles of a digest


class BigMap(Struct, frozen=True):
    """A large map as it stands in its owner: how many entries, and the root node `[bitmap, elements]`."""

    count: int
    root: list[Any]


def big_map_node(big: BigMap) -> list[Any]:
    """`[count, HashMapRoot]`."""
    return [big.count, {"hashAlg": HASH_ALGORITHM, "bucketSize": BUCKET_SIZE, "hamt": big.root}]


def read_big_map(value: Any, *, above: int) -> BigMap:
    """A large map out of its owner's node; `above` is the number of entries up to which it had to be flat. Raises WrongKind."""
    match value:
        case [int(count), {"hashAlg": 0x12, "bucketSize": 3, "hamt": root, **rest}] if count > above and not rest:
            return BigMap(count, check_hamt_node(root))
    raise WrongKind(f"not a large map: expected [count above {above}, {{hashAlg: 18, bucketSize: 3, hamt}}]")


def check_hamt_node(node: Any) -> list[Any]:
    """The node, if it is `[bitmap, elements]` with as many elements as bits, ordered buckets and node links. Raises WrongKind."""
    match node:
        case [bytes(bitmap), list(elements)] if len(bitmap) == 2:
            if int.from_bytes(bitmap, "little").bit_count() == len(elements) and all(map(_is_element, elements)):
                return node
    raise WrongKind("not a node of a large map: expected [bitmap of two bytes, as many elements as bits]")


def _is_element(element: Any) -> bool:
    if isinstance(element, bytes):
        return len(element) == 36 and element[:4] == NODE
    if not isinstance(element, list) or not 1 <= len(element) <= BUCKET_SIZE:
        return False
    if not all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes) for entry in element):
        return False
    keys = [entry[0] for entry in element]
    return all(a < b for a, b in zip(keys, keys[1:], strict=False))
