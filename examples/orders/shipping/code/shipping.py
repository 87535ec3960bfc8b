"""Shipping: sends parcels, and refuses what is too heavy."""

from __future__ import annotations

from msgspec import Struct

from understudy import Refusal, Wit

wit = Wit()


class Ship(Struct, frozen=True):
    order: str
    item: str
    count: int


class Parcels(Struct):
    sent: dict[str, int] = {}
    twice: int = 0


@wit.message(Ship)
def ship(wanted: Ship, state: Parcels) -> str:
    if wanted.item == "anvil":
        raise Refusal("TooHeavy", "nobody carries anvils")
    state.twice += wanted.order in state.sent
    state.sent[wanted.order] = wanted.count
    return f"parcel {len(state.sent)}"


@wit.query
def totals(state: Parcels) -> dict[str, int]:
    """What was sent."""
    return {"sent": sum(state.sent.values()), "orders": len(state.sent), "twice": state.twice}
