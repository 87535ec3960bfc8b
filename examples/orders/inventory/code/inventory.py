"""The inventory: holds goods for orders, and gives them free again."""

from __future__ import annotations

from msgspec import Struct

from understudy import Refusal, Wit

wit = Wit()
FULL = 1_000_000


class Reserve(Struct, frozen=True):
    order: str
    item: str
    count: int


class Release(Struct, frozen=True):
    order: str


class Inventory(Struct):
    held: dict[str, int] = {}
    free: int = FULL


@wit.message(Reserve)
def reserve(wanted: Reserve, state: Inventory) -> int:
    if wanted.item == "unicorn":
        raise Refusal("SoldOut", "there are no unicorns")
    state.held[wanted.order] = wanted.count
    state.free -= wanted.count
    return state.free


@wit.message(Release)
def release(wanted: Release, state: Inventory) -> int:
    state.free += state.held.pop(wanted.order, 0)
    return state.free


@wit.query
def counts(state: Inventory) -> dict[str, int]:
    """What is held, and what is free."""
    return {"held": sum(state.held.values()), "free": state.free, "orders": len(state.held)}
