"""Messages that flows say they wait for: `wut` shows them, what does not fit is refused, and one may come early."""

from __future__ import annotations

import json

import pytest

from tests.wit.flow_stage import CALLER, OTHER, FlowActor
from understudy import FlowContext, Wit
from understudy.actors.errors import WitError

BUY = f"""
@wit.flow(Order, waits=[Approved])
async def buy(order: Order, ctx: FlowContext) -> str:
    approved = ctx.wait(Approved, order=order.id)
    shelf = await ctx.request("{OTHER}", order.id, type="Reserve", returns=int)
    return f"{{shelf}} {{(await approved).by}}"
"""


def refused(actor: FlowActor, content: object) -> str:
    before = actor.core
    actor.send("Approved", content)
    assert actor.result.outcome is not None and actor.result.outcome.kind == "refused" and actor.core == before
    return str(actor.result.outcome.code)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_waited_for_from_the_beginning_may_come_before_the_code_needs_it(again: bool) -> None:
    actor = FlowActor(BUY, again=again)
    actor.ok("Order", {"id": "A"})
    (letter,) = actor.letters
    assert actor.ok("Approved", {"order": "A", "by": "Ann"}) == []
    # One for each wait: the flow has what it waited for.
    assert refused(actor, {"order": "A", "by": "Bob"}) == "NotAwaited"
    assert actor.ok("reply", 7, sender=OTHER, re=letter[3]) == [(CALLER, "reply", "7 Ann")]
    assert refused(actor, {"order": "A"}) == "NotAwaited"


def test_a_message_that_does_not_fit_is_refused_and_the_flow_waits_on() -> None:
    actor = FlowActor(BUY)
    assert refused(actor, {"order": "A"}) == "NotAwaited"
    actor.ok("Order", {"id": "A"})
    (letter,) = actor.letters
    wrongs: tuple[object, ...] = ({"order": "A", "by": 5}, {"order": 5}, {}, [], "A", b"\xff")
    for wrong in wrongs:
        assert refused(actor, wrong) == "BadPayload"
    assert refused(actor, {"order": "B"}) == "NotAwaited"
    actor.ok("Approved", {"order": "A", "by": "Ann"})
    assert actor.ok("reply", 7, sender=OTHER, re=letter[3]) == [(CALLER, "reply", "7 Ann")]


def test_wut_shows_what_is_waited_for_with_its_schema() -> None:
    wit = Wit()

    @wit.flow("buy", waits={"approved": bool, "paid": int})
    async def buy(ctx: FlowContext) -> None: ...

    @wit.flow("sell", waits={"paid": int})
    async def sell(ctx: FlowContext) -> None: ...

    wit.prepare()
    assert wit._plan is not None
    messages = json.loads(wit._describe(wit._plan).data)["messages"]
    assert messages.keys() == {"approved", "paid", "buy", "sell"}
    assert messages["approved"] == {"payload": {"type": "boolean"}, "awaited_by": [buy.__qualname__]}
    assert messages["paid"]["awaited_by"] == [buy.__qualname__, sell.__qualname__]


@pytest.mark.parametrize(
    ("one", "other", "fault"),
    [
        ({"paid": int}, {"paid": str}, "waits for 'paid' messages that are a str"),
        ({"a\nb": int}, {}, "waits="),
        ({"paid": complex}, {}, "waits='paid'"),
    ],
)
def test_what_can_not_be_waited_for_is_named_when_the_module_loads(
    one: dict[str, type], other: dict[str, type], fault: str
) -> None:
    wit = Wit()

    @wit.flow("buy", waits=one)
    async def buy(ctx: FlowContext) -> None: ...

    @wit.flow("sell", waits=other)
    async def sell(ctx: FlowContext) -> None: ...

    with pytest.raises(WitError, match=fault.replace("(", r"\(")):
        wit.prepare()
