"""`ctx.effect`: a plain function is run by the host, its result is recorded, and no replay runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capabilities import chores
from tests.capabilities.acting import Acting, acting
from tests.node.stage import PATIENCE
from understudy.capabilities import effect_threads
from understudy.capabilities.effect import BadEffects, EffectCapability, EffectPart

ASKING = """
import uuid
from tests.capabilities import chores

def own(text: str) -> str:
    return text + str(len(chores.ran))

@wit.message("weigh")
def weigh(to: str, state: dict, ctx) -> None:
    parcel = ctx.effect(chores.weigh, to, stones=2)
    state["parcel"] = [type(parcel).__name__, parcel.weight, parcel.to]

@wit.message("weigh later")
async def weigh_later(to: str, state: dict, ctx) -> None:
    state["parcel"] = [(await ctx.effect(chores.weigh_later, to)).to, (await ctx.effect(chores.weigh, to, stones=1)).to]

@wit.message("call")
def call(name: str, ctx) -> str:
    return str(ctx.effect(getattr(chores, name)))

@wit.message("stumble")
def stumble(name: str, ctx) -> str:
    return ctx.effect(chores.stumble, name)

@wit.message("write")
def write(path: str, ctx) -> None:
    ctx.effect(chores.write, path)

@wit.message("own")
def call_own(text: str, ctx) -> str:
    return ctx.effect(own, text)

@wit.message("count")
def count(nothing: None, state: dict) -> int:
    state["count"] = state.get("count", 0) + 1
    return state["count"]

@wit.message("caught")
def caught(name: str, ctx) -> str:
    try:
        ctx.effect(getattr(chores, name))
    except CallFailed as error:
        return f"{error.code}: {error.text}"

@wit.message("throw")
def throw(name: str, ctx) -> str:
    try:
        ctx.effect(chores.throw, name)
    except CallFailed as error:
        return f"{error.code}: {error.text}"

@wit.message("throw later")
async def throw_later(name: str, ctx) -> str:
    try:
        await ctx.effect(chores.throw_later, name)
    except CallFailed as error:
        return f"{error.code}: {error.text}"

@wit.message("inside")
def inside(kind: str, ctx) -> str:
    def ask() -> str:
        return ctx.http.get("http://example.com").text if kind == "http" else str(ctx.query("clerk", "wut"))
    try:
        return ctx.effect(ask)
    except CallFailed as error:
        return f"{error.code}: {error.text}"

@wit.message("change")
def change(nothing: None, ctx) -> None:
    ctx.effect(own, str(uuid.uuid4()))

@wit.message("wrong")
def wrong(kind: str, ctx) -> None:
    ctx.effect({"class": dict, "text": "chores", "argument": own, "async": chores.weigh_later}[kind],
               *([object()] if kind == "argument" else []))
"""


LATE = """
@wit.message("late later")
async def late_later(name: str, ctx) -> str:
    try:
        return await ctx.effect(chores.linger)
    except CallFailed as error:
        return f"{error.code}: {error.text}"
"""


@pytest.fixture
def clerk() -> Iterator[Acting]:
    chores.ran.clear()
    chores.free.clear()
    with acting(ASKING) as clerk:
        yield clerk


def test_a_result_has_the_type_that_the_function_promises_live_and_in_a_replay(clerk: Acting):
    clerk.tell("weigh", "Oslo")
    assert clerk.living.state(clerk.id)["parcel"] == ["Parcel", 4, "Oslo"]
    clerk.tell("weigh later", "Bergen")
    assert clerk.living.state(clerk.id)["parcel"] == ["Bergen", "Bergen"]
    assert clerk.tell("call", "photo") == "b'\\x00\\xff'"
    before = len(chores.ran)
    assert clerk.verdict().ok
    assert len(chores.ran) == before


def test_what_changes_the_world_or_answers_otherwise_each_time_matches(clerk: Acting, tmp_path: Path):
    file = tmp_path / "file"
    clerk.tell("write", str(file))
    clerk.tell("call", "number")
    assert clerk.tell("own", "a") == "a2"
    file.unlink()
    assert clerk.verdict().ok
    assert not file.exists()


def test_a_function_that_blocks_holds_up_neither_other_actors_nor_the_loop(clerk: Acting):
    other = clerk.living.run(clerk.living.node.create({"wit": b"/code:it:wit", "code/it.py": OTHER.encode()})).id
    held = clerk.living.send(clerk.id, "call", "wait")
    answer = clerk.living.begin_answer(clerk.id, held)
    for number in range(1, 4):
        assert clerk.living.tell(other, "count") == number
    assert not answer.done()
    chores.free.set()
    assert answer.result(PATIENCE).outcome is None
    assert all(each.thread.startswith("understudy-effect") for each in chores.ran)


OTHER = """
from understudy import Wit
wit = Wit()

