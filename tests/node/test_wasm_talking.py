"""A component that imports more than the seed's runtime: it knows who sent its message, answers, and judges others."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.engines.components import KEEP, actor, counter
from tests.node.living import Living
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.machine import Machine
from understudy.node.intake.composing import SendOptions
from understudy.objects.ids import ActorId

IMPORTS = """
  (import "ntwk:simple-actor/conversation" (instance $conversation
    (alias outer 1 $message (type $outer))
    (export "message" (type $m (eq $outer)))
    (type $r (record (field "id" string) (field "sender" string) (field "message-type" string)))
    (export "envelope" (type $envelope (eq $r)))
    (export "current" (func (result (option $envelope))))
    (export "reply" (func (param "msg" $m)))))
  (import "ntwk:simple-actor/judgement" (instance $judgement
    (export "verify" (func (param "actor-id" string) (result (result string (error string)))))))"""
LOWERED = """
  (core func $current (canon lower (func $conversation "current") (memory $memory) (realloc $realloc)))
  (core func $reply (canon lower (func $conversation "reply") (memory $memory)))
  (core func $verify (canon lower (func $judgement "verify") (memory $memory) (realloc $realloc)))"""
GIVEN = '(export "current" (func $current)) (export "reply" (func $reply)) (export "verify" (func $verify))'
CORE = """
    (import "host" "current" (func $current (param i32)))
    (import "host" "reply" (func $reply (param i32 i32)))
    (import "host" "verify" (func $verify (param i32 i32 i32)))"""
WORLDS = (IMPORTS, LOWERED, GIVEN, CORE)
# Answers with the sender's name, and keeps it.
POLITE = actor(
    """(call $current (i32.const 128))
    (call $reply (i32.load (i32.const 140)) (i32.load (i32.const 144)))
    (call $result (i32.load (i32.const 140)) (i32.load (i32.const 144)))""",
    worlds=WORLDS,
)
# The message is an actor's name or id; the state is the verdict on it.
JUDGE = actor(
    """(call $verify (local.get 0) (local.get 1) (i32.const 128))
    (call $result (i32.load (i32.const 132)) (i32.load (i32.const 136)))""",
    worlds=WORLDS,
)
# Answers when nobody has sent anything.
RUDE = actor(init="(call $reply (i32.const 0) (i32.const 0)) (call $result (i32.const 0) (i32.const 0))", worlds=WORLDS)
CONTRACTED = actor(message_contract="(call $reply (i32.const 0) (i32.const 0)) (i32.const 1)", worlds=WORLDS)
NOBODY = actor(
    init="(call $current (i32.const 128)) (call $result (i32.const 128) (i32.const 1))", handle=KEEP, worlds=WORLDS
)
ASKER = b"""
from understudy import Wit
wit = Wit()
@wit.message("go")
def go(to: str, ctx):
    ctx.send(to, {}, type="message")
@wit.message("reply")
def answered(said: bytes, state: dict, message):
    state["said"] = said.decode()
"""


@pytest.fixture
def living() -> Iterator[Living]:
    engines = {"python": PythonEngine(), "wasm": WasmEngine(machine=Machine(threads=1, memory=2**32))}
    with Living(engines=engines) as living:
        yield living


def born(living: Living, component: bytes, **more: str) -> ActorId:
    files = {"runtime": b"wasm", "wit": b"/code:c:handle", "code/c.wasm": component}
    return living.run(living.node.create(files, **more)).id


def state(living: Living, id: ActorId) -> bytes:
    found = living.node.reader.find(living.node.reader.step(living.node.actor(id).head).core, "state")
    assert found is not None
    return living.node.reader.blob(found)


def test_a_component_learns_who_sent_its_message_and_a_caller_from_outside_gets_its_answer(living: Living):
    id = born(living, POLITE)
    answer = living.run(
        living.node.answer(
            id, living.run(living.node.send(id, b"{}", type="message", options=SendOptions(caller="ann")))
        )
    )
    (reply,) = answer.replies
    assert reply.type == "reply"
    assert living.node.reader.blob(reply.content) == state(living, id) == living.party("ann").encode()
    assert [verdict.verdict for verdict in living.run(living.node.verify())] == ["MATCH"]


def test_an_actor_gets_its_answer_as_a_reply_to_what_it_sent(living: Living):
    id = born(living, POLITE)
    asker = living.run(living.node.create({"wit": ASKER})).id
    living.send(asker, "go", str(id))
    living.come_to_rest()
    assert state(living, id).decode() == str(asker)
    assert json.loads(state(living, asker)) == {"said": str(asker)}
    assert {verdict.verdict for verdict in living.run(living.node.verify())} == {"MATCH"}


def test_a_component_has_another_actor_judged_and_a_replay_takes_the_verdict_from_the_journal(living: Living):
    judge, other = born(living, JUDGE), born(living, counter(), name="other")
    living.run(living.node.answer(judge, living.run(living.node.send(judge, b"other", type="message"))))
    verdict = json.loads(state(living, judge))
    assert (verdict["verdict"], verdict["actor"]) == ("MATCH", str(other))
    living.run(living.node.answer(judge, living.run(living.node.send(judge, b"nobody", type="message"))))
    assert b"NotFound" in state(living, judge)
    assert {found.verdict for found in living.run(living.node.verify())} == {"MATCH"}


def test_nobody_is_answered_where_there_is_no_message(living: Living):
    steps = [living.node.reader.step(living.node.actor(born(living, each)).head) for each in (RUDE, NOBODY)]
    assert steps[0].outcome is not None and steps[0].outcome.code == "NotNow"
    assert steps[1].outcome is None
    id = born(living, CONTRACTED)
    answer = living.run(living.node.answer(id, living.run(living.node.send(id, b"{}", type="message"))))
    assert answer.outcome is not None and answer.outcome.code == "NotNow"
    assert not answer.replies
