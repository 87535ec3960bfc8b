"""All kinds of nodes in one place, for those who meet a node and do not know what it is.

The law: a node that is none of these kinds, or breaks a rule of its kind, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy.objects.blob import read_blob_node
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.hamt import check_inner_node
from understudy.objects.journal import read_journal
from understudy.objects.mailbox import read_big_mailbox
from understudy.objects.message import read_message
from understudy.objects.patch import read_patch
from understudy.objects.step import read_step
from understudy.objects.tree import read_tree_node

_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "blob": read_blob_node,
    "tree": read_tree_node,
    "bigtree": read_tree_node,
    "bigmailbox": read_big_mailbox,
    "message": read_message,
    "patch": read_patch,
    "journal": read_journal,
}


def read_any(node: Any) -> Any:
    """What a decoded node is, read by the rules of its kind; for inner nodes of large maps the node itself.

    Judges this one block, not what it links to. Raises WrongKind.
    """
    try:
        return _reader(node)(node)
    except ObjectError as error:
        raise error if isinstance(error, WrongKind) else WrongKind(str(error)) from error


def _reader(node: Any) -> Callable[[Any], Any]:
    if isinstance(node, list):
        return check_inner_node
    if isinstance(node, dict):
        if len(node) == 1:
            kind = next(iter(node))
            if kind in _READERS:
                return _READERS[kind]
        if set(node) == {"parent", "data"}:
            return read_step
    raise WrongKind(f"a node of no known kind: {str(node)[:80]}")
