"""Payments: charges a card once for each order. Of a card that is called `silent`, it never says whether it did."""

from __future__ import annotations

from msgspec import Struct

from understudy import Refusal, Wit

wit = Wit()


class Charge(Struct, frozen=True):
    order: str
    cents: int
    card: str


class Refund(Struct, frozen=True):
    order: str


class Payments(Struct):
    charged: dict[str, int] = {}


@wit.message(Charge)
def charge(wanted: Charge, state: Payments) -> int | None:
    if wanted.card == "empty":
        raise Refusal("Declined", "the card is empty")
    state.charged[wanted.order] = wanted.cents
    return None if wanted.card == "silent" else wanted.cents


@wit.message(Refund)
def refund(wanted: Refund, state: Payments) -> int:
    return state.charged.pop(wanted.order, 0)


@wit.query
def total(state: Payments) -> dict[str, int]:
    """What was taken, and for how many orders."""
    return {"cents": sum(state.charged.values()), "orders": len(state.charged)}