@wit.message("count")
def count(nothing: None, state: dict) -> int:
    state["count"] = state.get("count", 0) + 1
    return state["count"]
"""


def test_what_a_function_raises_is_an_answer_and_a_retry_is_none(clerk: Acting):
    assert clerk.tell("caught", "fall") == "LookupError: nothing there"
    assert clerk.tell("caught", "endless").startswith("TypeError")
    chores.troubles["twice"] = 2
    assert clerk.tell("stumble", "twice") == "done"
    assert len(clerk.journal()) == 1
    assert clerk.verdict().ok


@pytest.mark.parametrize("name", chores.RAISED)
@pytest.mark.parametrize("type", ["throw", "throw later"])
def test_whatever_a_function_raises_comes_back_and_holds_nobody_up(clerk: Acting, type: str, name: str):
    told = clerk.tell(type, name)
    # Python itself turns one that leaves a coroutine into this.
    expected = "RuntimeError" if (type, name) == ("throw later", "StopIteration") else name
    assert told.partition(":")[0] == expected
    assert clerk.tell("count") == 1
    assert clerk.verdict().ok


def test_a_result_that_no_record_can_hold_is_an_answer(clerk: Acting):
    assert clerk.tell("caught", "half_a_character").startswith("ValueError: ")
    assert clerk.verdict().ok


@pytest.mark.parametrize("kind", ["http", "query"])
def test_a_function_can_not_ask_through_the_step_that_runs_it(clerk: Acting, kind: str):
    assert clerk.tell("inside", kind).startswith("WitError: ")
    assert [entry.path for entry in clerk.journal()] == ["effect/0"]
    assert clerk.verdict().ok


def test_other_arguments_in_a_replay_are_a_mismatch_that_names_the_call(clerk: Acting):
    clerk.tell("change")
    verdict = clerk.verdict()
    assert (verdict.verdict, verdict.path) == ("MISMATCH", "data.journal.effect/0")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("class", "ctx.effect runs a function, not a type"),
        ("text", "ctx.effect runs a function, not a str"),
        ("argument", "has to be JSON"),
        ("async", "await ctx.effect"),
    ],
)
def test_what_is_no_function_or_no_json_is_said_before_anything_runs(clerk: Acting, kind: str, why: str):
    assert why in clerk.fails("wrong", kind)
    assert chores.ran == []


@pytest.mark.parametrize("type", ["caught", "late later"])
def test_a_function_that_does_not_end_holds_its_actor_no_longer_than_was_allowed(
    type: str, caplog: pytest.LogCaptureFixture
):
    chores.free.clear()
    with acting(ASKING + LATE, effects=EffectPart(seconds=0.2)) as clerk:
        told = clerk.tell(type, "wait")
        assert told.startswith("EffectTimeout: tests.capabilities.chores:") and "[capabilities.effect] seconds" in told
        assert clerk.tell("count") == 1
        if type == "caught":
            assert "it goes on on the thread understudy-effect-" in told
            (line,) = [record.getMessage() for record in caplog.records if record.name == "understudy.slow"]
            assert "chores:wait" in line and "understudy-effect-" in line and "chores.py:" in line and "in wait" in line
        chores.free.set()
        assert clerk.verdict().ok


def test_functions_that_do_not_end_take_no_threads_from_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(effect_threads, "MAX_THREADS", 1)
    monkeypatch.setattr(effect_threads, "MAX_GIVEN_UP", 1)
    chores.free.clear()
    with acting(ASKING, effects=EffectPart(seconds=0.5)) as clerk:
        assert "it goes on" in clerk.tell("caught", "wait")
        assert clerk.tell("call", "number")
        # This one is one too many: it keeps the only thread that is left, until it ends.
        assert "it goes on" in clerk.tell("caught", "wait")
        assert "it was not begun" in clerk.tell("caught", "number")
        chores.free.set()
        assert chores.ran[-1].name == "wait"
        while clerk.tell("caught", "number") is not None:
            pass
        assert clerk.verdict().ok


@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_a_time_that_can_not_be_is_refused(seconds: float):
    with pytest.raises(BadEffects, match=r"capabilities\.effect: seconds is"):
        EffectCapability(EffectPart(seconds=seconds))
