"""Reading and staging objects: what everybody above the store sees of it.

A `Reader` cannot write, by type. A `Staging` collects the blocks of one step without touching the store.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from understudy.objects import ids
from understudy.objects.blob import BigBlob, blob_blocks, read_blob_node
from understudy.objects.codec import Block, decode, node_block
from understudy.objects.errors import WrongKind
from understudy.objects.ids import BlobId, Id, TreeId
from understudy.objects.journal import Entry, read_journal
from understudy.objects.message import Message, read_message
from understudy.objects.patch import Patch, read_patch
from understudy.objects.step import Step, read_step
from understudy.objects.tree import describe_kind, is_tree_node, read_tree_node
from understudy.objects.wording import type_with_article
from understudy.store.errors import Missing
from understudy.store.maps import build_tree, tree_entry
from understudy.store.tree_view import TreeView

_AT_HAND: Final = 16  # nodes that a staging keeps: a step looks at its core eight times, and may read a large map


class Reader:
    """Read objects by id. Every method raises Missing, Corrupt or WrongKind."""

    @abstractmethod
    def block(self, id: bytes) -> bytes:
        """The bytes of one block, checked against its id."""

    @abstractmethod
    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """Many blocks at once, checked; None where one is absent."""

    def node(self, id: bytes) -> Any:
        """A dag-cbor block, decoded. The value is shared: never change it."""
        if ids.is_raw(id):
            raise WrongKind(f"{Id(id)} is a blob, not a node")
        return decode(self.block(id))

    def has(self, id: bytes) -> bool:
        """True if the block is there."""
        return self.blocks([id])[0] is not None

    def step(self, id: bytes) -> Step:
        """A step."""
        return read_step(self.node(id))

    def message(self, id: bytes) -> Message:
        """A message."""
        return read_message(self.node(id))

    def patch(self, id: bytes) -> Patch:
        """A patch."""
        return read_patch(self.node(id))

    def journal(self, id: bytes) -> tuple[Entry, ...]:
        """The entries of a journal."""
        return read_journal(self.node(id))

    def tree(self, id: bytes) -> TreeView:
        """A tree, as a mapping of names to ids that loads what is touched."""
        return TreeView(self, read_tree_node(self.node(id)))

    def blob_info(self, id: bytes) -> BigBlob | None:
        """The description of a blob above 1 MiB; None for a raw block."""
        return None if ids.is_raw(id) else read_blob_node(self.node(id))

    def blob(self, id: bytes) -> bytes:
        """All bytes of a blob."""
        if ids.is_raw(id):
            return self.block(id)
        return b"".join(self.open_blob(id))

    def open_blob(self, id: bytes, start: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `start` on, a chunk at a time.

        Raises WrongKind where the chunks are not what the node says; the sha256 is compared when all of it was read.
        """
        big = self.blob_info(id)
        if big is None:
            yield self.block(id)[start:]
            return
        first, skip = divmod(start, 1024 * 1024)
        whole = sha256()
        for number, chunk in enumerate(big.chunks[first:], first):
            data = self.block(chunk)
            if len(data) != min(1024 * 1024, big.size - number * 1024 * 1024):
                raise WrongKind(f"not a blob: chunk {number} of {Id(id)} has {len(data):,} bytes")
            if start == 0:
                whole.update(data)
            yield data[skip:]
            skip = 0
        if start == 0 and whole.hexdigest() != big.sha256:
            raise WrongKind(f"not a blob: the chunks of {Id(id)} are not the bytes that its sha256 names")

    def find(self, root: bytes, path: str) -> Id | None:
        """The id at a path below a tree, None if there is nothing. An empty path is the root itself."""
        at = Id(root)
        for name in path.split("/") if path else ():
            if ids.is_raw(at) or not is_tree_node(self.node(at)):
                return None
            found = tree_entry(self, at, name)
            if found is None:
                return None
            at = found
        return at

    def kind(self, id: bytes) -> str:
        """What an object says it is: "a blob", "a tree", "a step", …"""
        return "a blob" if ids.is_raw(id) else describe_kind(self.node(id))


class Frozen(Reader):
    """A reader as code from outside may see it where nothing may be written.

    Each node is decoded for whoever asks, who may do with it what he likes: those of a cache are shared.
    """

    def __init__(self, base: Reader) -> None:
        self._base = base

    def block(self, id: bytes) -> bytes:
        return self._base.block(_id_of_code(id))

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return self._base.blocks([_id_of_code(id) for id in ids])


class Staging(Reader):
    """A reader with a place for new blocks: they can be read again at once, and are written only with their step."""

    def __init__(self, base: Reader) -> None:
        self.base = base
        self.new: dict[bytes, Block] = {}
        self.nodes: dict[bytes, Any] = {}  # the new nodes as they were before they were encoded
        self._at_hand: dict[bytes, Any] = {}  # these, and the first of the others that were read

    def block(self, id: bytes) -> bytes:
        staged = self.new.get(id)
        return staged.data if staged is not None else self.base.block(id)

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        missing = [id for id in ids if id not in self.new]
        found = dict(zip(missing, self.base.blocks(missing), strict=True)) if missing else {}
        return [self.new[id].data if id in self.new else found[id] for id in ids]

    def node(self, id: bytes) -> Any:
        node = self._at_hand.get(id)
        if node is not None:
            return node
        staged = self.new.get(id)
        node = self.base.node(id) if staged is None or ids.is_raw(id) else decode(staged.data)
        if len(self._at_hand) - len(self.nodes) < _AT_HAND:
            self._at_hand[id] = node
        return node

    def put(self, block: Block) -> Id:
        """Stage a block."""
        self.new[block.id] = block
        return block.id

    def put_node(self, node: Any) -> Id:
        """Encode and stage a node; it must not change afterwards."""
        block = node_block(node)
        self.new[block.id] = block
        self.nodes[block.id] = self._at_hand[block.id] = node
        return block.id

    def put_blob(self, data: bytes) -> BlobId:
        """Stage a blob of any size."""
        blocks = blob_blocks(data)
        for block in blocks:
            self.new[block.id] = block
        return BlobId(blocks[-1].id)

    def put_tree(self, entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> TreeId:
        """Stage a tree of any size. Raises BadName."""
        return build_tree(self, dict(entries))


class Decoded(Staging):
    """A staging as code from outside may see it: each node as it comes out of its block, and no link to nothing.

    A node that is still in flight is kept as it was before it was encoded, with its maps in another order and its links
    as ids: a wit that looked at it would see something else in a replay.
    """

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging.base)
        self.new = staging.new

    def block(self, id: bytes) -> bytes:
        return super().block(_id_of_code(id))

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return super().blocks([_id_of_code(id) for id in ids])

    def node(self, id: bytes) -> Any:
        if ids.is_raw(id):
            raise WrongKind(f"{Id(id)} is a blob, not a node")
        return decode(self.block(id))

    def put_tree(self, entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> TreeId:
        """Stage a tree of any size. Raises BadName, and Missing for a link to nothing."""
        named = dict(entries)
        for id in named.values():
            # Such a link would stop whoever gets the tree, and make our history impossible to export.
            if not self.has(id):
                raise Missing(Id(id))
        return super().put_tree(named)


def _id_of_code(id: bytes) -> bytes:
    """What code gave for an id. What is none is refused here, or each kind of store, and a replay, would say something else."""
    if not isinstance(id, bytes):
        raise TypeError(
            f"an id is bytes, and not {type_with_article(id)}; `understudy.objects.ids.parse` makes one of a text"
        )
    return id
