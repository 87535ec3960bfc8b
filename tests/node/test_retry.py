"""Retry: the messages of a step that failed, run again by an order of the chain, with the code and the state of today.

Of kernel/retry.py and kernel/permission.py.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.node.troupe import OWNER, Troupe, chain
from understudy.judging.verification import verify_targets
from understudy.kernel import retry as rules
from understudy.objects.ids import ActorId, StepId, node_id
from understudy.objects.mailbox import SIGNAL
from understudy.objects.step import Outcome, step_block
from understudy.store.errors import Missing
from understudy.store.port import Unit
from understudy.store.verified import Grit

CODE = """
from understudy import Context, Message, Refusal, Wit
wit = Wit()

@wit.message("add")
def add(number: int, state: dict, ctx: Context, message: Message) -> int:
    state.setdefault("added", []).append([number, message.sender, message.seq, message.lane])
    BODY
    return number

@wit.message("refuse")
def refuse(number: int) -> None:
    raise Refusal("No", "as it was told")
"""
BAD, GOOD = CODE.replace("BODY", "1 / (number > 9)"), CODE.replace("BODY", "pass")
ANN = "out/test/ann"


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


def make(troupe: Troupe, code: str = BAD, **policy: object) -> ActorId:
    files = {"wit": "/code:it:wit", "code/it.py": code, "policy": json.dumps(policy)}
    return troupe.create(files)


def state(troupe: Troupe, actor: ActorId) -> list[list[object]]:
    found = troupe.reader.find(troupe.step(actor).core, "state")
    return [] if found is None else msgspec.json.decode(troupe.reader.blob(found))["added"]


def outcome(troupe: Troupe, step: StepId) -> Outcome:
    found = troupe.reader.step(step).outcome
    assert found is not None
    return found


def verify(troupe: Troupe, *actors: ActorId, integrity_only: bool = False) -> list[str]:
    targets = [troupe.target(actor) for actor in actors]
    found = verify_targets(troupe.backend, targets, processes=1, integrity_only=integrity_only)
    return [verdict.verdict for verdict in found]


def test_a_retry_runs_the_messages_again_with_the_code_and_the_state_of_today(troupe: Troupe) -> None:
    actor = make(troupe)
    failed = troupe.tell(actor, "add", 1, sender=ANN)
    troupe.tell(actor, "add", 10)
    assert outcome(troupe, failed).kind == "failed"
    troupe.update(actor, {"code/it.py": GOOD})
    retried = troupe.retry(actor, failed)
    step = troupe.reader.step(retried)
    assert step.outcome is None
    assert state(troupe, actor) == [[10, OWNER, 2, "queue"], [1, ANN, 1, "queue"]]
    (order,) = (troupe.reader.message(id) for id in step.consumed)
    assert (order.sender, order.lane, troupe.reader.block(order.content)) == (OWNER, "update", str(failed).encode())
    (reply,) = (troupe.reader.message(id) for id in step.sent)
    assert (reply.to, reply.re) == (ANN, str(troupe.reader.step(failed).consumed[0]))
    mark = troupe.reader.find(step.core, f"retried/{failed}")
    assert mark is not None and troupe.reader.blob(mark) == str(step.consumed[0]).encode()
    troupe.tell(actor, "add", 11, sender=ANN)
    assert verify(troupe, actor) == ["MATCH"] and verify(troupe, actor, integrity_only=True) == ["INTACT"]


def test_what_failed_again_may_be_retried_again_and_what_went_well_never(troupe: Troupe) -> None:
    actor = make(troupe)
    failed = troupe.tell(actor, "add", 1)
    again = troupe.retry(actor, failed)
    assert outcome(troupe, again).code == "ZeroDivisionError" and troupe.step(actor).sent == ()
    assert f"retry of {failed}" in outcome(troupe, troupe.retry(actor, again)).text
    troupe.update(actor, {"code/it.py": GOOD})
    assert troupe.reader.step(troupe.retry(actor, failed)).outcome is None
    assert outcome(troupe, troupe.retry(actor, failed)).code == "AlreadyRetried"
    assert len(state(troupe, actor)) == 1
    assert verify(troupe, actor) == ["MATCH"]


def test_a_refusal_can_be_retried_too_and_a_step_that_went_well_an_update_and_a_birth_can_t(troupe: Troupe) -> None:
    actor = make(troupe)
    birth = troupe.head(actor)
    refused, good = troupe.tell(actor, "refuse", 1), troupe.tell(actor, "add", 10)
    wrong = troupe.update(actor, {"wit": None})
    late = troupe.tell(actor, "genesis", 1)
    for step, code, text in (
        (good, "NothingToRetry", "went well"),
        (birth, "NothingToRetry", "went well"),
        (wrong, "NothingToRetry", "was an update"),
        (refused, "No", "as it was told"),
    ):
        found = outcome(troupe, troupe.retry(actor, step))
        assert (found.kind, found.code) == ("refused", code) and text in found.text
    assert outcome(troupe, late).code == "NoHandler"
    stillborn = make(troupe, CODE.replace("BODY", "pass") + "\n@wit.genesis\ndef begin(): 1 / 0")
    assert "birth" in outcome(troupe, troupe.retry(stillborn, troupe.head(stillborn))).text
    assert verify(troupe, actor, stillborn) == ["MATCH", "MATCH"]


def test_only_the_owner_and_whom_the_policy_names_may_order(troupe: Troupe) -> None:
    actor = make(troupe, update=[ANN])
    failed = troupe.tell(actor, "add", 1)
    assert outcome(troupe, troupe.retry(actor, failed, sender="out/test/eve")).code == "NotPermitted"
    assert outcome(troupe, troupe.retry(actor, failed, sender=ANN)).code == "ZeroDivisionError"
    assert verify(troupe, actor) == ["MATCH"]


def test_only_a_step_of_the_actor_s_own_history_can_be_retried(troupe: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    actor, other = make(troupe), make(troupe, GOOD + "\n# another")
    failed = troupe.tell(actor, "add", 1)
    fork = step_block(msgspec.structs.replace(troupe.reader.step(failed), time=troupe.time + 1))
    troupe.backend.commit([Unit(blocks=[fork])])
    troupe.tell(actor, "add", 10)
    elsewhere = troupe.tell(other, "refuse", 1)
    forged = node_id(b"nothing")
    for order in (elsewhere, forged, troupe.reader.step(failed).core, fork.id):
        assert outcome(troupe, troupe.retry(actor, order)).code == "NotThatStep"
    monkeypatch.setattr(rules, "MAX_STEPS_BACK", 5)
    assert "newest 5 steps" in outcome(troupe, troupe.retry(actor, failed)).text


@pytest.mark.parametrize("text", ["", "x", "b" * 59, "x" * 60])
def test_what_is_no_order_and_no_patch_is_refused_as_ever(troupe: Troupe, text: str) -> None:
    actor = make(troupe)
    found = outcome(troupe, troupe.retry(actor, text))
    assert (found.kind, found.code) == ("refused", "BadPatch")
    assert verify(troupe, actor) == ["MATCH"]


def test_several_messages_of_one_step_are_retried_together_or_not_at_all() -> None:
    troupe = Troupe(batch=10)
    actor = make(troupe)
    for number in (1, 2):
        troupe.send(actor, "add", number, sender=ANN)
    troupe.send(actor, "add", 3, lane=SIGNAL)
    troupe.play()
    failed = troupe.head(actor)
    assert len(troupe.step(actor).consumed) == 3
    troupe.update(actor, {"code/it.py": GOOD})
    troupe.retry(actor, failed)
    assert [number for number, *_ in state(troupe, actor)] == [3, 1, 2]
    assert verify(troupe, actor) == ["MATCH"]


def test_a_core_in_which_the_mark_has_no_place_fails_the_retry(troupe: Troupe) -> None:
    actor = make(troupe)
    failed = troupe.tell(actor, "add", 1)
    troupe.update(actor, {"code/it.py": GOOD, "retried": "a file of the author's"})
    found = outcome(troupe, troupe.retry(actor, failed))
    assert (found.kind, found.code) == ("failed", "InvalidCore") and "/retried" in found.text
    assert verify(troupe, actor) == ["MATCH"]


def test_an_actor_that_the_policy_lets_may_retry_its_own_step(troupe: Troupe) -> None:
    code = (
        GOOD
        + """
