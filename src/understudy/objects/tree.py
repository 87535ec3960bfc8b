"""Trees: names to ids. Flat up to 64 entries; above, the root of a HAMT that `store/maps.py` keeps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.hamt import BigMap, big_map_node, read_big_map
from understudy.objects.ids import Id
from understudy.objects.names import check_names
from understudy.objects.wording import with_article

MAX_NESTED: Final = 256  # trees in trees: enough for data, and a recursive reader in any language gets to the end
FLAT: Final = 64  # above, changing one entry of a HAMT is cheaper than writing the flat map again


def flat_tree_node(entries: Mapping[str, bytes]) -> dict[str, Any]:
    """The node of a tree of at most 64 entries whose names were checked.

    In the order of the block: a wit that looks at the node must not see whether it was decoded or only just made.
    """
    return {"tree": {name: entries[name] for name in sorted(entries, key=_place)}}


def big_tree_node(big: BigMap) -> dict[str, Any]:
    """The node of a tree above 64 entries."""
    return {"bigtree": big_map_node(big)}


def is_tree_node(node: Any) -> bool:
    """True if the node says that it is a tree."""
    return isinstance(node, dict) and len(node) == 1 and ("tree" in node or "bigtree" in node)


def read_tree_node(node: Any) -> dict[str, Id] | BigMap:
    """The entries of a flat tree, or the large map. Raises WrongKind, BadName."""
    if not is_tree_node(node):
        raise WrongKind(f"not a tree: {describe_kind(node)}")
    if "bigtree" in node:
        return read_big_map(node["bigtree"], above=FLAT)
    flat = node["tree"]
    if not isinstance(flat, dict) or len(flat) > FLAT:
        raise WrongKind(f"not a tree: more than {FLAT} entries in a flat one")
    try:
        check_names(flat)
        return {name: ids.from_bytes(id) for name, id in flat.items()}
    except (TypeError, ObjectError) as error:
        raise WrongKind(f"not a tree: {error}") from error


@lru_cache(maxsize=4096)
def _place(name: str) -> tuple[int, str]:
    # UTF-8 sorts like the code points it stands for.
    return len(name.encode()), name


def describe_kind(node: Any) -> str:
    """What a node says it is, for an error message."""
    if isinstance(node, bytes):
        return "a blob"
    if not isinstance(node, dict):
        return "an inner node of a large map" if isinstance(node, list) else type(node).__name__
    if set(node) == {"parent", "data"}:
        return "a step"
    return with_article(str(next(iter(node)))) if len(node) == 1 else "a node with several keys"
