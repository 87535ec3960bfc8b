"""What changed in a project's folder since it was last pushed: the smallest patch that brings an actor up to date.

The law: a push changes only files that the folder holds, or that an earlier push wrote. Files that the wit wrote are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from difflib import SequenceMatcher
from typing import Final

from msgspec import Struct

from understudy.node.intake.composing import LOCAL
from understudy.node.intake.cores import MAX_FILES
from understudy.node.looking.differences import compare_lines
from understudy.node.looking.lookup import MAX_PAGE
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.blob import blob_id
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.mailbox import UPDATE, mailbox_key
from understudy.objects.patch import Patch
from understudy.objects.tree import is_tree_node
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader

_MAX_DIFF_BYTES: Final = (
    128 * 1024
)  # of a file that is compared line by line; that takes time in the square of its length


class Change(Struct, frozen=True):
    """One path of a patch: new bytes or None (removed), and what was there before (None: nothing, or no blob)."""

    path: str
    before: bytes | None
    after: bytes | None

    @property
    def sign(self) -> str:
        """`+` for new, `-` for removed, `~` for changed."""
        return "-" if self.after is None else "+" if self.before is None else "~"

    def lines(self) -> tuple[int, int] | None:
        """How many lines were added and removed; None for a file that is no text."""
        before, after = _lines(self.before), _lines(self.after)
        if before is None or after is None:
            return None
        same = sum(block.size for block in SequenceMatcher(None, before, after).get_matching_blocks())
        return len(after) - same, len(before) - same

    def compared(self) -> list[str]:
        """What changed in a text, line by line. Empty for a file that is new, removed or no text."""
        before, after = _lines(self.before), _lines(self.after)
        return compare_lines(before, after) if before and after and self.sign == "~" else []


def find_changes(node: Node, actor: ActorId, files: Mapping[str, bytes]) -> list[Change]:
    """The changes since the last push, in the order of their paths."""
    reader = node.reader
    core = reader.step(node.actor(actor).head).core
    pushed = pushed_files(node, actor)
    wanted = {path: Id(blob_id(data)) for path, data in files.items()}
    found = []
    for path, id in wanted.items():
        # A file that is unchanged since the last push is not sent: the wit may have changed its copy.
        if pushed.get(path) != id and reader.find(core, path) != id:
            found.append(Change(path, _blob(reader, reader.find(core, path)), files[path]))
    for path in pushed:
        there = reader.find(core, path)
        if path not in wanted and there is not None and not any(above in wanted for above in _above(path)):
            found.append(Change(path, _blob(reader, there), None))
    found.extend(_taken_back(node, actor, files, {change.path for change in found}))
    return sorted(found, key=lambda change: change.path)


def _taken_back(node: Node, actor: ActorId, files: Mapping[str, bytes], changed: Set[str]) -> Iterator[Change]:
    """What updates that wait would change, and the folder has otherwise again.

    They may yet be refused, so what differs from the core of now is sent in any case.
    """
    reader = node.reader
    coming: dict[str, Id | None] = {}
    waiting = [one for one in node.pending(actor, limit=MAX_PAGE) if one.lane == UPDATE]
    for one in sorted(waiting, key=lambda one: one.seq):
        if one.sender == _own_party(node):
            coming |= reader.patch(reader.message(one.message).content)
    for path, id in coming.items():
        wanted = None if path not in files else Id(blob_id(files[path]))
        if path not in changed and id != wanted:
            yield Change(path, _blob(reader, id), files.get(path))


def pushed_files(node: Node, actor: ActorId) -> dict[str, Id]:
    """What was written into the core from outside: the files of the first core, then the updates in their order."""
    found = _Folder()
    found.put("", actor, node.reader)
    for patch in reversed(list(_patches(node, actor))):
        for path, id in patch.items():
            found.put(path, id, node.reader)
    return dict(found.files(""))


def patches_of(changes: Sequence[Change]) -> list[dict[str, bytes | None]]:
    """The changes as patches to send one after the other: a file that becomes a folder has to go first.

    What is more than one patch may hold is in several.
    """
    written = [change.path for change in changes if change.after is not None]
    folders = {above for path in written for above in _above(path)}
    in_the_way = {change.path for change in changes if change.after is None and change.path in folders}
    first: dict[str, bytes | None] = dict.fromkeys(sorted(in_the_way))
    rest = {change.path: change.after for change in changes if change.path not in in_the_way}
    names = list(rest)
    pieces = [{name: rest[name] for name in names[at : at + MAX_FILES]} for at in range(0, len(names), MAX_FILES)]
    return [patch for patch in (first, *pieces) if patch]


def _own_party(node: Node) -> str:
    """Who sends the pushes of this node's owner."""
    return f"out/{node.name}/{LOCAL}"


def _patches(node: Node, actor: ActorId) -> Iterator[Patch]:
    """The updates of this node's owner that took effect, newest first."""
    reader = node.reader
    head = reader.step(node.actor(actor).head)
    cursor = mailbox_get(reader, head.inbox, mailbox_key(_own_party(node), UPDATE))
    id = None if cursor is None else cursor.message
    while id is not None:
        message = reader.message(id)
        step = node.step_of(actor, message)
        is_patch = not ids.is_raw(message.content)  # an order to retry is no patch
        if is_patch and step is not None and reader.step(step).outcome is None:
            yield reader.patch(message.content)
        id = None if message.previous is None else MessageId(ids.parse(message.previous))


class _Folder:
    """Files by name. A patch of thousands of them costs what it holds, and not that for each file that is there."""

    def __init__(self) -> None:
        self._entries: dict[str, Id | _Folder] = {}

    def put(self, path: str, id: Id | None, reader: Reader) -> None:
        """What is at a path from now on, with all that a tree holds; None for nothing. The path "" is the folder itself."""
        *above, name = path.split("/")
        folder = self
        for each in above:
            inner = folder._entries.get(each)
            if not isinstance(inner, _Folder):
                if id is None:
                    return
                inner = folder._entries[each] = _Folder()
            folder = inner
        if id is None:
            folder._entries.pop(name, None)
        elif ids.is_raw(id) or not is_tree_node(reader.node(id)):
            folder._entries[name] = id
        else:
            fresh = folder if path == "" else _Folder()
            for entry, below in reader.tree(id).items():
                fresh.put(entry, below, reader)
            if fresh is not folder:
                folder._entries[name] = fresh

    def files(self, above: str) -> Iterator[tuple[str, Id]]:
        """Every file with its path, that of this folder before it."""
        for name, entry in self._entries.items():
            path = f"{above}/{name}" if above else name
            if isinstance(entry, _Folder):
                yield from entry.files(path)
            else:
                yield path, entry


def _above(path: str) -> Iterator[str]:
    """The folders that a path leads through."""
    names = path.split("/")
    return ("/".join(names[:count]) for count in range(1, len(names)))


def _blob(reader: Reader, id: Id | None) -> bytes | None:
    return reader.blob(id) if id is not None and reader.kind(id) == "a blob" else None


def _lines(data: bytes | None) -> list[str] | None:
    if data is None:
        return []
    if len(data) > _MAX_DIFF_BYTES or b"\0" in data:
        return None
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError:
        return None
