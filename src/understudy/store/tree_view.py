"""A tree as a mapping."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any, TypeVar, overload

from understudy.objects.hamt import BigMap
from understudy.objects.ids import Id
from understudy.store.hamt import Nodes
from understudy.store.maps import find_big, tree_pairs

_T = TypeVar("_T")


class TreeView(Mapping[str, Id]):
    """A tree as a mapping of names to ids. A large one loads only what is touched.

    A flat tree lists its entries by name. A large one lists them in the order of its HAMT, along the sha256 of the
    names: just as fixed, and without loading all of it first.
    """

    __slots__ = ("_entries", "_nodes")

    def __init__(self, nodes: Nodes, entries: dict[str, Id] | BigMap) -> None:
        self._nodes = nodes
        self._entries = entries

    def __getitem__(self, name: str) -> Id:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __len__(self) -> int:
        return len(self._entries) if isinstance(self._entries, dict) else self._entries.count

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs())

    @overload
    def get(self, name: str, /) -> Id | None: ...
    @overload
    def get(self, name: str, default: Id | _T, /) -> Id | _T: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """The id of an entry, or the default."""
        found = self._find(name)
        return default if found is None else found

    def items(self) -> ItemsView[str, Id]:
        """Names and ids, in the order of iteration; one pass over a large tree."""
        return _Items(self)

    def values(self) -> ValuesView[Id]:
        """The ids, in the order of iteration."""
        return _Values(self)

    def __repr__(self) -> str:
        return f"<TreeView of {len(self):,} entries>"

    def _find(self, name: str) -> Id | None:
        if isinstance(self._entries, dict):
            return self._entries.get(name)
        return find_big(self._nodes, self._entries, name)

    def _pairs(self) -> Iterator[tuple[str, Id]]:
        return tree_pairs(self._nodes, self._entries)


class _Items(ItemsView[str, Id]):
    _mapping: TreeView

    def __iter__(self) -> Iterator[tuple[str, Id]]:
        return self._mapping._pairs()


class _Values(ValuesView[Id]):
    _mapping: TreeView

    def __iter__(self) -> Iterator[Id]:
        return (id for _, id in self._mapping._pairs())
