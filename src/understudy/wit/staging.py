"""What a wit may stage by itself: objects that a reader of its history takes.

The law: no wit can make its own history one that is refused, or its node's store one that `fsck` calls damaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from understudy.objects import ids
from understudy.objects.blob import BigBlob
from understudy.objects.codec import Block, decode, node_block
from understudy.objects.errors import WrongKind
from understudy.objects.hamt import BigMap
from understudy.objects.ids import Id, TreeId
from understudy.objects.kinds import ANY, kind_of_block, read_any
from understudy.objects.wording import with_article
from understudy.store.errors import Corrupt, Missing
from understudy.store.maps import check_map
from understudy.store.reader import Decoded
from understudy.store.verified import checked_block
from understudy.store.walk import typed_links


class CheckedStaging(Decoded):
    """A staging that takes blocks by the rules of docs/FORMAT.md only.

    `put` and `put_node` raise NotCanonical and WrongKind, and Missing for a link to nothing.
    """

    def put(self, block: Block) -> Id:
        """Stage a block."""
        try:
            good = checked_block(block.id, block.data)
        except Corrupt as error:
            # The wit's mistake, and no damage of the store.
            raise WrongKind(str(error)) from error
        if ids.is_raw(good.id):
            return super().put(good)
        return self._stage(good, decode(good.data))

    def put_node(self, node: Any) -> Id:
        """Encode and stage a node."""
        block = node_block(node)
        return self._stage(block, decode(block.data))

    def put_tree(self, entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> TreeId:
        """Stage a tree of any size. Raises BadName, and Missing for a link to nothing."""
        # What it is made of is right: only the links have to be looked at, and once.
        return Decoded(self).put_tree(entries)

    def _stage(self, block: Block, node: Any) -> Id:
        read = read_any(node)
        for link, kind in typed_links(node):
            self._check_link(link, kind)
        known = block.id in self.new
        self.new[block.id] = block
        try:
            if isinstance(read, BigMap):
                check_map(self, block.id)
            elif isinstance(read, BigBlob):
                for _ in self.open_blob(block.id):
                    pass  # Reading to the end compares the chunks with the node.
        except BaseException:
            if not known:
                del self.new[block.id]
            raise
        return block.id

    def _check_link(self, link: Id, kind: str) -> None:
        data = self.blocks([link])[0]
        if data is None:
            raise Missing(link)
        found = kind_of_block(link, data)
        if kind not in (ANY, found):
            raise WrongKind(
                f"a link to {link}, {with_article(found or 'node of no kind')}, stands where {with_article(kind)} belongs"
            )
