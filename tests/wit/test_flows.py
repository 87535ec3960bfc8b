"""Flows: code that waits for weeks, and is in the same place whenever it is run again."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wit.flow_stage import CALLER, OTHER, FlowActor
from understudy.actors.errors import WitError
from understudy.store.maps import patch_tree
from understudy.store.reader import Staging
from understudy.testing.engine_suite import WorldCalls
from understudy.wit.flows import flow, kept, loop, maker, record
from understudy.wit.flows.overview import look_at_flow

BUY = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    shelf = await ctx.request("{OTHER}", {{"id": order.id}}, type="Reserve", returns=int)
    count = ctx.with_state(add, f"{{order.id}} {{shelf}}")
    approved = await ctx.wait(Approved, order=order.id)
    return f"{{order.id}} {{shelf}} {{count}} {{approved.by}}"
@wit.message("count")
def count(state: Book) -> int:
    return len(state.lines)
"""


def begun(id: str = "A", **more: Any) -> FlowActor:
    actor = FlowActor(BUY, **more)
    actor.ok("Order", {"id": id})
    return actor


def test_a_flow_waits_for_an_answer_and_for_a_message_and_answers_who_began_it() -> None:
    actor = FlowActor(BUY)
    id = actor.send("Order", {"id": "A"})
    assert actor.said == [(OTHER, "Reserve", {"id": "A"})]
    assert actor.answer(7) == []
    assert actor.ok("Approved", {"order": "A", "by": "Ann"}) == [(CALLER, "reply", "A 7 1 Ann")]
    assert actor.result.sent[0].re == str(id)
    # Nothing of it is left.
    assert (actor.names("flows"), actor.names("requests"), actor.names("awaited/Approved/order")) == ([], [], [])


def test_between_its_awaits_the_actor_is_free_and_no_flow_loses_what_another_changed() -> None:
    actor = begun("A")
    (first,) = actor.letters
    actor.ok("Order", {"id": "B"})
    (second,) = actor.letters
    assert actor.ok("count") == [(CALLER, "reply", 0)]
    actor.ok("reply", 2, sender=OTHER, re=second[3])
    actor.ok("reply", 1, sender=OTHER, re=first[3])
    assert actor.read("state") == {"lines": ["B 2", "A 1"]}
    assert actor.ok("Approved", {"order": "A"}) == [(CALLER, "reply", "A 1 2 ")]
    assert actor.ok("Approved", {"order": "B"}) == [(CALLER, "reply", "B 2 1 ")]


def test_an_answer_is_taken_from_who_was_asked_alone_and_once() -> None:
    actor = begun()
    _, _, _, id = actor.letters[0]
    stranger = actor.ok("reply", 99, sender="out/test/mallory", re=id)
    assert stranger == [] and "is none" not in str(actor.result.log)
    actor.ok("reply", 7, sender=OTHER, re=id)
    actor.ok("reply", 8, sender=OTHER, re=id)
    assert actor.read("state") == {"lines": ["A 7"]}


def test_an_error_is_raised_where_the_answer_is_awaited() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    try:
        await ctx.request("{OTHER}", {{}}, type="Reserve")
    except CallFailed as error:
        return f"no: {{error.code}} {{error.text}}"
    return "yes"
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    _, _, _, id = actor.letters[0]
    failure = {"code": "SoldOut", "kind": "refused", "message": id, "text": "none left", "type": "Reserve"}
    assert actor.ok("error", failure, sender=OTHER, re=id) == [(CALLER, "reply", "no: SoldOut none left")]


def test_a_flow_that_fails_later_answers_with_an_error_and_what_it_changed_before_stays() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    ctx.with_state(add, "begun")
    answer = await ctx.request("{OTHER}", {{}}, type="Reserve")
    ctx.with_state(add, "answered")
    if answer == 1:
        raise Refusal("TooLate", "we are closed")
    return answer["nothing"]
