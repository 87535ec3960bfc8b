"""Requests of components: the same record in the core and the same verdicts as `ctx.request` has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engines.components import KEEP, actor
from tests.node.test_wasm_timers import Sleeper
from understudy.engines.wasm.world import REQUESTS
from understudy.objects.ids import node_id
from understudy.objects.message import Message

IMPORTS = f"""
  (import "{REQUESTS}" (instance $requests
    (alias outer 1 $message (type $outer))
    (export "message" (type $m (eq $outer)))
    (type $r (record (field "request" string) (field "actor-id" string) (field "message-type" string) (field "failed" bool)))
    (export "answer" (type $answer (eq $r)))
    (export "request" (func (param "actor-id" string) (param "message-type" string) (param "msg" $m)
      (param "timeout" (option f64)) (result (result string (error string)))))
    (export "answered" (func (result (option $answer))))))"""
LOWERED = """
  (core func $request (canon lower (func $requests "request") (memory $memory) (realloc $realloc)))
  (core func $answered (canon lower (func $requests "answered") (memory $memory) (realloc $realloc)))"""
GIVEN = '(export "request" (func $request)) (export "answered" (func $answered))'
CORE = """
    (import "host" "request" (func $request (param i32 i32 i32 i32 i32 i32 i32 f64 i32)))
    (import "host" "answered" (func $answered (param i32)))"""
WORLDS = (IMPORTS, LOWERED, GIVEN, CORE)
DATA = "ask/echo"
TYPE, EMPTY, NEVER = "(i32.const 1024) (i32.const 3)", "(i32.const 1024) (i32.const 0)", "(i32.const 0) (f64.const 0)"
TEXT = "(i32.add (local.get 0) (i32.const 1)) (i32.sub (local.get 1) (i32.const 1))"  # without the first letter
SOON = "(i32.const 1) (f64.const 9)"
MESSAGE = "(local.get 0) (local.get 1)"
# The state is the id of the request, or why there is none.
SAID = "(call $result (i32.load (i32.const 196)) (i32.load (i32.const 200)))"
CALLS = {
    "r": f"(call $request {TEXT} {TYPE} {MESSAGE} {NEVER} (i32.const 192)) {SAID}",
    "t": f"(call $request {TEXT} {TYPE} {MESSAGE} {SOON} (i32.const 192)) {SAID}",
    "w": f"(call $request {TEXT} {EMPTY} {MESSAGE} {NEVER} (i32.const 192)) {SAID}",
    "n": f"(call $request {TEXT} {TYPE} {MESSAGE} (i32.const 1) (f64.const -1) (i32.const 192)) {SAID}",
    "y": f"(call $request {TEXT} {TYPE} {MESSAGE} (i32.const 1) (f64.const 1e300) (i32.const 192)) {SAID}",
    # Others first: to the same actor by its name, and to nobody.
    "s": f"""(call $send (i32.const 1028) (i32.const 4) {MESSAGE}) (call $send {TYPE} {MESSAGE})
      (call $request {TEXT} {TYPE} {MESSAGE} {NEVER} (i32.const 192))
      (call $send (i32.const 1028) (i32.const 4) {MESSAGE}) {SAID}""",
    "f": f"(call $request {TEXT} {TYPE} {MESSAGE} {NEVER} (i32.const 192)) (unreachable)",
}
# The state is an answer, after "+" or "-" and the type of the request.
ANSWER = """
    (call $answered (i32.const 128))
    (if (i32.load8_u (i32.const 128)) (then
      (local.set 4 (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2000)))
      (i32.store8 (local.get 4) (i32.add (i32.const 43) (i32.mul (i32.const 2) (i32.load8_u (i32.const 156)))))
      (memory.copy (i32.add (local.get 4) (i32.const 1)) (i32.load (i32.const 148)) (i32.load (i32.const 152)))
      (local.set 5 (i32.add (i32.const 1) (i32.load (i32.const 152))))
      (memory.copy (i32.add (local.get 4) (local.get 5)) (local.get 0) (local.get 1))
      (return (call $result (local.get 4) (i32.add (local.get 5) (local.get 1))))))"""
HANDLE = (
    ANSWER
    + "".join(
        f"(if (i32.eq (i32.load8_u (local.get 0)) (i32.const {ord(letter)})) (then (return {call})))"
        for letter, call in CALLS.items()
    )
    + KEEP
)
ASKER = actor(HANDLE, data=DATA, worlds=WORLDS)
CONTRACTED = actor(
    message_contract=f"(call $request {TEXT} {TYPE} {MESSAGE} {NEVER} (i32.const 192)) (i32.const 1)",
    data=DATA,
    worlds=WORLDS,
)
# Knows nothing of requests, and gets an answer to what it sent.
CLOSED = actor(f"(call $send (i32.const 1024) (i32.const 6) {MESSAGE}) {KEEP}", data="broken")
OTHERS = """
from understudy import Wit

