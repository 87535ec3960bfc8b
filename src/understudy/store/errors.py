"""What can go wrong with a store, each with what the caller needs to act."""

from __future__ import annotations

from understudy.objects.ids import Id


class StoreError(Exception):
    """The store could not do what it was asked: the disk, the directory, the backend."""


class StoreInUse(StoreError):
    """Another process has the store open for writing."""


class StoreFormat(StoreError):
    """The store was written by another version of the format, or is none of ours."""


class StoreFull(StoreError):
    """No room: nothing of the refused units is there, and what was acknowledged before still is."""


class StoreLost(StoreError):
    """The store ends before what it once held: acknowledged facts are gone. Nothing was changed."""


class StoreClosed(StoreError):
    """The store was closed."""


class Corrupt(StoreError):
    """Stored bytes are not what was written. `id` names the block, if it is one."""

    def __init__(self, text: str, id: Id | None = None) -> None:
        super().__init__(text)
        self.id = id


class Missing(StoreError):
    """A block that was asked for, or that `owner` links to, is not in the store."""

    def __init__(self, id: Id, owner: Id | None = None) -> None:
        super().__init__(f"{id} is not in the store" + (f", but {owner} links to it" if owner is not None else ""))
        self.id = id
        self.owner = owner


class BadCar(StoreError):
    """A file that is no CARv1, is cut off, or holds something that is none of our blocks."""