"""
    for answer, code_, kind, text in (
        (1, "TooLate", "refused", "we are closed"),
        ({}, "KeyError", "failed", "'nothing'\nat code/m.py:26 in buy"),
    ):
        actor = FlowActor(code)
        id = actor.send("Order", {"id": "A"})
        ((to, type, content),) = actor.answer(answer)
        assert (to, type) == (CALLER, "error")
        assert content == {"code": code_, "kind": kind, "message": str(id), "text": text, "type": "Order"}
        assert actor.read("state") == {"lines": ["begun", "answered"]}
        assert actor.names("flows") == []
        assert f"({content['type']}) failed: {code_}" in actor.result.log[0]


def test_a_flow_that_fails_before_it_waits_fails_its_message_and_changes_nothing() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    ctx.with_state(add, "begun")
    if not order.items:
        raise Refusal("Empty", "there is nothing in it")
    raise ValueError("oh")
"""
    actor = FlowActor(code)
    actor.send("Order", {"id": "A"})
    assert actor.result.outcome is not None
    assert (actor.result.outcome.kind, actor.result.outcome.code) == ("refused", "Empty")
    actor.send("Order", {"id": "A", "items": ["pen"]})
    assert (actor.result.outcome.kind, actor.result.outcome.code) == ("failed", "ValueError")
    actor.send("Order", {"nothing": 1})
    assert (actor.result.outcome.kind, actor.result.outcome.code) == ("refused", "BadPayload")
    assert (actor.names("flows"), actor.read("state")) == ([], None)


def test_code_that_asks_for_something_else_stops_the_flow_and_names_both_until_it_is_cured() -> None:
    actor = begun()
    (reserved,) = actor.letters
    actor.update(BUY.replace('type="Reserve"', 'type="Hold"'))
    assert actor.ok("reply", 7, sender=OTHER, re=reserved[3]) == []
    (id,) = actor.names("flows")
    stopped = actor.read(f"flows/{id}/stopped")
    assert f"asks for 'request {OTHER} Hold' (code/m.py:21 in buy)" in stopped["why"]
    assert f"shows 'request {OTHER} Reserve' (made in code/m.py:21 in buy)" in stopped["why"]
    assert stopped["why"] in actor.result.log[0]
    # What comes meanwhile is kept, and other messages are handled.
    assert actor.ok("count") == [(CALLER, "reply", 0)]
    actor.update(BUY)
    actor.ok("flow", {})
    assert actor.read("state") == {"lines": ["A 7"]}
    assert actor.names(f"flows/{id}") == ["begin", "payload", "record"]
    assert actor.ok("Approved", {"order": "A"}) == [(CALLER, "reply", "A 7 1 ")]


def test_a_flow_whose_code_is_gone_waits_for_it_and_can_be_cancelled_where_it_stands() -> None:
    actor = begun()
    (reserved,) = actor.letters
    actor.update('@wit.message("x")\ndef x(): pass')
    actor.ok("reply", 7, sender=OTHER, re=reserved[3])
    (id,) = actor.names("flows")
    assert "no flow that messages of type 'Order' begin" in actor.read(f"flows/{id}/stopped")["why"]
    ((to, type, content),) = actor.ok("flow", {"flow": id, "cancel": "not needed"})
    assert (to, type, content["code"], content["text"]) == (CALLER, "error", "Cancelled", "not needed")
    assert actor.names("flows") == []


