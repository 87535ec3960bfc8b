"""The kinds of nodes: what a node says it is, with every rule of that kind checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy.objects.blob import read_blob_node
from understudy.objects.errors import WrongKind
from understudy.objects.hamt import check_hamt_node
from understudy.objects.journal import read_journal
from understudy.objects.mailbox import read_big_mailbox
from understudy.objects.message import read_message
from understudy.objects.patch import read_patch
from understudy.objects.step import read_step
from understudy.objects.tree import describe_kind, read_tree_node

BLOB: Final = "blob"
TREE: Final = "tree"
MAILBOX: Final = "mailbox"
MESSAGE: Final = "message"
STEP: Final = "step"
PATCH: Final = "patch"
JOURNAL: Final = "journal"
MAP_NODE: Final = "map node"

_BY_KEY: Final[dict[str, tuple[str, Callable[[Any], object]]]] = {
    "blob": (BLOB, read_blob_node),
    "tree": (TREE, read_tree_node),
    "bigtree": (TREE, read_tree_node),
    "bigmailbox": (MAILBOX, read_big_mailbox),
    "message": (MESSAGE, read_message),
    "patch": (PATCH, read_patch),
    "journal": (JOURNAL, read_journal),
}


def check_node(node: Any) -> str:
    """The kind of a decoded node: one of the constants here. Raises WrongKind if it keeps not all rules of its kind."""
    if isinstance(node, list):
        check_hamt_node(node)
        return MAP_NODE
    if isinstance(node, dict) and node.keys() == {"parent", "data"}:
        read_step(node)
        return STEP
    if isinstance(node, dict) and len(node) == 1:
        found = _BY_KEY.get(next(iter(node)))
        if found is not None:
            kind, read = found
            read(node)
            return kind
    raise WrongKind(f"{describe_kind(node)} is of no known kind")
