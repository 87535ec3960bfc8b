"""Closures: that everything an object links to is there, undamaged and of a known kind.

The law: what was good in the step before is not read again, so a step costs what it changed, however large its core is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.blob import BigBlob
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id
from understudy.objects.kinds import read_any
from understudy.store.errors import Corrupt, Missing
from understudy.store.reader import Reader
from understudy.store.walk import links

MAX_KNOWN: Final = 200_000  # ids kept to save reading again: some 25 MB

_Slots = Mapping[object, bytes]
_NONE: Final[_Slots] = {}


class Closure:
    """Checks objects of one store, and remembers the last ones that were good."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: set[bytes] = set()

    def check(self, id: bytes, *, old: bytes | None = None, owner: bytes | None = None) -> None:
        """Read an object and all below it that `old`, an object checked before, does not hold at the same place.

        Raises Missing, which names who links to it, and Corrupt.
        """
        if id == old:
            return
        waiting = [(id, owner, _NONE if old is None else self._slots_of(old))]
        while waiting:
            at, above, before = waiting.pop()
            if at in self._known:
                continue
            node = self._read(at, above)
            if node is not None:
                for slot, link in _slots(node).items():
                    if before.get(slot) != link:
                        waiting.append((link, at, self._below(before, slot)))
            self._remember(at)

    def _below(self, old_slots: _Slots, slot: object) -> _Slots:
        """Where to look for what stood below a slot: in the object that was there, or else beside it.

        Any pairing is sound, because only an equal id is left out.
        """
        old = old_slots.get(slot)
        return old_slots if old is None else self._slots_of(old)

    def _slots_of(self, id: bytes) -> _Slots:
        return _NONE if ids.is_raw(id) else _slots(self._reader.node(id))

    def _read(self, id: bytes, owner: bytes | None) -> Any:
        """The node, None for a raw block."""
        try:
            if ids.is_raw(id):
                self._reader.block(id)
                return None
            node = self._reader.node(id)
            read = read_any(node)
            if isinstance(read, BigBlob):
                for _ in self._reader.open_blob(id):
                    pass  # Reading to the end compares the chunks with the node.
            return node
        except Missing as error:
            raise Missing(error.id, Id(owner) if owner is not None and error.id == id else error.owner) from error
        except ObjectError as error:
            raise Corrupt(f"{Id(id)}: {error}", Id(id)) from error

    def _remember(self, id: bytes) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known.add(id)


def _slots(node: Any) -> dict[object, bytes]:
    """The links of a node by the place where they stand."""
    match node:
        case {"tree": dict(entries)}:
            return dict(entries)
        case {"bigtree": [_, root]} | {"bigmailbox": [_, root]}:
            return _map_slots(root["hamt"])
        case [bytes(), list()]:
            return _map_slots(node)
    return dict(enumerate(links(node)))


def _map_slots(node: list[Any]) -> dict[object, bytes]:
    bitmap, elements = int.from_bytes(node[0], "little"), node[1]
    bits = [bit for bit in range(16) if bitmap >> bit & 1]
    found: dict[object, bytes] = {}
    for bit, element in zip(bits, elements, strict=True):
        if isinstance(element, bytes):
            found[bit] = element
        else:
            # A tree keeps the link itself, a mailbox [seq, link].
            found.update({key: value if isinstance(value, bytes) else value[1] for key, value in element})
    return found
