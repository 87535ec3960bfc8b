"""flows, flow, pending: what an actor's flows wait for, how one is cancelled, and how one that stands still is cured."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.cli.conftest import Shell

SHOP = """
from msgspec import Struct

from understudy import FlowContext, Wit

wit = Wit()


class Order(Struct):
    item: str


class Approved(Struct):
    item: str


@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    if order.item == "nothing":
        await ctx.sleep(0)
        raise ValueError("nothing can't be sold")
    try:
        approved = await ctx.wait(Approved, item=order.item)
        return f"{approved.item} is sold"
    finally:
        ctx.log(f"{order.item} is done with")
"""


def test_flows_are_shown_cancelled_and_cured_by_a_push(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": SHOP})
    project.run("push")
    for item in ("lamp", "chair"):
        project.run("send", "greeter", f'{{"item": "{item}"}}', "--type", "Order")
    lamp, chair = sorted(project.json("flows", "greeter")["flows"], key=lambda flow: flow["begun"])
    assert [one["what"] for one in lamp["waits"]] == ['wait Approved item="lamp"']
    assert lamp["waits"][0]["at"] == "code/greeter.py:23 in buy"
    assert lamp["waits"][0]["since"] == lamp["begun"]
    assert 'wait Approved item="chair"  code/greeter.py:23 in buy  since' in project.run("flows", "greeter")
    assert project.json("flows", "greeter", "--at", "0")["flows"] == []

    # Wrong use changes nothing.
    assert "no flow is under way" in project.run("flow", "greeter", "zzzz", "cancel", code=1)
    assert "'stop'" in project.run("flow", "greeter", chair["id"], "stop", code=2)
    assert "over" in project.run("flow", "greeter", chair["id"][7:20], "cancel", "--why", "sold out")
    said = project.run("log", "greeter", "-n", "1")
    assert "chair is done with" in said and "Cancelled: sold out" in said

    project.write({"greeter/code/greeter.py": SHOP.replace("item=order.item", "item=order.item.upper()")})
    project.run("push")
    project.run("send", "greeter", '{"item": "lamp"}', "--type", "Approved")
    why = "the code asks for 'wait Approved item=\"LAMP\"' (code/greeter.py:23 in buy) where the flow's record shows"
    assert why in project.run("flows", "greeter")
    assert why in project.run("log", "greeter", "-n", "1")
    assert why in project.run("pending")
    assert project.json("pending", "greeter")["flows"][0]["flow"] == lamp["id"]
    project.serve()
    project.write({"greeter/code/greeter.py": SHOP})
    project.run("push")
    assert _comes_about(lambda: project.json("flows", "greeter")["flows"] == [])
    assert "lamp is sold" in project.run("log", "greeter", "-n", "1")
    assert project.json("verify", "greeter")["verdicts"][0]["verdict"] == "MATCH"


def test_who_began_a_flow_is_told_its_id_and_finds_what_became_of_it(project: Shell) -> None:
    project.write({"greeter/code/greeter.py": SHOP})
    project.run("push")
    said = project.run("send", "greeter", '{"item": "lamp"}', "--type", "Order")
    (lamp,) = project.json("flows", "greeter")["flows"]
    assert f"understudy flow greeter {lamp['id']} show" in said
    assert "wait Approved" in project.run("flow", "greeter", lamp["id"][7:20], "show")
    assert project.json("flow", "greeter", lamp["id"], "show") == lamp
    project.run("send", "greeter", '{"item": "lamp"}', "--type", "Approved")
    assert '"lamp is sold"' in project.run("flow", "greeter", lamp["id"], "show")
    # It fails a moment after it began, in a step of its own.
    nothing = project.json("send", "greeter", '{"item": "nothing"}', "--type", "Order")["flow"]
    project.serve()
    assert _comes_about(
        lambda: "failed: ValueError: nothing can't be sold" in project.run("flow", "greeter", nothing, "show")
    )
    assert "no flow is under way" in project.run("flow", "greeter", lamp["id"][7:20], "show", code=1)


def _comes_about(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
    return True