wit = Wit()

@wit.message("ask")
def ask(ctx, state: dict) -> None:
    {}

@wit.message("message")
def message(ctx, state: dict) -> None:
    {}
"""


class Asker(Sleeper):
    """A component among Python actors: one that answers, one that fails, one that says nothing."""

    def __init__(self, component: bytes = ASKER, **files: bytes) -> None:
        super().__init__(component, **files)
        for name, line in (("echo", 'ctx.reply({"fine": True})'), ("broken", "1 / 0"), ("mute", "pass")):
            core = {"wit": b"/code:a:wit", "code/a.py": OTHERS.format(line, line).encode(), "state": b"{}"}
            self.living.run(self.living.node.create(core, name=name))

    def waiting(self) -> dict[str, Any]:
        """The requests in the core."""
        reader = self.living.node.reader
        tree = reader.find(self.living.chain(self.id)[-1].core, "requests")
        return {} if tree is None else {id: json.loads(reader.blob(each)) for id, each in reader.tree(tree).items()}

    def rest(self, text: str) -> str:
        """The state when all has been answered."""
        self.ask(text)
        self.living.come_to_rest()
        return self.state


@pytest.fixture
def asker() -> Iterator[Asker]:
    with Asker() as asker:
        yield asker


def test_an_answer_comes_as_a_message_that_knows_its_request(asker: Asker):
    assert asker.rest("recho") == '+ask{"fine":true}'
    assert asker.waiting() == {}
    asker.check()


def test_the_id_counts_on_what_was_sent_before(asker: Asker):
    assert asker.rest("secho") == '+ask{"fine":true}'
    assert asker.waiting() == {}
    asker.check()


def test_a_request_waits_in_the_core_over_a_restart_until_its_time_is_over(asker: Asker):
    id = asker.rest("tmute")
    (waits,) = asker.waiting().values()
    assert list(asker.waiting()) == [id]
    assert (waits["type"], waits["due"] - waits["since"], waits["origin"]["type"]) == ("ask", 9_000_000, "message")
    assert list(asker.timers()) == [f"request-{id}"]
    asker.sleep(10)
    assert asker.state.startswith("-ask{") and json.loads(asker.state[4:])["kind"] == "timeout"
    assert (asker.waiting(), asker.timers()) == ({}, {})
    asker.check()


def test_an_answer_in_time_takes_the_timer_back(asker: Asker):
    assert asker.rest("techo") == '+ask{"fine":true}'
    assert (asker.waiting(), asker.timers()) == ({}, {})
    asker.check()


def test_an_actor_that_fails_is_an_answer_too(asker: Asker):
    state = asker.rest("rbroken")
    assert state.startswith("-ask{") and json.loads(state[4:])["code"] == "ZeroDivisionError"
    assert asker.waiting() == {}
    asker.check()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rnobody", "NoSuchActor"),
        ("ra/b", "NoSuchActor"),
        ("rout/node/ada", "is outside"),
        ("wecho", "type"),
        ("necho", "must not be negative"),
        ("yecho", "before the year 10000"),
    ],
)
def test_a_wrong_request_is_an_answer_to_the_component_and_sends_nothing(asker: Asker, text: str, said: str):
    assert said in asker.rest(text)
    assert asker.waiting() == {}
    assert sent(asker) == []
    asker.check()


def test_a_core_whose_requests_are_no_tree_is_an_answer_too():
    with Asker(requests=b"none") as asker:
        assert "a blob" in asker.rest("recho")
        assert sent(asker) == []
        asker.check()


def test_a_request_to_an_id_without_an_actor_is_answered_at_once(asker: Asker):
    nobody = str(node_id(b"nobody"))
    said = asker.rest(f"r{nobody}")
    assert said.startswith("-ask") and "NoSuchActor" in said and nobody in said
    assert asker.waiting() == {}
    asker.check()


def test_a_step_that_fails_asks_nobody(asker: Asker):
    outcome = asker.send("fecho")
    assert outcome is not None and outcome.code == "Unreachable"
    assert (asker.waiting(), sent(asker)) == ({}, [])
    asker.check()


def test_a_contract_asks_nobody():
    with Asker(CONTRACTED) as asker:
        outcome = asker.send("recho")
        assert outcome is not None and outcome.code == "NotNow"
        asker.check()


def test_an_error_is_logged_as_before_by_a_component_that_imports_no_requests():
    with Asker(CLOSED) as asker:
        asker.rest("hello")
        assert "ZeroDivisionError" in asker.living.log(asker.living.chain(asker.id)[-1])
        asker.check()


def sent(asker: Asker) -> list[Message]:
    """What the last step of the component sent."""
    reader = asker.living.node.reader
    return [reader.message(id) for id in asker.living.chain(asker.id)[-1].sent]
