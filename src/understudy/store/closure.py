"""Closures: that everything an object links to is there, undamaged, and what the format wants at that place.

The law: what was good in the object before is not read again, so a step costs what it changed, however large its core is.
An object that was compared with the one before it is good only if that one is. So it counts as checked against that one
alone: a history may be checked from its head down, and a core may come back after others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from understudy.objects import ids
from understudy.objects.blob import BigBlob
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import Id
from understudy.objects.kinds import ANY, BLOB, MAILBOX, MESSAGE, TREE, kind_of, read_any
from understudy.objects.names import check_name
from understudy.objects.tree import MAX_NESTED
from understudy.objects.wording import with_article
from understudy.store.errors import Corrupt, Missing, StoreError
from understudy.store.hamt import MapCheck
from understudy.store.maps import mailbox_changes, small_entries, tree_changes
from understudy.store.nesting import check_nesting
from understudy.store.reader import Reader
from understudy.store.walk import typed_links

MAX_KNOWN: Final = 200_000  # ids kept from one check to the next, to save reading again: some 40 MB
_NOTHING: Final = object()  # what no entry is equal to, not even one that is null
_ANYWHERE: Final = MAX_NESTED + 1  # a level that none goes beyond: only trees care where they stand


class _Visit(NamedTuple):
    """An object to look at: the kind it must have, and how deep in trees of trees it stands."""

    id: bytes
    kind: str
    level: int
    owner: bytes | None
    old: bytes | None  # what stood in its place before, and is checked too, now or later


class Closure:
    """Checks objects of one store, and remembers the last ones that were good."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._is_deeper: bool = False  # a known tree was found deeper in trees than before
        self._forget()

    def check(self, id: bytes, kind: str = ANY, *, old: bytes | None = None, owner: bytes | None = None) -> None:
        """Read an object, which must be of a kind, and all below it that `old` does not hold at the same place.

        `old` is an object that the caller checks too, before or after this one. Raises Missing, which names who links to it, and Corrupt,
        which names the block that is wrong. Large maps are read as they are checked: in memory is one path through them,
        and the ids of all nodes. Those can't be forgotten before the end: what holds the same tree twice on each level
        would be read 2^levels times.
        """
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
            self._first.clear()
        if ids.is_raw(id):
            self._check_raw(id, kind, owner)
            return
        if old is not None and kind in (ANY, TREE) and self._changes_only_blobs(id, old):
            return
        waiting = [iter([_Visit(id, kind, 1, owner, old)])]
        try:
            while waiting:
                visit = next(waiting[-1], None)
                if visit is None:
                    waiting.pop()
                elif visit.id != visit.old:
                    waiting.append(self._look(visit))
        except BaseException:
            # What was begun is not good because it was begun.
            self._forget()
            raise

    def _check_raw(self, id: bytes, kind: str, owner: bytes | None) -> None:
        """Check a block that links to nothing: most of what a step brings. It is good whatever stood there before."""
        if (id, None) not in self._known:
            try:
                self._reader.block(id)
            except Missing as error:
                raise Missing(error.id, None if owner is None else Id(owner)) from error
            if len(self._known) < MAX_KNOWN:
                self._known[id, None] = BLOB, _ANYWHERE
        if kind not in (ANY, BLOB):
            raise Corrupt(f"{Id(id)}: {_wrong_kind(kind, BLOB)}", Id(id))

    def _changes_only_blobs(self, id: bytes, old: bytes) -> bool:
        """Check a small tree in which nothing but blobs is new since `old`: most of what steps do, at a third of the price.

        False where it is anything else, or not good: then it is looked at the long way, which says what is wrong.
        """
        if self._first.setdefault(id, old) != old:
            return False
        try:
            before, now = small_entries(self._reader, old), small_entries(self._reader, id)
            if before is None or now is None:
                return False
            for name, link in now.items():
                if link == before.get(name, _NOTHING):
                    continue
                if name not in before:
                    check_name(name)
                if not ids.is_raw(ids.from_bytes(link)):
                    return False
                self._check_raw(link, ANY, id)
        except (ObjectError, StoreError):
            return False
        self._known[id, old] = TREE, 1
        return True

    def _look(self, visit: _Visit) -> Iterator[_Visit]:
        """Check one object, and give what is below it and has to be looked at."""
        visit = self._placed(visit)
        known = self._known.get((visit.id, None)) or self._known.get((visit.id, visit.old))
        try:
            if known is not None:
                _check_kind(visit, known[0])
                # How deep it goes is not read again here: the outermost tree is measured once, at the end.
                self._is_deeper |= visit.level > known[1]
                return
            node = self._read(visit)
            kind = BLOB if node is None else kind_of(node)
            _check_kind(visit, kind)
            if kind == TREE and visit.level > MAX_NESTED:
                raise WrongKind(f"trees are nested more than {MAX_NESTED} deep")
            self._remember(visit, kind, visit.level if kind == TREE else _ANYWHERE)
            if kind == TREE and visit.level == 1:
                yield from self._outermost(visit, node)
            elif kind != BLOB:
                yield from self._below(visit, kind, node)
        except ObjectError as error:
            raise Corrupt(f"{Id(visit.id)}: {error}", Id(visit.id)) from error
        except Missing as error:
            owner = Id(visit.id) if error.owner is None and error.id != visit.id else error.owner
            raise Missing(error.id, owner) from error

    def _placed(self, visit: _Visit) -> _Visit:
        """The visit with what the object is compared with: what stood in its first place, in any other place nothing.

        So no object is looked at more than twice, however many places it stands in.
        """
        if visit.old is None or self._first.setdefault(visit.id, visit.old) == visit.old:
            return visit
        return visit._replace(old=None)

    def _outermost(self, visit: _Visit, node: Any) -> Iterator[_Visit]:
        """What is below a tree that stands in no other, and then how deep it is, where the walk could not tell."""
        outside, self._is_deeper = self._is_deeper, False
        yield from self._below(visit, TREE, node)
        if self._is_deeper:
            check_nesting(self._reader, visit.id, self._before(visit, TREE))
        self._is_deeper = outside

    def _read(self, visit: _Visit) -> Any:
        """The node, None for a raw block."""
        try:
            if ids.is_raw(visit.id):
                self._reader.block(visit.id)
                return None
            node = self._reader.node(visit.id)
        except Missing as error:
            raise Missing(error.id, None if visit.owner is None else Id(visit.owner)) from error
        # The entries of a tree are read by who compares them with those before.
        if kind_of(node) != TREE and isinstance(read_any(node), BigBlob):
            for _ in self._reader.open_blob(visit.id):
                pass  # Reading to the end compares the chunks with the node.
        return node

    def _below(self, visit: _Visit, kind: str, node: Any) -> Iterator[_Visit]:
        """What an object links to, and what stood in each place before."""
        id, level = visit.id, visit.level
        if kind == TREE:
            # What is known of a large map holds for those that are nested as deep.
            changes = tree_changes(self._reader, self._maps, id, before=self._before(visit, TREE), kind=f"tree {level}")
            for _, link, old in changes:
                if ids.is_raw(link):
                    self._check_raw(link, ANY, id)
                else:
                    yield _Visit(link, ANY, level + 1, id, old)
        elif kind == MAILBOX:
            for _, cursor, _ in mailbox_changes(self._reader, self._maps, id, before=self._before(visit, MAILBOX)):
                yield _Visit(cursor.message, MESSAGE, 1, id, None)
        else:
            for link, wanted in typed_links(node):
                yield _Visit(link, wanted, 1, id, None)

    def _before(self, visit: _Visit, kind: str) -> bytes | None:
        """What stood in an object's place, if it can be compared with it."""
        old = visit.old
        return old if old is not None and not ids.is_raw(old) and kind_of(self._reader.node(old)) == kind else None

    def _forget(self) -> None:
        self._is_deeper = False
        # By the object and what it was compared with (None: nothing): the kind, and how deep in trees of trees it was good.
        self._known: dict[tuple[bytes, bytes | None], tuple[str, int]] = {}
        self._first: dict[bytes, bytes] = {}
        self._maps = MapCheck(self._reader)

    def _remember(self, visit: _Visit, kind: str, level: int) -> None:
        # A block that links to nothing may be read again, and is good whatever stood there before.
        if not ids.is_raw(visit.id):
            self._known[visit.id, visit.old] = kind, level
        elif len(self._known) < MAX_KNOWN:
            self._known[visit.id, None] = kind, level


def _check_kind(visit: _Visit, kind: str) -> None:
    if visit.kind not in (ANY, kind):
        raise WrongKind(_wrong_kind(visit.kind, kind))


def _wrong_kind(wanted: str, found: str) -> str:
    return f"{with_article(found)} stands where {with_article(wanted)} belongs"
