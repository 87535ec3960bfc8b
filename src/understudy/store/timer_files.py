"""Timers as they stand in a core."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.objects import ids
from understudy.objects.errors import BadTimer
from understudy.objects.ids import Id
from understudy.objects.timer import Timer, read_timer
from understudy.objects.tree import is_tree_node
from understudy.store.maps import entry_changes
from understudy.store.reader import Reader


def read_file(reader: Reader, id: Id) -> Timer:
    """The timer that an entry of `/timers` describes. Raises BadTimer, StoreError."""
    if not ids.is_raw(id):
        raise BadTimer(f"it is {reader.kind(id)}: a timer is a file of at most 1 MiB")
    return read_timer(reader.block(id))


def is_tree(reader: Reader, id: bytes) -> bool:
    """True for a tree, false for a blob and whatever else may stand at `/timers`."""
    return not ids.is_raw(id) and is_tree_node(reader.node(id))


def differences(reader: Reader, before: Id | None, after: Id | None) -> Iterator[tuple[str, Id | None]]:
    """Each name that differs between what stands at `/timers` in two cores, with what is there afterwards.

    What is no tree has no names. One after the other: of a million, most may be read later.
    """
    before = before if before and is_tree(reader, before) else None
    after = after if after and is_tree(reader, after) else None
    if before is None or after is None:
        yield from ((name, None) for name, _ in _entries(reader, before))
        yield from _entries(reader, after)
        return
    yield from entry_changes(reader, before, after)


def _entries(reader: Reader, tree: Id | None) -> Iterator[tuple[str, Id]]:
    return iter(()) if tree is None else iter(reader.tree(tree).items())