@pytest.mark.parametrize(
    ("file", "told"), [("cancel-told", "sold out"), ("cancel", "the flow was cancelled")], ids=["now", "before"]
)
def test_what_an_operator_cancels_a_flow_with_is_told_as_its_file_says_also_after_a_restart(
    file: str, told: str
) -> None:
    actor = FlowActor(
        f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    try:
        await ctx.wait(Approved)
    except asyncio.CancelledError as error:
        await ctx.request("{OTHER}", str(error), type="Release")
        raise
"""
    )
    actor.ok("Order", {"id": "A"})
    (id,) = actor.names("flows")
    staging = Staging(actor.objects)
    actor.core = patch_tree(staging, actor.core, {f"flows/{id}/{file}": staging.put_blob(b"sold out")})
    actor.objects.keep(staging)
    assert actor.ok("flow", {}) == [(OTHER, "Release", "sold out")]
    assert file not in actor.names(f"flows/{id}") and ("told" in actor.record()) is (file == "cancel-told")
    actor.restart()
    ((to, type, content),) = actor.answer(None)
    assert (to, type, content["code"], content["text"].split("\n")[0]) == (CALLER, "error", "Cancelled", told)


def test_who_began_a_flow_may_cancel_it_and_its_finally_may_await() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    try:
        await ctx.wait(Approved)
    finally:
        await ctx.request("{OTHER}", {{}}, type="Release")
        ctx.with_state(add, "released")
"""
    actor = FlowActor(code)
    id = str(actor.send("Order", {"id": "A"}))
    actor.send("flow", {"flow": id, "cancel": "changed my mind"}, sender="out/test/mallory")
    assert actor.result.outcome is not None and actor.result.outcome.code == "NotPermitted"
    assert actor.ok("flow", {"flow": id, "cancel": "changed my mind"}) == [(OTHER, "Release", {})]
    assert actor.names("awaited/Approved/-") == []
    ((to, type, content),) = actor.answer(None)
    assert (to, type, content["code"]) == (CALLER, "error", "Cancelled")
    assert actor.read("state") == {"lines": ["released"]}


def test_a_flow_that_does_not_end_when_it_is_cancelled_ends_when_it_is_cancelled_again() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    while True:
        try:
            await ctx.wait(Approved)
        except BaseException:
            ctx.log("never")
"""
    actor = FlowActor(code)
    id = str(actor.send("Order", {"id": "A"}))
    assert actor.ok("flow", {"flow": id, "cancel": ""}) == []
    ((_, type, content),) = actor.ok("flow", {"flow": id, "cancel": ""})
    assert (type, content["code"], actor.names("flows")) == ("error", "Cancelled", [])


def test_what_a_function_of_the_state_raises_leaves_the_state_as_it_was() -> None:
    code = """
def spoil(state: Book) -> None:
    state.lines.append("half")
    raise Refusal("No", "not so")
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    ctx.with_state(add, "first")
    try:
        ctx.with_state(spoil)
    except CallFailed as error:
        await ctx.wait(Approved)
        return f"{error.code} {error.text}"
    return "?"
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    assert actor.read("state") == {"lines": ["first"]}
    assert actor.ok("Approved", {"order": ""}) == [(CALLER, "reply", "No not so")]


def test_children_are_flows_of_their_own_and_end_with_their_parent() -> None:
    code = """
@wit.flow("part")
async def part(name: str, ctx: FlowContext) -> str:
    if name == "bad":
        raise Refusal("Bad", "it is bad")
    approved = await ctx.wait(Approved, order=name)
    return f"{name} by {approved.by}"
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> list[str]:
    parts = [ctx.start(part, item) for item in order.items]
    done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    return [one.result() for one in done]
"""
    actor = FlowActor(code)
    id = str(actor.send("Order", {"id": "A", "items": ["a", "b"]}))
    assert actor.names("flows") == sorted([id, f"{id}.0", f"{id}.1"])
    assert actor.ok("Approved", {"order": "b", "by": "Bob"}) == [(CALLER, "reply", ["b by Bob"])]
    assert actor.names("flows") == []
    ((_, type, content),) = actor.ok("Order", {"id": "B", "items": ["bad"]})
    assert (type, content["code"], content["text"].splitlines()[0]) == ("error", "CallFailed", "Bad: it is bad")


@pytest.mark.parametrize("deepest", ["await ctx.wait(Approved)", "await ctx.sleep(1)"])
def test_flows_that_begin_each_other_have_a_bound_that_is_named_to_the_one_that_meets_it(deepest: str) -> None:
    code = f"""
@wit.flow("down")
async def down(left: int, ctx: FlowContext) -> int:
    if left == 0:
        {deepest}
        return 0
    try:
        return 1 + await ctx.start(down, left - 1)
    except CallFailed as error:
        assert error.code == "TooDeep", error
        return 1
@wit.flow("later")
async def later(left: int, ctx: FlowContext) -> int:
    await ctx.wait(Order)
    return await ctx.start(down, left)
"""
    actor = FlowActor(code)
    assert actor.ok("down", 1_000) == [(CALLER, "reply", 94)]
    assert actor.ok("down", 93) == []
    actor.ok("later", 1_000)
    assert actor.ok("Order", {"id": ""}) == [(CALLER, "reply", 93)]


def test_a_call_to_the_world_is_made_in_a_step_of_its_own_and_its_answer_is_kept() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> list[str]:
    found = await asyncio.gather(*(ctx.calls.call("fetch", item.encode()) for item in order.items))
    await ctx.wait(Approved)
    return [one.decode() for one in found]
"""
    actor = FlowActor(code)
    id = str(actor.send("Order", {"id": "A", "items": ["x", "y"]}))
    assert actor.said == [(str(actor.id), "flow", {"flow": id, "ask": n}) for n in (0, 1)]
    calls = WorldCalls({"fetch": b"found"})
    notices = [("flow", content, str(actor.id), None) for _, _, content in actor.said]
    # Anybody may say so, and it means nothing.
    actor.ok("flow", {"flow": id, "ask": 0}, calls=calls)
    assert calls.requests == []
    actor.step(notices, calls=calls)
    assert sorted(calls.requests) == [("fetch", b"x"), ("fetch", b"y")]
    actor.restart()
    assert actor.ok("Approved", {"order": ""}) == [(CALLER, "reply", ["found", "found"])]


def test_the_time_and_the_numbers_of_a_flow_are_those_of_the_first_time() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> list[str]:
    seen = [f"{ctx.now()} {ctx.random.random()}"]
    for _ in range(3):
        await ctx.wait(Approved)
        seen.append(f"{ctx.now()} {ctx.random.random()}")
    return seen
"""
    kept_, again = FlowActor(code), FlowActor(code, again=True)
    for actor in (kept_, again):
        actor.ok("Order", {"id": "A"})
        for _ in range(3):
            actor.ok("Approved", {"order": ""}, after=5)
    ((_, _, seen),) = again.said
    assert [(CALLER, "reply", seen)] == kept_.said
    assert len(set(seen)) == 4


def rings(actor: FlowActor, *, after: float = 0.001) -> list[tuple[str, str, Any]]:
    """The only timer of an actor goes off: what is sent then."""
    (name,) = actor.names("timers")
    timer = actor.read(f"timers/{name}")
    return actor.ok(timer["type"], timer["content"], sender="out/test/clock", after=after)


def test_a_sleep_is_a_timer_of_the_core_and_ends_when_that_is_due_and_not_before() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> str:
    begun = ctx.now()
    await ctx.sleep("3 days")
    await asyncio.sleep(1.5)
    return str(ctx.now() - begun)
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    # Anybody may say that it is time; it is not.
    assert rings(actor) == []
    assert rings(actor, after=3 * 86_400 - 1) == []
    assert rings(actor, after=1) == []
    # It was the sleep's; now the other one waits.
    (first, second) = actor.names("timers")
    assert (first[-2:], second[-2:]) == ("-0", "-1")
    timer = actor.read(f"timers/{second}")
    assert actor.ok(timer["type"], timer["content"], after=1.5) == [(CALLER, "reply", "3 days, 0:00:01.501000")]


def test_who_looks_is_told_of_a_sleep_whose_timer_is_gone() -> None:
    actor = FlowActor("""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    await ctx.sleep("1 day")
""")
    id = str(actor.send("Order", {"id": "A"}))
    assert [one.is_lost for one in look_at_flow(actor.objects, actor.core, id).waits] == [False]
    staging = Staging(actor.objects)
    core = patch_tree(staging, actor.core, {f"timers/flow-{id}-0": None})
    assert [one.is_lost for one in look_at_flow(staging, core, id).waits] == [True]


def test_what_takes_too_long_is_a_timeout_and_what_comes_then_is_late() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> list[str]:
    said = []
    try:
        await ctx.request("{OTHER}", {{}}, type="Reserve", timeout="30s")
    except TimeoutError as error:
        said.append(str(error))
    try:
        async with asyncio.timeout(5):
            await ctx.wait(Approved)
    except TimeoutError:
        said.append("not approved")
    return said
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    (asked,) = actor.letters
    (name,) = actor.names("timers")
    rings(actor, after=30)
    # Nothing leads an answer here any more.
    assert (actor.names("requests"), actor.names("awaited/Approved")) == ([], ["-"])
    assert actor.ok("reply", 1, sender=OTHER, re=asked[3]) == []
    assert "no request waits" in actor.result.log[0]
    (late,) = set(actor.names("timers")) - {name}
    timer = actor.read(f"timers/{late}")
    ((_, _, said),) = actor.ok(timer["type"], timer["content"], after=5)
    assert said == [f"{OTHER} did not answer 'Reserve' within 30s", "not approved"]


def test_an_answer_in_time_takes_its_timer_back() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> int:
    first = await ctx.request("{OTHER}", {{}}, type="Reserve", timeout="30s")
    return first + await asyncio.wait_for(ctx.request("{OTHER}", {{}}, type="Reserve"), 10)
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    assert len(actor.names("timers")) == 1
    actor.answer(1)
    assert len(actor.names("timers")) == 1
    assert actor.answer(2) == [(CALLER, "reply", 3)]
    assert actor.names("timers") == []


def test_a_stopped_flow_that_is_cancelled_leaves_nothing_behind() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    await asyncio.gather(
        ctx.wait(Approved, order="A"), ctx.sleep(5), ctx.request("{OTHER}", {{}}, type="Reserve"), ctx.start("child")
    )
@wit.flow("child")
async def child(ctx: FlowContext) -> None:
    await ctx.sleep(7)
"""
    actor = FlowActor(code)
    id = str(actor.send("Order", {"id": "A"}))
    assert (len(actor.names("timers")), len(actor.names("requests")), len(actor.names("flows"))) == (2, 1, 2)
    actor.update(code.replace("sleep(5)", "sleep(6)"))
    ((_, type, content),) = actor.ok("flow", {"flow": id, "cancel": "no"})
    assert (type, content["code"]) == ("error", "Cancelled")
    left = [actor.names(folder) for folder in ("timers", "requests", "flows", "awaited/Approved/order")]
    assert left == [[], [], [], []]


def test_a_flow_that_waits_for_nothing_that_can_come_fails() -> None:
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    await asyncio.Event().wait()
"""
    actor = FlowActor(code)
    ((_, type, content),) = actor.ok("Order", {"id": "A"})
    assert (type, content["code"]) == ("error", "FlowStuck")


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("@wit.flow(Order)\ndef f(order: Order): pass", "a flow is an `async def`"),
        ("@wit.flow(Order)\nasync def f(order: Order, state: Book): pass", "ctx.with_state(function, …)"),
        ("@wit.flow(Order)\nasync def f(order: Order, ctx: Context): pass", "gets a FlowContext"),
        ("@wit.flow(Order)\nasync def f(a: Order, b: Order): pass", "a second payload beside 'a'"),
        ("@wit.flow(Order)\nasync def f(): pass\n@wit.message(Order)\ndef g(): pass", "have a handler already"),
        (
            "@wit.flow(Order)\nasync def f(): pass\n@wit.message('flow')\ndef g(): pass",
            "are what the runtime tells flows",
        ),
    ],
)
def test_a_flow_that_is_declared_wrongly_is_named(code: str, fault: str) -> None:
    actor = FlowActor(code)
    with pytest.raises(WitError, match=r"in f|in g") as caught:
        actor.send("Order", {"id": "A"})
    assert fault in caught.value.text


