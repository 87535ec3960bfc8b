"""The shape of large maps: the nodes of an IPLD HashMap of bit width 4 and bucket size 3.

Only the shape and its checks; reading and changing one needs a store, see `store/maps.py`.
The specification: <https://ipld.io/specs/advanced-data-layouts/hamt/spec/>.
"""

from __future__ import annotations

from itertools import pairwise
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
    """`[count, HashMapRoot]`, its fields in the order of the block."""
    return [big.count, {"hamt": big.root, "hashAlg": HASH_ALGORITHM, "bucketSize": BUCKET_SIZE}]


def read_big_map(value: Any, *, above: int) -> BigMap:
    """A large map out of its owner's node, its root checked; `above` entries still had to be flat. Raises WrongKind."""
    big = open_big_map(value, above=above)
    check_hamt_node(big.root)
    return big


def open_big_map(value: Any, *, above: int) -> BigMap:
    """Like `read_big_map`, but of the root only the bitmap is checked: for those who check each element they touch."""
    if type(value) is list and len(value) == 2 and type(value[0]) is int and value[0] > above:
        count, top = value
        if type(top) is dict and len(top) == 3 and top.get("hashAlg") == 0x12 and top.get("bucketSize") == BUCKET_SIZE:
            root: Any = top.get("hamt")
            bitmap_of(root)
            return BigMap(count, root)
    raise WrongKind(f"not a large map: expected [count above {above}, {{hashAlg: 18, bucketSize: 3, hamt}}]")


def bitmap_of(node: Any) -> int:
    """The bitmap of a node `[bitmap, elements]`, bit i for nibble i, one bit for each element. Raises WrongKind."""
    if type(node) is list and len(node) == 2:
        bitmap, elements = node
        if type(bitmap) is bytes and len(bitmap) == 2 and type(elements) is list:
            bits = bitmap[0] | bitmap[1] << 8
            if bits.bit_count() == len(elements):
                return bits
    raise WrongKind("not a node of a large map: expected [bitmap of two bytes, as many elements as bits]")


def check_hamt_node(node: Any) -> list[Any]:
    """The node, if each element is a link to a node or a bucket of 1 to 3 entries in order. Raises WrongKind."""
    bitmap_of(node)
    if not all(map(_is_element, node[1])):
        raise WrongKind("not a node of a large map: elements are links to nodes and buckets of 1 to 3 sorted entries")
    checked: list[Any] = node
    return checked


def check_inner_node(node: Any) -> list[Any]:
    """Like `check_hamt_node`, for a node below the root: three entries or fewer are no node. Raises WrongKind."""
    checked = check_hamt_node(node)
    if all(type(element) is list for element in checked[1]) and sum(map(len, checked[1])) <= BUCKET_SIZE:
        raise WrongKind(f"not a node of a large map: {BUCKET_SIZE} entries or fewer are a bucket of the node above")
    return checked


def _is_element(element: Any) -> bool:
    if isinstance(element, bytes):
        return len(element) == 36 and element[:4] == NODE
    if type(element) is not list or not 1 <= len(element) <= BUCKET_SIZE:
        return False
    # A link is decoded to bytes as well; as it begins with a control character, it is told from a key by that.
    if not all(type(e) is list and len(e) == 2 and type(e[0]) is bytes and e[0] >= b" " for e in element):
        return False
    return all(a[0] < b[0] for a, b in pairwise(element))
