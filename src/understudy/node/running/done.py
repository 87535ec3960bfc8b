"""Done: what became of a unit that was submitted."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from understudy.store.port import Receipt, Unit

Tag = TypeVar("Tag")


class Done(NamedTuple, Generic[Tag]):
    """A unit that is durable, or whose compare-and-set failed, with what its submitter tied to it."""

    tag: Tag
    unit: Unit
    receipt: Receipt
