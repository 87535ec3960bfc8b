"""What the kernel does with a message from the clock: the timer is looked for, and one that fires once is taken away.

Also of objects/clock.py, which says what such a message is.
"""

from __future__ import annotations

import pytest

from tests.node.troupe import OWNER, Troupe, chain
from understudy.actors.contract import Delivery
from understudy.judging.replay_calls import ReplayCalls
from understudy.kernel.actor import actor_at
from understudy.kernel.deliver import goes_alone
from understudy.kernel.replay import finish_replay, prepare_replay
from understudy.kernel.verify import check_record
from understudy.objects.clock import Ring, clock_of, ring_headers, ring_of
from understudy.objects.codec import raw_block
from understudy.objects.ids import ActorId
from understudy.objects.message import Message
from understudy.objects.step import CUT, Outcome
from understudy.store.closure import Closure
from understudy.store.maps import tree_entry
from understudy.store.reader import Staging

CODE = """
from understudy import Refusal, Retry, Wit

wit = Wit()

@wit.message("due")
def due(text: str, state: list, core) -> None:
    state.append([text, "timers/once" in core])

@wit.message("again")
def again(text: str, core) -> None:
    core["timers/once"] = '{"at":"2030-01-01T00:00Z","type":"again"}'

@wit.message("fails")
def fails() -> None:
    raise ValueError("this one always fails")

@wit.message("refuses")
def refuses() -> None:
    raise Refusal("No", "no")

@wit.message("cancel")
def cancel(core) -> None:
    del core["timers/once"]
"""
ONCE = '{"at":"2026-11-23T09:00Z","type":"due"}'
HOURLY = '{"every":"1 hour","type":"due"}'


@pytest.fixture
def troupe() -> Troupe:
    return Troupe(batch=16)


@pytest.fixture
def actor(troupe: Troupe) -> ActorId:
    files = {"wit": "/code:a:wit", "code/a.py": CODE, "state": "[]"}
    return troupe.create({**files, "timers/once": ONCE, "timers/hourly": HOURLY})


def timers(troupe: Troupe, actor: ActorId) -> set[str]:
    tree = tree_entry(troupe.reader, troupe.step(actor).core, "timers")
    assert tree is not None
    return set(troupe.reader.tree(tree))


def state(troupe: Troupe, actor: ActorId) -> bytes:
    id = tree_entry(troupe.reader, troupe.step(actor).core, "state")
    assert id is not None
    return troupe.reader.blob(id)


def check(troupe: Troupe, actor: ActorId) -> None:
    """Each step is right by itself, and comes out again."""
    for record in chain(troupe, actor):
        assert check_record(troupe.reader, record, Closure(troupe.reader)) is None
        calls = ReplayCalls(record.answers, troupe.reader)
        staging = Staging(troupe.reader)
        plan = prepare_replay(record, staging=staging, calls=calls, engines=troupe.engines, owner=lambda: OWNER)
        assert finish_replay(record, plan, troupe._run(plan)).id == record.id


def test_a_timer_that_fires_once_is_gone_before_its_message_is_handled(troupe: Troupe, actor: ActorId):
    troupe.ring(actor, "once", "due", "a")
    troupe.play()
    assert state(troupe, actor) == b'[["a",false]]'
    assert timers(troupe, actor) == {"hourly"}
    check(troupe, actor)


def test_a_timer_that_repeats_stays(troupe: Troupe, actor: ActorId):
    for _ in range(2):
        troupe.ring(actor, "hourly", "due", "a", is_last=False, missed=3)
    troupe.play()
    assert state(troupe, actor) == b'[["a",true],["a",true]]'
    assert timers(troupe, actor) == {"once", "hourly"}
    check(troupe, actor)


def test_what_is_set_anew_while_it_rings_stays(troupe: Troupe, actor: ActorId):
    troupe.ring(actor, "once", "again", "a")
    troupe.play()
    assert timers(troupe, actor) == {"once", "hourly"}
    check(troupe, actor)


@pytest.mark.parametrize("type", ["fails", "refuses", "nobody handles this"])
def test_a_timer_fires_once_even_if_its_step_fails(troupe: Troupe, actor: ActorId, type: str):
    troupe.ring(actor, "once", type)
    troupe.play()
    step = troupe.step(actor)
    assert step.outcome is not None
    assert timers(troupe, actor) == {"hourly"}
    assert state(troupe, actor) == b"[]"
    assert not step.sent
    check(troupe, actor)


