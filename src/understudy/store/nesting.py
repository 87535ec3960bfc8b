"""Nesting: how deep trees stand in trees.

The law: no step leaves a tree behind, and none is sent, that a reader of the history would refuse for its depth.
"""

from __future__ import annotations

from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.kinds import BLOB, PATCH, TREE, kind_of
from understudy.objects.tree import MAX_NESTED
from understudy.store.hamt import Nodes
from understudy.store.maps import new_nodes
from understudy.store.walk import links


def check_nesting(nodes: Nodes, id: bytes, before: bytes | None = None) -> None:
    """Raise WrongKind if trees are nested too deep in a tree or in what a patch brings; Missing for a link to nothing.

    Costs what is new since `before`, a tree that is good.
    """
    waiting: list[tuple[bytes, bytes | None, int]] = [(id, before, 1)]
    while waiting:
        at, old, level = waiting.pop()
        kind = _kind(nodes, at)
        if kind == PATCH:
            waiting += [(link, None, 1) for link in links(nodes.node(at))]
        if kind != TREE or at == old:
            continue
        if level > MAX_NESTED:
            raise WrongKind(f"trees are nested more than {MAX_NESTED} deep")
        good = old if old is not None and _kind(nodes, old) == TREE else None
        waiting += [(new, was, level + 1) for new, was in new_nodes(nodes, at, good)]


def _kind(nodes: Nodes, id: bytes) -> str:
    return BLOB if ids.is_raw(id) else kind_of(nodes.node(id))
