"""How many messages make a step: as many as are expected to take milliseconds, by what they were measured to cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.living import Living
from understudy.actors.contract import Delivery
from understudy.kernel.deliver import Waiting
from understudy.node.running.pace import LONG_WAIT, MAX_TYPES, RECENT, STEP_SECONDS, Pace, Paces
from understudy.objects.blob import blob_id
from understudy.objects.ids import Id, MessageId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import Message, message_block
from understudy.objects.step import MAX_CONSUMED

ACTOR = str(blob_id(b"an actor"))
SLOW_MS = 2 * 1000 * STEP_SECONDS  # longer than a step should last


def deliveries(types: list[str]) -> list[Delivery]:
    found: list[Delivery] = []
    for seq, type in enumerate(types, 1):
        before = str(Id(found[-1].id)) if found else None
        message = Message(
            to=ACTOR, sender="out/n/ann", seq=seq, type=type, content=Id(blob_id(b"")), lane="queue", previous=before
        )
        found.append(Delivery(MessageId(message_block(message).id), message))
    return found


def steps_of(pace: Pace, types: list[str], costs: dict[str, float], *, computes: bool = True) -> list[list[str]]:
    """What a line of messages becomes, if each takes what `costs` says, which it computes or waits for."""
    waiting = Waiting()
    for delivery in deliveries(types):
        waiting.add(delivery)
    steps = []
    while taken := waiting.take(born=True, limit=MAX_CONSUMED, cost=pace.seconds, budget=STEP_SECONDS):
        steps.append([delivery.message.type for delivery in taken])
        seconds = sum(costs[type] for type in steps[-1])
        pace.learn(taken, seconds, seconds if computes else 0.0)
    return steps


def test_cheap_messages_come_to_share_a_step() -> None:
    steps = steps_of(Pace(), ["add"] * 2000, {"add": STEP_SECONDS / 1000})
    assert len(steps[0]) == 1 and len(steps[1]) == MAX_CONSUMED and len(steps) < 10


@pytest.mark.parametrize("computes", [True, False])
@pytest.mark.parametrize("slow", [0.03, 0.2])
def test_a_message_that_takes_long_goes_alone_however_cheap_those_before_it_were(slow: float, computes: bool) -> None:
    steps = steps_of(Pace(), ["add"] * 600 + ["slow"] * 5, {"add": 1e-5, "slow": slow}, computes=computes)
    assert [step for step in steps if "slow" in step] == [["slow"]] * 5


def test_the_first_step_of_a_type_which_loads_its_code_does_not_hold_the_pace_down_for_long() -> None:
    pace = Pace()
    pace.learn(deliveries(["add"]), 0.5, 0.5)
    steps = steps_of(pace, ["add"] * 2000, {"add": 1e-5})
    assert max(map(len, steps)) == MAX_CONSUMED and len(steps) < 20


def test_what_a_step_costs_whatever_is_in_it_is_shared() -> None:
    pace, rest, most = Pace(), 2000, 0
    while rest > 0:
        waiting = Waiting()
        for delivery in deliveries(["ask"] * 600):
            waiting.add(delivery)
        taken = waiting.take(born=True, limit=MAX_CONSUMED, cost=pace.seconds, budget=STEP_SECONDS)
        pace.learn(taken, STEP_SECONDS / 2 + len(taken) * 1e-5, len(taken) * 1e-5)
        rest, most = rest - len(taken), max(most, len(taken))
    assert most > 100


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), min_size=1, max_size=40), st.data())
def test_a_step_is_expected_to_end_in_time_or_has_one_message(runs: list[tuple[str, int]], data: st.DataObject) -> None:
    costs = {type: data.draw(st.floats(1e-6, 1.0)) for type in "abc"}
    types = [type for type, count in runs for _ in range(count)]
    pace = Pace()
    steps = steps_of(pace, types, costs, computes=data.draw(st.booleans()))
    assert [type for step in steps for type in step] == types
    measured: set[str] = set()
    for step in steps:
        # What was measured alone is known; the estimate may be too low by the factor that a step in time is allowed.
        if set(step) <= measured:
            assert len(step) == 1 or sum(costs[type] for type in step) <= 2 * STEP_SECONDS
        measured |= set(step) if len(set(step)) == 1 else set()


@given(st.lists(st.floats(0, 0.99 * LONG_WAIT), max_size=RECENT - 1), st.booleans())
def test_what_a_busy_machine_takes_from_a_step_is_not_what_its_messages_cost(waits: list[float], is_new: bool) -> None:
    paces = Paces()
    pace, expected = paces.new("code"), 0.0
    for wait in [0.0, *waits]:
        pace = paces.new("code") if is_new else pace
        pace.learn(deliveries(["add"] * 50), 0.001 + wait, 0.001)
        expected = expected or max(pace.seconds(delivery.message) for delivery in deliveries(["add"]))
        assert all(of.seconds(deliveries(["add"])[0].message) <= 1.001 * expected for of in (pace, paces.new("code")))


@pytest.mark.parametrize("wait, steps", [(LONG_WAIT / 2, RECENT), (2 * LONG_WAIT, 1)])
def test_messages_that_begin_to_wait_count_for_what_they_wait(wait: float, steps: int) -> None:
    pace, add = Pace(), deliveries(["add"])
    for _ in range(10):
        pace.learn(add, 1e-5, 1e-5)
    for _ in range(steps):
        assert pace.seconds(add[0].message) < STEP_SECONDS
        pace.learn(add, wait, 1e-5)
    assert pace.seconds(add[0].message) == pytest.approx(wait)


def test_types_that_a_sender_makes_up_do_not_fill_the_memory() -> None:
    pace = Pace()
    for number in range(10 * MAX_TYPES):
        pace.learn(deliveries([f"type {number}"]), 0.001, 0.001)
    assert len(pace._costs) <= MAX_TYPES


def test_an_update_waits_for_one_slow_message_and_not_for_all_of_them() -> None:
    with Living() as living:
        actor = living.create()
        # Cheap ones first: what the actor learned of these must not be taken for what the others cost.
        for number in [living.begin_send(actor, "add", number) for number in range(300)]:
            number.result()
        living.come_to_rest()
        slow = [living.begin_send(actor, "sleep", SLOW_MS) for _ in range(20)]
        slow[0].result()
        assert living.update(actor, note="new") is None
        living.come_to_rest()
        steps = [[living.node.reader.message(id) for id in step.consumed] for step in living.chain(actor)]
        kinds = ["update" if step[0].lane == UPDATE else step[0].type for step in steps]
        assert kinds.count("sleep") == 20 and kinds.index("update") < len(kinds) - 10