@pytest.mark.parametrize("type", [".", "..", "a/b", "é" * 120, "flow"])
def test_messages_of_strange_types_are_refused_and_not_stumbled_over(type: str) -> None:
    actor = begun()
    actor.ok("reply", 1, sender=OTHER, re=actor.letters[0][3])
    actor.send(type, "x")
    assert actor.result.outcome is not None
    assert actor.result.outcome.code == ("BadPayload" if type == "flow" else "NoHandler")


@pytest.mark.parametrize("notice", [{}, {"flow": "."}, {"flow": "a/b", "ask": 1}, {"flow": "none", "cancel": "x"}])
def test_notices_about_no_flow_change_nothing(notice: dict[str, Any]) -> None:
    actor = begun()
    before = actor.core
    assert actor.ok("flow", notice) == []
    assert actor.core == before


def test_what_a_flow_may_ask_for_has_a_bound_and_so_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_ASKS", 3)
    monkeypatch.setattr(maker, "MAX_FLOWS", 2)
    monkeypatch.setattr(record, "MAX_RECORD", 2_000)
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    for number in range(len(order.items)):
        await ctx.wait(Approved, order=order.id)
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A", "items": ["x"] * 4})
    for _ in range(2):
        assert actor.ok("Approved", {"order": "A"}) == []
    ((_, type, content),) = actor.ok("Approved", {"order": "A"})
    assert (type, content["code"]) == ("error", "TooManyAwaits")
    for id in ("B", "C"):
        actor.ok("Order", {"id": id, "items": ["x"]})
    actor.send("Order", {"id": "D", "items": ["x"]})
    assert actor.result.outcome is not None and actor.result.outcome.code == "TooManyFlows"
    ((_, type, content),) = actor.ok("Approved", {"order": "B", "by": "x" * 3_000})
    assert (type, content["text"].splitlines()[0][:9]) == ("error", "TooLarge:")


