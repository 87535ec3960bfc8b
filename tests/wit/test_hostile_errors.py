"""Exceptions whose classes are as hostile as an author can make them, wherever a wit may raise one: a step says how it ended."""

from __future__ import annotations

import json

import pytest

from tests.wit.flow_stage import CALLER, OTHER, FlowActor
from understudy.objects.step import MAX_OUTCOME_BYTES

# What stands in the class's body, and what it says of itself.
CLASSES = {
    "exits when it is read": ("def __str__(self): raise SystemExit(3)", ""),
    "is interrupted when it is read": ("def __str__(self): raise KeyboardInterrupt", ""),
    "ends a generator when it is read": ("def __str__(self): raise GeneratorExit", ""),
    "says a text of its own kind": ("def __str__(self): return Text('oh')", "oh"),
    "says no text": ("def __str__(self): return 7", ""),
    "says very much": ("def __str__(self): return 'x' * 2_000_000", "xxx"),
    "says half a character": (r"def __str__(self): return '\ud800'", ""),
    "hides its attributes": ("def __getattribute__(self, name): raise SystemExit(4)", ""),
    "hides its class": ("__class__ = property(lambda self: 1 / 0)", ""),
    "hides where it comes from": ("__traceback__ = __cause__ = __context__ = property(lambda self: 1 / 0)", ""),
    "has notes of its own kind": ("__notes__ = property(lambda self: exit())", ""),
    "has a broken name": ("", ""),
}
BASES = ("Exception", "Refusal", "WitError", "CallFailed", "Retry", "SystemExit", "KeyboardInterrupt", "ExceptionGroup")
HOSTILE = """
class Text(str):
    def __getitem__(self, key): raise SystemExit(5)
    def encode(self, *_): raise SystemExit(6)
    def __len__(self): raise SystemExit(7)
class Named(type):
    @property
    def __name__(self): raise SystemExit(8)
class Bad(BASE, metaclass=META):
    BODY
def bad():
    if issubclass(Bad, ExceptionGroup):
        return Bad("some", [ValueError("one")])
    if issubclass(Bad, (Refusal, WitError, CallFailed)):
        return Bad(Text("code"), Text("text"))
    return Bad("text")
"""
CODE = f"""
@wit.message("sync")
def sync(): raise bad()
@wit.message("async")
async def later(): raise bad()
@wit.flow("at once")
async def at_once(ctx: FlowContext): raise bad()
@wit.flow("after")
async def after(ctx: FlowContext):
    await ctx.wait("go")
    raise bad()
def spoil(state: Book): raise bad()
@wit.flow("state")
async def state(ctx: FlowContext):
    await ctx.wait("go")
    try:
        ctx.with_state(spoil)
    except CallFailed as error:
        await ctx.request("{OTHER}", [error.code, error.text], type="told")
@wit.flow("parent")
async def parent(ctx: FlowContext):
    try:
        await ctx.start(after)
    except CallFailed as error:
        await ctx.request("{OTHER}", [error.code, error.text], type="told")
"""


def hostile(base: str, body: str, *, meta: str = "type") -> FlowActor:
    fill = {"BASE": base, "BODY": body or "pass", "META": meta}
    code = HOSTILE
    for name, text in fill.items():
        code = code.replace(name, text)
    return FlowActor("from understudy.actors.errors import WitError\n" + code + CODE)


def made(base: str, name: str) -> tuple[FlowActor, str]:
    body, says = CLASSES[name]
    return hostile(base, body, meta="Named" if name == "has a broken name" else "type"), says


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("base", BASES)
def test_a_step_whose_code_raises_a_hostile_exception_ends_as_any_failed_step(base: str, name: str) -> None:
    actor, _ = made(base, name)
    for type in ("sync", "async", "at once"):
        actor.send(type)
        if base == "Retry":
            assert actor.result.retry, type
            continue
        outcome = actor.result.outcome
        assert outcome is not None and outcome.code and outcome.text, type
        assert len(outcome.text.encode()) <= MAX_OUTCOME_BYTES


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("base", sorted({*BASES} - {"Retry"}))
def test_a_flow_that_ends_with_a_hostile_exception_answers_who_began_it(base: str, name: str) -> None:
    actor, says = made(base, name)
    actor.ok("after")
    ((to, type, content),) = actor.ok("go")
    assert (to, type) == (CALLER, "error") and content["code"]
    # The text of our own classes is what they were made with, whatever `str` gives.
    assert content["text"].startswith("" if base in ("Refusal", "WitError") else says)
    assert actor.names("flows") == []


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("base", sorted({*BASES} - {"Retry"}))
@pytest.mark.parametrize("begun", ["state", "parent"])
def test_a_flow_hears_of_a_hostile_exception_of_what_it_asked_for(base: str, name: str, begun: str) -> None:
    actor, _ = made(base, name)
    actor.ok(begun)
    ((to, _, told),) = actor.ok("go")
    assert to == OTHER and all(isinstance(part, str) and part for part in told)
    assert len(json.dumps(told)) <= 2 * MAX_OUTCOME_BYTES
    # The record is read again, and says the same.
    actor.restart()
    assert actor.answer(None)[0][1] == "reply"


PAYLOAD = """
class Strict(Struct):
    n: int = 0
    def __post_init__(self): raise RAISED
@wit.flow("child")
async def child(payload: Strict, ctx: FlowContext): pass
@wit.flow("begin")
async def begin(ctx: FlowContext):
    await ctx.wait("go")
    for ask in (lambda: ctx.wait(Strict), lambda: ctx.start(child, {})):
        try:
            await ask()
        except CallFailed as error:
            ctx.send(ctx.sender, [error.code, error.text], type="told")
"""


@pytest.mark.parametrize("raised", ["KeyError('n')", "SystemExit(3)", "KeyboardInterrupt", "GeneratorExit"])
def test_a_payload_whose_class_raises_is_an_error_for_the_flow_that_gets_it_and_never_lost(raised: str) -> None:
    actor = FlowActor(PAYLOAD.replace("RAISED", raised))
    actor.ok("begin")
    actor.ok("go")
    told = [content for _, type, content in actor.ok("Strict", {}) if type == "told"]
    assert [code for code, _ in told] == ["BadAnswer", raised.partition("(")[0]]
    assert actor.names("flows") == []
