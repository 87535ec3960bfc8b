"""Flows over HTTP: their ids, where they wait, and what became of them, wherever in the history that was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Face, problem_of

SHOP = """
from understudy import FlowContext, Refusal, Wit

wit = Wit()


@wit.flow("order")
async def order(item: str, ctx: FlowContext) -> str:
    if item == "nothing":
        raise Refusal("SoldOut", "there is none")
    if item == "here":
        return "at once"
    await ctx.wait("go", item=item)
    if item == "broken":
        raise ValueError("it fell")
    return f"{item} is sold"


@wit.message("other")
def other() -> str:
    return "no flow"
"""


@pytest.fixture
def shop(face: Face) -> Face:
    face.create({"wit": SHOP}, name="shop")
    return face


def begun(shop: Face, item: str) -> str:
    flow = shop.send("shop", item, "order").json()["flow"]
    assert isinstance(flow, str)
    return flow


def state(shop: Face, flow: str) -> dict[str, Any]:
    answer = shop.get(f"/actors/shop/flows/{flow}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_became_of_each_flow_is_found_in_whichever_step_it_ended(shop: Face) -> None:
    items = [f"thing {number}" for number in range(9)]
    flows = {item: begun(shop, item) for item in items}
    listed = shop.get("/actors/shop/flows?limit=5").json()
    assert (len(listed["flows"]), listed["count"]) == (5, len(items))
    assert listed["flows"] == [state(shop, one["id"]) for one in listed["flows"]]
    for number, item in enumerate(reversed(items)):
        assert state(shop, flows[item])["state"] == "under way"
        step = shop.send("shop", {"item": item}, "go").json()["step"]
        for _ in range(number % 3):
            shop.send("shop", None, "other")
        for ended in items[len(items) - number - 1 :]:
            found = state(shop, flows[ended])
            assert (found["state"], found["answer"]) == ("over", {"type": "reply", "content": f"{ended} is sold"})
        assert state(shop, flows[item])["step"] == step


def test_failures_are_told_and_what_is_no_flow_is_told_from_it(shop: Face) -> None:
    broken = begun(shop, "broken")
    shop.send("shop", {"item": "broken"}, "go")
    answer = state(shop, broken)["answer"]
    assert (answer["type"], answer["content"]["code"], answer["content"]["text"].split("\n")[0]) == (
        "error",
        "ValueError",
        "it fell",
    )
    # In its first step a flow answers, or fails its message, like any handler.
    here = shop.send("shop", "here", "order").json()
    assert "flow" not in here and here["replies"][0]["content"] == "at once"
    assert state(shop, here["message"])["answer"]["content"] == "at once"
    refused = shop.send("shop", "nothing", "order")
    assert refused.status_code == 422
    found = state(shop, refused.json()["message"])
    assert (found["outcome"], found["error"]["code"], found["answer"]) == ("refused", "SoldOut", None)
    assert "flow" not in shop.send("shop", None, "other").json()
    for unknown in ("nope", broken[:-1] + ("a" if broken[-1] != "a" else "b"), f"{broken}.0"):
        assert problem_of(shop.get(f"/actors/shop/flows/{unknown}"), 404)["code"] == "NotFound"
    assert problem_of(shop.get("/actors/nobody/flows"), 404)["code"] == "NotFound"


def test_a_flow_that_waits_for_thousands_of_things_is_shown_with_some_and_counts_all(face: Face) -> None:
    many = """
import asyncio
from understudy import FlowContext, Wit
wit = Wit()
@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    await asyncio.gather(*(ctx.wait("go", n=n) for n in range(1500)))
"""
    face.create({"wit": many}, name="shop")
    found = state(face, face.send("shop", None, "begin").json()["flow"])
    assert (len(found["waits"]), found["waiting"], found["asked"]) == (100, 1500, 1500)
    assert problem_of(face.get("/actors/shop/flows?limit=101"), 400)["code"] == "BadRequest"


def test_a_flow_that_began_when_its_message_was_run_again_is_found_by_the_message(shop: Face) -> None:
    patch = {"wit": SHOP.replace('if item == "nothing"', 'if item == "late": 1 / 0\n    if item == "nothing"')}
    assert (
        shop.post("/actors/shop/messages", json={"patch": patch}, headers={"Message-Lane": "update"}).status_code == 200
    )
    failed = shop.send("shop", "late", "order").json()
    assert state(shop, failed["message"])["error"]["code"] == "ZeroDivisionError"
    assert shop.post(
        "/actors/shop/messages", json={"patch": {"wit": SHOP}}, headers={"Message-Lane": "update"}
    ).is_success
    assert shop.post(f"/steps/{failed['step']}/retry").is_success
    assert state(shop, failed["message"])["state"] == "under way"
    shop.send("shop", {"item": "late"}, "go")
    found = state(shop, failed["message"])
    assert (found["state"], found["answer"], found["error"]) == (
        "over",
        {"type": "reply", "content": "late is sold"},
        None,
    )