def test_a_wit_without_flows_may_have_a_folder_and_a_type_of_their_name() -> None:
    actor = FlowActor('@wit.message("flow")\ndef keep(number: int, core: Core) -> None: core["flows/x"] = str(number)')
    actor.ok("flow", 1)
    actor.ok("flow", 2)
    assert actor.read("flows/x") == 2


def test_a_flow_that_never_waits_again_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MAX_CALLBACKS", 1_000)
    code = """
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    if order.items:
        await ctx.wait(Approved)
    while True:
        await asyncio.sleep(0)
"""
    actor = FlowActor(code)
    actor.send("Order", {"id": "A"})
    assert actor.result.outcome is not None and actor.result.outcome.code == "FlowNeverWaits"
    actor.ok("Order", {"id": "A", "items": ["x"]})
    ((_, type, content),) = actor.ok("Approved", {"order": ""})
    assert (type, content["code"], actor.names("flows")) == ("error", "FlowNeverWaits", [])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("caught", ["Exception", "BaseException"])
@pytest.mark.parametrize(
    "attempt", ["await ctx.wait(Approved)", "await ctx.sleep(0)", "ctx.with_state(add, ''); await ctx.sleep(1)"]
)
def test_a_flow_that_catches_every_error_and_tries_again_ends_at_its_bound(
    attempt: str, caught: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "MAX_ASKS", 3)
    monkeypatch.setattr(flow, "MAX_REFUSALS", 10)
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    await ctx.wait(Approved)
    await ctx.wait(Approved)
    await ctx.wait(Approved)
    while True:
        try:
            {attempt}
        except {caught}:
            pass
