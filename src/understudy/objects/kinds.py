"""All kinds of objects in one place, for those who meet a node and do not know what it is.

The law: a node that is none of these kinds, or breaks a rule of its kind, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.blob import read_blob_node
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.hamt import check_inner_node
from understudy.objects.journal import read_journal
from understudy.objects.mailbox import read_big_mailbox
from understudy.objects.message import read_message
from understudy.objects.patch import read_patch
from understudy.objects.step import read_step
from understudy.objects.tree import read_tree_node

# What a link may have to lead to.
ANY: Final = "any"
BLOB: Final = "blob"
TREE: Final = "tree"
MESSAGE: Final = "message"
PATCH: Final = "patch"
JOURNAL: Final = "journal"
STEP: Final = "step"
MAILBOX: Final = "mailbox"
INNER: Final = "inner node of a large map"

_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    BLOB: read_blob_node,
    TREE: read_tree_node,
    MAILBOX: read_big_mailbox,
    MESSAGE: read_message,
    PATCH: read_patch,
    JOURNAL: read_journal,
    STEP: read_step,
    INNER: check_inner_node,
}
_KINDS: Final = {
    "blob": BLOB,
    "tree": TREE,
    "bigtree": TREE,
    "bigmailbox": MAILBOX,
    "message": MESSAGE,
    "patch": PATCH,
    "journal": JOURNAL,
}
# The head of a map of one entry and its key; of a step's map and its first key; of a list of two.
_STARTS: Final = {
    **{bytes([0xA1, 0x60 + len(key)]) + key.encode(): kind for key, kind in _KINDS.items()},
    b"\xa2\x64data": STEP,
    b"\x82": INNER,
}


def read_any(node: Any) -> Any:
    """What a decoded node is, read by the rules of its kind; for inner nodes of large maps the node itself.

    Judges this one block, not what it links to. Raises WrongKind.
    """
    try:
        return _reader(node)(node)
    except ObjectError as error:
        raise error if isinstance(error, WrongKind) else WrongKind(str(error)) from error


def kind_of(node: Any) -> str:
    """The kind of a decoded node, by its key alone. Raises WrongKind for one of no known kind."""
    if isinstance(node, list):
        return INNER
    if isinstance(node, dict):
        if len(node) == 1:
            kind = _KINDS.get(next(iter(node)))
            if kind is not None:
                return kind
        if set(node) == {"parent", "data"}:
            return STEP
    raise WrongKind(f"a node of no known kind: {str(node)[:80]}")


def kind_of_block(id: bytes, data: bytes) -> str | None:
    """The kind of an object by the first bytes of its block; None for one of no known kind. Decodes nothing."""
    if ids.is_raw(id):
        return BLOB
    return next((kind for start, kind in _STARTS.items() if data.startswith(start)), None)


def _reader(node: Any) -> Callable[[Any], Any]:
    return _READERS[kind_of(node)]
