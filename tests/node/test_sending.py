"""Sending by name, and knowing what was sent: an answer or an error is matched to it, in every colour of handler."""

from __future__ import annotations

import pytest

from tests.node.living import Living

DESK = """
from understudy import CallFailed, Context, Message, Wit

wit = Wit()

@wit.message("ask")
{colour} ask(orders: list, state: dict, ctx: Context) -> None:
    for order in orders:
        sent = ctx.send(order["to"], order["number"], type="halve")
        state[str(sent)] = {{"asked": order["number"], "to": sent.to == order.get("is", sent.to)}}

@wit.message("try")
{colour} try_(name: str, ctx: Context) -> str:
    try:
        ctx.send(name, 1, type="halve")
    except CallFailed as error:
        return error.code
    return "sent"

@wit.message("reply")
{colour} reply(half: int, state: dict, message: Message) -> None:
    state[message.re]["half"] = half

@wit.message("error")
{colour} error(trouble: dict, state: dict, message: Message) -> None:
    assert trouble["message"] == message.re
    state[message.re]["trouble"] = trouble["code"]

@wit.message("pass")
{colour} pass_(number: int, ctx: Context):
    return ctx.send("halver", number, type="halve")
"""
HALVER = """
from understudy import Wit

wit = Wit()

@wit.message("halve")
def halve(number: int) -> int:
    if number % 2:
        raise ValueError("odd")
    return number // 2
"""


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_what_comes_back_is_matched_to_what_was_sent_by_name_or_id(colour: str) -> None:
    with Living() as living:
        halver = living.create(wit="/code:m:wit", **{"code/m.py": HALVER})
        living.run(living.node.set_name("halver", halver, expected=None))
        desk = living.create(wit="/code:m:wit", **{"code/m.py": DESK.format(colour=colour)})
        for _ in range(2):
            orders = [{"to": "halver", "number": 4, "is": str(halver)}, {"to": str(halver), "number": 5}]
            living.ask(desk, "ask", [*orders, {"to": "halver", "number": 8}])
            living.come_to_rest()
        got = sorted((each["asked"], each.get("half"), each.get("trouble")) for each in living.state(desk).values())
        assert got == [(4, 2, None)] * 2 + [(5, None, "ValueError")] * 2 + [(8, 4, None)] * 2
        assert all(each["to"] for each in living.state(desk).values())
        assert living.tell(desk, "try", "nobody") == "NoSuchActor"
        outcome = living.ask(desk, "try", "a/b").outcome
        assert outcome is not None and outcome.code == "BadName"
        assert living.ask(desk, "pass", 2).outcome is None
        living.come_to_rest()
        # A name is looked up once in a step, and never in a replay: it may mean another actor by then.
        journal = living.chain(desk)[1].journal
        assert journal is not None
        assert [entry.path for entry in living.node.reader.journal(journal)] == ["names/0"]
        living.run(living.node.set_name("halver", desk, expected=halver))
        assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH", "MATCH"]