"""
    actor = FlowActor(code)
    actor.ok("Order", {"id": "A"})
    for _ in range(2):
        assert actor.ok("Approved", {"order": ""}) == []
    ((_, type, content),) = actor.ok("Approved", {"order": ""})
    assert (type, content["code"], actor.names("flows")) == ("error", "TooManyAwaits", [])
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "what", ["", "ctx.log('again')", "ctx.with_state(add, 'again')", f"ctx.send('{OTHER}', 1, type='x')"]
)
def test_a_flow_that_catches_everything_is_let_go_where_it_waits(what: str) -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    while True:
        try:
            {what}
            await ctx.wait(Approved, timeout=60)
            return
        except:
            pass
"""
    actor = FlowActor(code, again=True)
    actor.ok("Order", {"id": "A"})
    before = actor.core
    assert actor.ok("flow", {}) == []
    assert actor.core == before
    actor.update(code.replace("timeout=60", "timeout=61"))
    assert actor.ok("Approved", {"order": ""}) == []
    assert "stands still" in str(actor.result)
    actor.update(code)
    assert actor.ok("flow", {}) == [(CALLER, "reply", None)]
    gc.collect()  # what Python says of code that does not want to end is said here


def test_a_step_that_fails_leaves_a_flow_where_it_was_although_its_code_had_gone_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "ALWAYS_AGAIN", 0)
    actor = begun()
    reply = ("reply", 7, OTHER, actor.letters[0][3])
    actor.step([reply, ("unknown", None, CALLER, None)])
    assert actor.result.outcome is not None and actor.result.outcome.code == "NoHandler"
    assert actor.read("state") is None
    actor.step([reply])
    assert actor.read("state") == {"lines": ["A 7"]}
    assert actor.ok("Approved", {"order": "A", "by": "Ann"}) == [(CALLER, "reply", "A 7 1 Ann")]


