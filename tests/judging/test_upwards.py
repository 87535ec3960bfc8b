"""Long flows are judged by letting their code wait between steps, and come to the verdicts that running them again gives."""

from __future__ import annotations

import time

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE
from tests.wit.flow_stage import OTHER, FlowActor
from understudy.judging.upwards import LONG, has_long
from understudy.judging.verification import Target
from understudy.kernel.verdict import GLOBAL, MATCH, MISMATCH, Verdict
from understudy.objects.ids import ActorId, Id
from understudy.testing.engine_suite import Objects

# Answers of a kilobyte: eight fill a page of the record.
ASKS = LONG * 8 + 100
SLOW = f"""
from understudy import FlowContext, Wit
wit = Wit()
seen = []
def note(state: dict, number: int) -> None:
    state["last"] = number
    REMEMBER
@wit.message("ask")
def ask(number: int) -> str:
    return "x" * 1000
@wit.message("set")
def set(state: dict) -> None:
    SET
@wit.flow("begin")
async def begin(ctx: FlowContext) -> int:
    for number in range({ASKS}):
        await ctx.request(str(ctx.actor_id), number, type="ask", returns=str)
        if number % 10 == 0:
            ctx.with_state(note, READ)
        if number == {ASKS - 20}:
            ctx.send(str(ctx.actor_id), None, type="set")
    return number
"""


def judged(*, remember: str = "pass", set: str = "pass", read: str = "number") -> Verdict:
    living = Living()
    code = SLOW.replace("REMEMBER", remember).replace("SET", set).replace("READ", read)
    actor = living.create(**{"wit": "/code:m:wit", "code/m.py": code})
    living.tell(actor, "begin")
    deadline = time.monotonic() + PATIENCE
    while living.node.reader.tree(flows_of(living, actor)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (verdict,) = living.run(living.node.verify([Target(actor, living.node.lookup.newest(actor))]))
    living.stop()
    return verdict


def flows_of(living: Living, actor: ActorId) -> Id:
    flows = living.node.reader.find(living.node.step(living.node.newest(actor)).core, "flows")
    assert flows is not None
    return flows


def test_a_long_flow_that_keeps_to_its_record_is_a_match() -> None:
    assert judged().verdict == MATCH


@pytest.mark.parametrize(
    "code",
    [
        # Within one batch of a judge.
        {"remember": f"if number > {ASKS - 24}: state['n'] = len(seen); seen.append(1)"},
        {"set": "seen.append(1)", "read": "number + len(seen)"},
    ],
    ids=["a function of the state leaves it to itself", "a handler leaves it to the flow"],
)
def test_what_a_long_flow_finds_in_a_global_is_a_mismatch(code: dict[str, str]) -> None:
    verdict = judged(**code)
    assert (verdict.verdict, verdict.cause) == (MISMATCH, GLOBAL), verdict


def test_only_steps_in_which_a_long_flow_goes_on_run_apart() -> None:
    actor = FlowActor(
        f"""
@wit.flow("long")
async def long(ctx: FlowContext) -> None:
    for number in range({LONG * 9}):
        await ctx.request("{OTHER}", number, type="ask", returns=str)
@wit.flow("short")
async def short(ctx: FlowContext) -> None:
    await ctx.wait("go")
@wit.message("count")
def count(state: Book) -> None:
    state.lines.append("")
"""
    )
    actor.ok("long")
    found = []
    (letter,) = actor.letters
    for _ in range(LONG * 9):
        before = actor.core
        actor.ok("reply", "x" * 1000, sender=OTHER, re=letter[3])
        letter = actor.letters[0] if actor.letters else letter
        found.append(has_long(actor.objects, before, actor.core))
        for type in ("short", "count", "go"):
            before = actor.core
            actor.ok(type)
            assert not has_long(actor.objects, before, actor.core)
    assert not any(found[: LONG * 5]) and all(found[LONG * 8 :])


@pytest.mark.parametrize("path", ["flows", "flows/x", "flows/x/record", "flows/x/record/0"])
def test_what_a_wit_keeps_where_flows_would_be_is_no_long_flow(path: str) -> None:
    objects = Objects()
    before, after = (
        objects.core({"wit": "x", path: text, "flows/y" if path != "flows" else "y": text}) for text in "ab"
    )
    assert not has_long(objects, before, after)


def test_a_core_that_can_not_be_read_is_left_to_the_step_itself() -> None:
    objects = Objects()
    before, after = (objects.core({"wit": "x", "flows/x/record/0": text}) for text in "ab")
    for lost in (before, after, objects.find(before, "flows"), objects.find(before, "flows/x/record")):
        assert lost is not None
        part = Objects()
        part.held = {id: data for id, data in objects.held.items() if id != lost}
        assert not has_long(part, before, after)