@wit.message("mend")
def mend(which: str, ctx: Context) -> None:
    ctx.outbox.send(ctx.actor_id, type="retry", content=which.encode(), lane="update")
"""
    )
    actor = make(troupe, BAD, update=["self"])
    failed = troupe.tell(actor, "add", 1)
    troupe.update(actor, {"code/it.py": code})
    troupe.tell(actor, "mend", str(failed))
    assert len(state(troupe, actor)) == 1
    troupe.tell(actor, "mend", str(failed))
    refused = [record for record in chain(troupe, actor) if record.step.outcome is not None][-1]
    assert refused.step.outcome is not None and refused.step.outcome.code == "AlreadyRetried"
    assert [delivery.message.type for delivery in refused.sent] == ["error"]
    assert verify(troupe, actor) == ["MATCH"]


def test_a_history_that_retries_what_it_may_not_is_found(troupe: Troupe) -> None:
    actor = make(troupe)
    failed = troupe.tell(actor, "add", 1)
    troupe.update(actor, {"code/it.py": GOOD})
    troupe.retry(actor, failed)
    assert verify(troupe, actor) == ["MATCH"]
    parent = troupe.step(actor).parent
    assert parent is not None
    core = troupe.reader.step(parent).core
    lies: dict[str, dict[str, Any]] = {
        "without the mark": {"core": core},
        "by nobody": {"engine": "kernel/1"},
        "refused": {
            "outcome": Outcome("refused", "AlreadyRetried", ""),
            "core": core,
            "sent": (),
        },
    }
    for lie, changes in lies.items():
        troupe.forge(actor, **changes)
        assert verify(troupe, actor) == ["MISMATCH"], lie


def test_whoever_lacks_the_step_can_t_tell_and_refuses_nothing(troupe: Troupe) -> None:
    actor = make(troupe)
    failed = troupe.tell(actor, "add", 1)
    troupe.tell(actor, "add", 10)
    troupe.lose(failed)
    troupe.reader = Grit(troupe.backend)
    with pytest.raises(Missing):
        troupe.retry(actor, failed)