def test_a_finally_of_a_flow_that_only_waits_has_no_effect_when_its_code_is_let_go() -> None:
    code = f"""
@wit.flow(Order)
async def buy(order: Order, ctx: FlowContext) -> None:
    try:
        await ctx.wait(Approved)
    finally:
        ctx.log("finally")
        ctx.send("{OTHER}", 1, type="Release")
        ctx.with_state(add, "released")
"""
    actor = FlowActor(code, again=True)
    assert actor.ok("Order", {"id": "A"}) == []
    assert actor.ok("flow", {}) == []
    assert (list(actor.result.log), actor.read("state")) == ([], None)
    assert actor.ok("Approved", {"order": ""}) == [(OTHER, "Release", 1), (CALLER, "reply", None)]
    assert (list(actor.result.log), actor.read("state")) == (["finally"], {"lines": ["released"]})


MANY = f"""
@wit.flow(Order)
async def many(order: Order, ctx: FlowContext) -> list[str]:
    said = []
    async def one(name):
        got = await ctx.request("{OTHER}", {{"name": name}}, type="Ask")
        said.append(f"{{name}}={{got}} {{ctx.with_state(add, name)}} {{ctx.random.random():.6f}}")
        if len(name) < 3:
            await asyncio.gather(*(one(name + letter) for letter in "xy"[:got]))
    pending = {{asyncio.ensure_future(one(item)) for item in order.items}}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        said.append(f"{{len(done)}} done, {{len(pending)}} left")
    return said
"""


@settings(max_examples=25, deadline=None)
@given(picks=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans()), min_size=30, max_size=60))
def test_in_whatever_order_answers_come_and_wherever_it_restarts_a_flow_goes_the_same_way(
    picks: list[tuple[int, int, bool]],
) -> None:
    """The law of flows: kept, restarted anywhere, or run again in each step, they leave the same cores and messages."""
    kept_, some, again = actors = FlowActor(MANY), FlowActor(MANY), FlowActor(MANY, again=True)
    open_: list[tuple[str, str, Any, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "ALWAYS_AGAIN", 0)
        for actor in actors:
            actor.ok("Order", {"id": "A", "items": ["a", "b"]})
        open_ += kept_.letters
        for pick, got, restarts in picks:
            if not open_:
                break
            to, _, _, id = open_.pop(pick % len(open_))
            if restarts:
                some.restart()
            for actor in actors:
                actor.ok("reply", got, sender=to, re=id)
            assert kept_.core == some.core == again.core
            assert kept_.letters == some.letters == again.letters
            open_ += [letter for letter in kept_.letters if letter[1] == "Ask"]
    if not open_:
        assert json.loads(json.dumps(kept_.said[-1][1])) == "reply"


def test_what_a_flow_costs_to_begin_and_to_ask_does_not_grow_with_the_flows_and_requests_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor = begun("first")
    few = read_by(actor, monkeypatch)
    for _ in range(8):
        actor.step([("Order", {"id": f"{number}"}, CALLER, None) for number in range(100)])
    assert len(actor.names("flows")) > 800 and len(actor.names("requests")) > 800
    # Large maps are trees of blocks: a path through each of them, and not all of it.
    assert read_by(actor, monkeypatch) < few + 40


def read_by(actor: FlowActor, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many nodes a step looks at that begins a flow with a request."""
    seen: list[bytes] = []
    node = Staging.node

    def look(self: Staging, id: bytes) -> Any:
        seen.append(id)
        return node(self, id)

    with monkeypatch.context() as patched:
        patched.setattr(Staging, "node", look)
        actor.ok("Order", {"id": "more"})
    return len(seen)
