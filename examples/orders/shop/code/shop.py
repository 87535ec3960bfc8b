"""A shop: each order is a flow over inventory, payment and shipping, and what was done is undone if a later part fails."""

from __future__ import annotations

from msgspec import Struct

from understudy import CallFailed, FlowContext, Wit

wit = Wit()


class Order(Struct, frozen=True):
    id: str
    item: str
    count: int
    cents: int
    card: str


class Reserve(Struct, frozen=True):
    order: str
    item: str
    count: int


class Release(Struct, frozen=True):
    order: str


class Charge(Struct, frozen=True):
    order: str
    cents: int
    card: str


class Refund(Struct, frozen=True):
    order: str


class Ship(Struct, frozen=True):
    order: str
    item: str
    count: int


class Shop(Struct):
    ended: dict[str, str] = {}  # how each order ended
    twice: list[str] = []  # orders that ended twice: there must be none


@wit.flow(Order)
async def fulfil(order: Order, ctx: FlowContext) -> str:
    """Reserve, charge, ship. An order that can't be sent costs nothing and holds nothing."""
    try:
        await ctx.request("inventory", Reserve(order.id, order.item, order.count), timeout="5 minutes")
        try:
            await pay_and_ship(order, ctx)
            how = "shipped"
        except (CallFailed, TimeoutError) as error:
            await ctx.request("inventory", Release(order.id))
            how = f"given up: {error}"
    except CallFailed as error:
        how = f"not begun: {error}"
    ctx.with_state(note, order.id, how)
    return how


async def pay_and_ship(order: Order, ctx: FlowContext) -> None:
    try:
        # A payment that is not confirmed in time may have happened all the same, so it is taken back in both cases.
        await ctx.request("payment", Charge(order.id, order.cents, order.card), timeout="1 second")
        await ctx.request("shipping", Ship(order.id, order.item, order.count), timeout="1 day")
    except (CallFailed, TimeoutError):
        await ctx.request("payment", Refund(order.id))
        raise


def note(shop: Shop, order: str, how: str) -> None:
    if order in shop.ended:
        shop.twice.append(order)
    shop.ended[order] = how


@wit.query
def summary(state: Shop) -> dict[str, int]:
    """How many orders ended, and how."""
    ways = [how.partition(":")[0] for how in state.ended.values()]
    return {"ended": len(ways), "twice": len(state.twice), **{way: ways.count(way) for way in sorted(set(ways))}}