def test_a_timer_of_a_step_that_the_host_cut_is_gone_too(troupe: Troupe, actor: ActorId):
    message = troupe.ring(actor, "once", "due")
    cut = Outcome(CUT, "HostLimit", "no")
    sealed = troupe._make(
        actor_at(troupe.reader, troupe.head(actor)), [Delivery(message, troupe.reader.message(message))], cut=cut
    )
    troupe._commit(sealed.unit)
    assert troupe.step(actor).outcome == cut
    assert timers(troupe, actor) == {"hourly"}


@pytest.mark.parametrize(
    "change", [{"timers/once": None}, {"timers/once": HOURLY}, {"timers": None}, {"timers": "a text"}]
)
def test_a_timer_that_is_gone_does_not_ring(troupe: Troupe, actor: ActorId, change: dict[str, str | None]):
    troupe.ring(actor, "once", "due")
    troupe.update(actor, change)
    outcome = troupe.step(actor).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.code, troupe.step(actor).engine) == ("noop", "TimerGone", "kernel/1")
    assert state(troupe, actor) == b"[]"
    check(troupe, actor)


def test_what_an_earlier_message_of_a_batch_took_back_does_not_ring(troupe: Troupe, actor: ActorId):
    troupe.send(actor, "cancel")
    troupe.ring(actor, "once", "due")
    while troupe._play(actor):
        pass
    codes = {record.step.outcome.code for record in chain(troupe, actor) if record.step.outcome is not None}
    # The order between two senders is the node's: it rang first, or not at all.
    assert codes in ({"TimerGone"}, {"KeyError"})
    check(troupe, actor)


def test_a_message_of_the_clock_goes_alone(troupe: Troupe, actor: ActorId):
    for text in "ab":
        troupe.send(actor, "due", text)
    troupe.ring(actor, "once", "due", "c")
    for text in "de":
        troupe.send(actor, "due", text)
    troupe.play()
    assert sorted(len(record.consumed) for record in chain(troupe, actor)) == [1, 1, 4]
    alone = [record for record in chain(troupe, actor) if goes_alone(record.consumed[0].message)]
    assert [len(record.consumed) for record in alone] == [1, 1]
    check(troupe, actor)


def test_a_step_is_never_made_before_its_timer_is_due(troupe: Troupe, actor: ActorId):
    late = troupe.time + 3_600_000_000
    troupe.ring(actor, "once", "due", "a", due=late)
    troupe.play()
    assert troupe.step(actor).time == late
    check(troupe, actor)
    troupe.forge(actor, time=late - 1)
    problem = check_record(troupe.reader, chain(troupe, actor)[-1], Closure(troupe.reader))
    assert problem is not None
    assert (problem.cause, problem.path) == ("integrity", "data.time")
    assert "due" in problem.reason


RING = Ring("once", raw_block(b"x").id, due=7, missed=2, is_last=False)
TO = str(raw_block(b"x").id)


def message(**changes) -> Message:
    fields = {"to": TO, "sender": clock_of("n"), "seq": 1, "type": "due", "content": RING.file}
    return Message(**{**fields, "headers": ring_headers(RING), **changes})


def test_what_a_message_says_of_its_timer_is_read_back():
    assert ring_of(message()) == RING
    once = RING._replace(is_last=True, missed=0)
    assert ring_of(message(headers=ring_headers(once))) == once


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "out/n/ann"},
        {"sender": TO},
        {"lane": "signal"},
        {"headers": {}},
        *({"headers": {**ring_headers(RING), key: None}} for key in ("timer", "timer-file", "timer-due")),
        {"headers": {**ring_headers(RING), "timer": "a/b"}},
        {"headers": {**ring_headers(RING), "timer-file": "x"}},
        *({"headers": {**ring_headers(RING), "timer-due": due}} for due in ("", "-1", "01", "1.0", "9" * 19, "٣")),
        {"headers": {**ring_headers(RING), "timer-missed": "many"}},
        {"headers": {**ring_headers(RING), "timer-last": "false"}},
    ],
)
def test_any_other_message_is_one_like_all(changes):
    if "headers" in changes:
        changes = {"headers": {key: value for key, value in changes["headers"].items() if value is not None}}
    assert ring_of(message(**changes)) is None
