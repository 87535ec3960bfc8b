"""Actors whose `/policy` says `"on_failure": "hold"`: their code fails, and nothing is consumed until it is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.living import Living
from tests.node.stage import ClogStore, troubles
from understudy.judging.verification import Target
from understudy.node.errors import Held, Rejected
from understudy.node.holds import Kind
from understudy.objects.ids import ActorId, MessageId
from understudy.objects.mailbox import SIGNAL
from understudy.store.fsck import fsck
from understudy.store.keys import hold_row

HOLD = json.dumps({"on_failure": "hold", "retry": {"attempts": 2, "first_ms": 1}})
CODE = """
from understudy import Context, Refusal, Wit
wit = Wit()

@wit.message("add")
def add(number: int, state: dict) -> int:
    state.setdefault("added", []).append(BOUND // number)
    return number

@wit.message("refuse")
def refuse(number: int) -> None:
    raise Refusal("No", "as it was told")
"""
BAD, GOOD = CODE.replace("BOUND // number", "0 // number + number"), CODE.replace("BOUND // number", "number")


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


def make(living: Living, code: str = BAD, **policy: Any) -> ActorId:
    given = json.dumps({**json.loads(HOLD), **policy})
    return living.create(wit="/code:it:wit", policy=given, **{"code/it.py": code})


def fail(living: Living, actor: ActorId) -> MessageId:
    """A message on which the code fails; back once the actor is held."""
    message = living.send(actor, "add", 0)
    with pytest.raises(Held, match="ZeroDivisionError"):
        living.begin_answer(actor, message).result(60)
    # Who waits hears of it while the hold is on its way to the store.
    living.until(lambda: living.node.actor(actor).status == "held")
    return message


def verify(living: Living, actor: ActorId) -> str:
    return living.run(living.node.verify([Target(actor, living.node.actor(actor).head)]))[0].verdict


def test_a_failure_consumes_nothing_and_after_an_update_everything_is_handled_in_order(living: Living) -> None:
    actor, other = make(living), make(living, GOOD)
    living.tell(actor, "add", 1)
    failed = fail(living, actor)
    head = living.node.actor(actor).head
    later = [living.send(actor, "add", number) for number in (2, 3)]
    assert living.tell(other, "add", 7) == 7
    about = living.node.actor(actor)
    assert (about.head, about.status) == (head, "held") and "code/it.py:7 in add" in (about.reason or "")
    assert [one.message for one in living.node.pending(actor)] == [failed, *later]
    assert {one.state for one in living.node.pending(actor)} == {"held"}
    assert living.update(actor, **{"code/it.py": GOOD}) is None
    living.come_to_rest()
    assert living.state(actor)["added"] == [1, 0, 2, 3]
    assert living.node.actor(actor).status == "ready" and not living.node.health()["holds"]
    assert living.outcomes(actor) == ["ok"] * len(living.chain(actor)) and verify(living, actor) == "MATCH"


def test_a_hold_outlives_restarts_and_whoever_resumes_it_has_the_message_tried_again() -> None:
    living = Living()
    actor = make(living)
    fail(living, actor)
    reason = living.node.actor(actor).reason
    living = living.again()
    assert living.node.actor(actor).reason == reason and len(living.chain(actor)) == 1
    assert living.node.health()["holds"] == [{"actor": str(actor), "name": None, "state": "held", "reason": reason}]
    living.run(living.node.resume(actor))
    living.until(lambda: living.node.actor(actor).status == "held")
    assert len(living.chain(actor)) == 1 and len(living.node.pending(actor)) == 1
    living = living.again()
    assert living.update(actor, **{"code/it.py": GOOD}) is None
    living.come_to_rest()
    assert living.backend.row(hold_row(actor, Kind.FAILURE)) is None
    living.stop()
    assert fsck(living.backend).ok


def test_of_several_messages_in_one_step_only_the_one_that_failed_and_those_after_it_wait() -> None:
    with Living(ClogStore()) as living:
        actor = make(living, batch=10)
        living.run(living.node.pause(actor))
        messages = [living.send(actor, "add", number) for number in (1, 2, 0, 3)]
        living.run(living.node.resume(actor))
        living.until(lambda: living.node.actor(actor).status == "held" and living.ahead(actor) == 0)
        assert living.state(actor)["added"] == [1, 2]
        assert [one.message for one in living.node.pending(actor)] == messages[2:]


def test_a_refusal_stays_an_answer_and_the_next_message_has_its_turn(living: Living) -> None:
    actor = make(living)
    outcomes = [living.ask(actor, type, 1).outcome for type in ("refuse", "nobody knows")]
    assert [outcome and outcome.code for outcome in outcomes] == ["No", "NoHandler"]
    assert living.tell(actor, "add", 1) == 1


def test_a_signal_and_an_error_hold_too_and_what_the_world_fails_holds_after_the_last_attempt(living: Living) -> None:
    actor = make(living)
    living.send(actor, "add", 0, lane=SIGNAL)
    living.until(lambda: living.node.actor(actor).status == "held")
    stage = living.create(policy=HOLD)
    troubles["hold"] = 2
    message = living.send(stage, "stumble", "hold")
    with pytest.raises(Held, match="RetriesExhausted"):
        living.begin_answer(stage, message).result(60)
    living.run(living.node.resume(stage))
    assert living.begin_answer(stage, message).result(60).outcome is None


def test_a_birth_and_an_update_that_fail_are_recorded_or_nothing_could_come_after_them(living: Living) -> None:
    made = living.made(wit="def wit(): 1 / 0", policy=HOLD)
    assert made.answer is not None and made.answer.outcome is not None
    assert made.answer.outcome.code == "ZeroDivisionError"
    actor = make(living)
    outcome = living.update(actor, wit_update="def wit_update(): 1 / 0")
    assert outcome is not None and outcome.code == "ZeroDivisionError"
    assert living.update(actor, wit_update=None, **{"code/it.py": GOOD}) is None
    assert living.tell(actor, "add", 1) == 1


def test_code_that_does_not_load_holds_and_an_update_that_is_refused_cures_nothing(living: Living) -> None:
    actor = make(living, GOOD)
    living.update(actor, **{"code/it.py": "import nowhere_at_all"})
    message = living.send(actor, "add", 1)
    with pytest.raises(Held, match="ImportFailed"):
        living.begin_answer(actor, message).result(60)
    outcome = living.update(actor, caller="somebody", **{"code/it.py": GOOD})
    assert outcome is not None and outcome.code == "NotPermitted"
    assert living.node.actor(actor).status == "held"
    assert living.update(actor, **{"code/it.py": GOOD}) is None
    assert living.begin_answer(actor, message).result(60).outcome is None


def test_a_paused_actor_that_was_held_stays_paused_after_the_cure(living: Living) -> None:
    actor = make(living)
    fail(living, actor)
    living.run(living.node.pause(actor, reason="moving"))
    assert living.update(actor, **{"code/it.py": GOOD}) is None
    assert living.node.actor(actor).status == "paused" and len(living.node.pending(actor)) == 1
    living.run(living.node.resume(actor))
    living.come_to_rest()
    assert living.state(actor)["added"] == [0]


def test_another_word_in_the_policy_is_refused(living: Living) -> None:
    with pytest.raises(Rejected, match="on_failure"):
        make(living, on_failure="wait")


BEGIN = """
from understudy import FlowContext, Wit
wit = Wit()
@wit.flow("begin")
async def begin(number: int, ctx: FlowContext) -> int:
    FIRST
    await ctx.wait("go")
    return 6 // number
"""


def test_a_flow_that_fails_at_its_beginning_holds_and_one_that_fails_later_answers(living: Living) -> None:
    actor = make(living, BEGIN.replace("FIRST", "6 // number"))
    message = living.send(actor, "begin", 0)
    with pytest.raises(Held, match="ZeroDivisionError"):
        living.begin_answer(actor, message).result(60)
    assert (len(living.chain(actor)), [one.message for one in living.node.pending(actor)]) == (1, [message])
    assert living.update(actor, **{"code/it.py": BEGIN.replace("FIRST", "pass")}) is None
    living.come_to_rest()
    # Its record says where it is, so the message that it goes on with is consumed, and who began it hears of the failure.
    assert living.tell(actor, "go") is None
    (sent,) = (living.node.reader.message(id) for step in living.chain(actor) for id in step.sent)
    said = json.loads(living.node.reader.blob(sent.content))
    assert (sent.type, sent.re, said["code"]) == ("error", str(message), "ZeroDivisionError")
    assert living.node.actor(actor).status == "ready" and verify(living, actor) == "MATCH"
