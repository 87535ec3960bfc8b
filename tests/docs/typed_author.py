"""The code of an author who checks types strictly. It is never run: `mypy` in `make lint` is the test.

What each capability gives is asserted; where a wrong call is marked `type: ignore`, mypy complains if it takes it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, assert_type

import httpx
from msgspec import Struct

from understudy import (
    ActorId,
    Await,
    Context,
    Failure,
    FlowContext,
    MessageId,
    NewState,
    Origin,
    QueryContext,
    Rang,
    Request,
    Sent,
    Spawned,
    Verdict,
    Wit,
)

wit = Wit()


class Order(Struct):
    """A payload."""

    item: str
    count: int = 1


class Shelf(Struct):
    """A state."""

    left: int = 10


def charge(amount: int, *, currency: str = "EUR") -> str:
    """A function of the host."""
    return f"{amount} {currency}"


async def fetch(name: str) -> int:
    """One that awaits."""
    return len(name)


@wit.message(Order)
def order(order: Order, state: Shelf, ctx: Context) -> NewState:
    """Everything that a `def` may ask for."""
    sent = ctx.send("shelf", order)
    assert_type(sent, Sent)
    assert_type(sent.id, MessageId)
    assert_type(ctx.request("shelf", order, on_answer=heard, on_error=failed, timeout="30s", about={"a": 1}), Sent)
    child = ctx.spawn(like="account", args={"owner": "Ann"})
    assert_type(child, Spawned)
    assert_type(child.message, MessageId)
    kept: ActorId = child
    ctx.send(kept, order)
    assert_type(ctx.spawn({"wit": "def wit(): pass", "data/logo": b"1"}, on_answer="heard").sent, Sent)
    assert_type(ctx.after(3.5, order), str)
    assert_type(ctx.every(timedelta(hours=1), "tick", name="hourly"), str)
    assert_type(ctx.at("2026-11-23 09:00", Order, {"item": "tea"}, zone="Europe/Berlin"), str)
    assert_type(ctx.cancel("hourly"), bool)
    assert_type(ctx.timer, Rang | None)
    assert_type(ctx.secret("STRIPE_KEY"), str)
    client: httpx.Client = ctx.http
    client.get("https://api.example.com", headers={"authorization": ctx.secret("KEY")}, timeout=5)
    text: str = ctx.effect(charge, order.count, currency="USD")
    ctx.effect(charge, "many")  # type: ignore[call-overload]
    ctx.effect(charge, 1, colour="red")  # type: ignore[call-arg, arg-type]
    return NewState(Shelf(left=state.left - order.count), reply=text)


@wit.message("ask")
async def ask(order: Order, ctx: Context) -> str:
    """Everything that an `async def` may ask for."""
    client: httpx.AsyncClient = ctx.http
    response = await client.get("https://api.example.com")
    assert_type(response, httpx.Response)
    assert_type(await ctx.verify("shelf"), Verdict)
    pending = ctx.effect(fetch, order.item)
    assert_type(pending, Awaitable[int])
    found: Any = await ctx.query("shelf", "left", of=order.item)
    ctx.effect(fetch, 3)  # type: ignore[call-overload]
    return f"{await pending} {found.text()}"


@wit.answer
def heard(answer: Order, request: Request, ctx: Context) -> None:
    """What an answer knows."""
    assert_type(request.origin, Origin | None)
    if request.origin is not None:
        ctx.reply(answer, to=request.origin)


@wit.answer("failed")
def failed(why: Failure, request: Request, ctx: Context) -> None:
    """What a failure knows."""
    ctx.log(f"{why.code} {request.since}")


@wit.flow("fulfil")
async def fulfil(order: Order, ctx: FlowContext) -> int:
    """What a flow may await."""
    assert_type(ctx.request("shelf", order, returns=Shelf, timeout="30s"), Await[Shelf])
    shelf = await ctx.request("shelf", order, returns=Shelf)
    approved = await ctx.wait(Order, timeout=timedelta(days=3), item=order.item)
    assert_type(approved, Order)
    assert_type(await ctx.sleep("3 days"), None)
    assert_type(await ctx.effect(charge, approved.count), str)
    assert_type(await ctx.effect(fetch, order.item), int)
    assert_type(ctx.http, httpx.AsyncClient)
    assert_type(ctx.spawn(like="account"), ActorId)
    await ctx.effect(charge, "many")  # type: ignore[call-overload]
    return shelf.left


@wit.query
def left(state: Shelf, ctx: QueryContext) -> int:
    """What a query may ask for."""
    assert_type(ctx.query("shelf", "left"), Any)
    return state.left
