"""The object store as a module's name, for wits and queries that are written as if it were always there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from understudy.store.reader import Reader
from understudy.wit.running import running


class BoundStore(Reader):
    """Reads with what the running step or query may read. Outside of one: WitError("NotRunning")."""

    def block(self, id: bytes) -> bytes:
        return running("understudy.object_store").reader.block(id)

    def blocks(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return running("understudy.object_store").reader.blocks(ids)


object_store: Final[Reader] = BoundStore()
