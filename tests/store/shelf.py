"""A place for blocks that shares its decoded nodes, as the door does, and notices when somebody changes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from understudy.objects.codec import Block, encode
from understudy.objects.ids import Id, node_id
from understudy.store.errors import Missing
from understudy.store.reader import Reader, Staging


class Empty(Reader):
    """A store with nothing in it."""

    def block(self, id: bytes) -> bytes:
        raise Missing(Id(id))

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return [None for _ in ids]


class Shelf(Staging):
    """Blocks in memory. `reads` counts the nodes that were asked for."""

    def __init__(self) -> None:
        super().__init__(Empty())
        self.reads = 0
        self._nodes: dict[bytes, Any] = {}

    def node(self, id: bytes) -> Any:
        self.reads += 1
        if id not in self._nodes:
            self._nodes[id] = super().node(id)
        return self._nodes[id]

    def put(self, block: Block) -> Id:
        assert block.id == node_id(block.data) or block.id[1] == 0x55
        return super().put(block)

    def check_untouched(self) -> None:
        """Fail if a shared node is not what its block says any more."""
        for id, node in self._nodes.items():
            assert encode(node) == self.block(id)
