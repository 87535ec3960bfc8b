"""Nesting: how deep trees stand in trees.

The law: no step leaves a tree behind, and none is sent, that a reader of the history would refuse for its depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id
from understudy.objects.kinds import BLOB, PATCH, TREE, kind_of
from understudy.objects.tree import MAX_NESTED
from understudy.store.hamt import Nodes
from understudy.store.maps import new_nodes
from understudy.store.walk import links

_NO_TREE: Final = 0


def check_nesting(nodes: Nodes, id: bytes, before: bytes | None = None) -> None:
    """Raise WrongKind if trees are nested too deep in a tree or in what a patch brings; Missing for a link to nothing.

    Costs what is new since `before`, a tree that is good, however often the same tree stands in others.
    """
    heights = _Heights(nodes)
    waiting: list[tuple[bytes, bytes | None]] = [(id, before)]
    seen: set[bytes] = set()
    while waiting:
        at, old = waiting.pop()
        kind = _kind(nodes, at)
        if kind == TREE and at != old:
            patches = heights.measure(at, old if old is not None and _kind(nodes, old) == TREE else None)
        else:
            patches = [at] if kind == PATCH else []
        # What a patch brings is nested from its own place on.
        new = [patch for patch in patches if patch not in seen]
        seen.update(new)
        waiting += [(link, None) for patch in new for link in links(nodes.node(patch))]


class _Open:
    """A tree that is being measured: what is left to look at below it, and its height as far as that is known."""

    __slots__ = ("below", "height", "place")

    def __init__(self, nodes: Nodes, place: tuple[bytes, bytes | None]) -> None:
        self.place = place
        self.below: Iterator[tuple[Id, Id | None]] = new_nodes(nodes, *place)
        self.height = 1


class _Heights:
    """How high trees are, each measured once: what holds the same tree twice on each level has 2^levels paths."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._known: dict[tuple[bytes, bytes | None], int] = {}
        self._first: dict[bytes, bytes | None] = {}  # what stood before in the first place where a tree was found

    def measure(self, tree: bytes, old: bytes | None) -> list[bytes]:
        """Check a tree and all that is new below it; gives the patches that stand in it. Raises WrongKind."""
        patches: list[bytes] = []
        path = [_Open(self._nodes, (tree, old))]
        while path:
            tree_above = path[-1]
            found = next(tree_above.below, None)
            if found is None:
                path.pop()
                self._known[tree_above.place] = tree_above.height
                if path:
                    path[-1].height = max(path[-1].height, tree_above.height + 1)
                continue
            place = self._place(*found)
            height = self._known.get(place)
            if height is None:
                kind = _kind(self._nodes, place[0])
                patches += [place[0]] if kind == PATCH else []
                height = None if kind == TREE else self._known.setdefault(place, _NO_TREE)
            if len(path) + (1 if height is None else height) > MAX_NESTED:
                raise WrongKind(f"trees are nested more than {MAX_NESTED} deep")
            if height is None:
                path.append(_Open(self._nodes, place))
            else:
                tree_above.height = max(tree_above.height, height + 1)
        return patches

    def _place(self, tree: Id, old: Id | None) -> tuple[bytes, bytes | None]:
        """What a tree is measured against: what stood in its first place, in any other place nothing.

        So none is measured more than twice.
        """
        good = old if old is not None and _kind(self._nodes, old) == TREE else None
        return (tree, good) if self._first.setdefault(tree, good) == good else (tree, None)


def _kind(nodes: Nodes, id: bytes) -> str:
    return BLOB if ids.is_raw(id) else kind_of(nodes.node(id))
