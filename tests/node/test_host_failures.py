"""What the machine can't give a step is tried again until it can: nothing is consumed, nobody else waits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Hashable
from enum import Enum
from typing import Any

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE, WIT
from tests.node.test_rules import submit, submit_number
from understudy.actors.contract import Program, StepInput, StepResult
from understudy.actors.errors import HostFailed
from understudy.actors.query import QueryProgram
from understudy.engines.python.engine import PythonEngine
from understudy.node.looking.lookup import Pending
from understudy.node.running.results import HOST_RETRY
from understudy.objects.codec import raw_block
from understudy.objects.ids import ActorId, TreeId
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Reader, Staging
from understudy.testing.model_actors import stage_files
from understudy.testing.simulator import Simulator

COUNTS = """
from understudy import Wit

wit = Wit()


@wit.message("ask")
def ask(number: int, state: dict) -> int:
    state["asked"] = state.get("asked", 0) + 1
    return number
"""
NO_ROOM = "the machine has no memory left"
FOR_EVER = 10**9
POOR = "poor"  # an actor with this in its core is one that the machine can't always run
ROUND_US = 50_000


class Place(Enum):
    """Where the machine fails."""

    LOAD = "load"
    RUN = "run"
    AWAIT = "await"


class Machine:
    """An engine for Python on a machine that lacks room for `failures` more tries of poor actors."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.failures = 0
        self.tries: list[int] = []  # the messages of each
        self.times: list[int] = []
        self._inner = PythonEngine()

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def batch(self) -> int:
        return self._inner.batch

    def version(self, core: TreeId, entry: str, store: Reader) -> Hashable:
        return self._inner.version(core, entry, store)

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        program = self._inner.load(core, entry, store)
        if store.find(core, POOR) is None:
            return program
        if self.place is Place.LOAD:
            self.give()
        return _PoorProgram(program, self)

    def load_query(self, core: TreeId, store: Reader) -> QueryProgram:
        return self._inner.load_query(core, store)

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> None:
        return self._inner.load_update(before, after, store)

    def give(self) -> None:
        """Give what a step needs, or fail."""
        if self.failures:
            self.failures -= 1
            raise HostFailed(NO_ROOM)


class _PoorProgram:
    def __init__(self, program: Program, machine: Machine) -> None:
        self._program = program
        self._machine = machine

    @property
    def engine(self) -> str:
        return self._program.engine

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        self._machine.tries.append(len(given.messages))
        self._machine.times.append(given.time)
        if self._machine.place is Place.AWAIT:
            return self._wait(given)
        if self._machine.place is Place.RUN:
            self._machine.give()
        return self._program.run(given)

    async def _wait(self, given: StepInput) -> StepResult:
        self._machine.give()
        result = self._program.run(given)
        return result if isinstance(result, StepResult) else await result


@pytest.fixture(params=Place, ids=lambda place: place.value)
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(request.param)


def live(machine: Machine) -> Living:
    return Living(engines={"python": machine})


def wait_for_tries(living: Living, actor: ActorId, least: int) -> list[Pending]:
    """What waits for an actor, once its first message was tried so often."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        pending = living.node.pending(actor)
        # An update that takes effect forgets the reason and then tries again: between the two there is none.
        if pending and pending[0].attempts >= least and pending[0].error is not None:
            return pending
    raise AssertionError("it is not tried again")


def assert_waits(living: Living, actor: ActorId, *messages: Any) -> None:
    """The messages wait to be tried again, for what the machine lacks; nothing of them shows."""
    found = wait_for_tries(living, actor, 1)
    assert [(one.message, one.state, one.error) for one in found] == [(each, "retry", NO_ROOM) for each in messages]
    info = living.node.actor(actor)
    assert (info.status, info.reason) == ("retry", NO_ROOM)


def test_a_step_that_the_machine_failed_is_tried_again_until_it_is_made(machine: Machine) -> None:
    with live(machine) as living:
        actor, other = living.create(wit=COUNTS, poor=""), living.create(wit=COUNTS, nonce="other")
        machine.failures = FOR_EVER
        message = living.send(actor, "ask", 1)
        wait_for_tries(living, actor, 2)
        assert_waits(living, actor, message)
        # Nothing is consumed, and the others have what they need.
        assert living.outcomes(actor) == ["ok"]
        assert living.tell(other, "ask", 2) == 2
        machine.failures = 0
        assert living.begin_answer(actor, message).result(PATIENCE).outcome is None
        assert living.outcomes(actor) == ["ok", "ok"] and living.state(actor)["asked"] == 1
        assert living.node.actor(actor).status == "ready" and living.node.pending() == []
        verdicts = living.run(living.node.verify())
        assert [verdict.verdict for verdict in verdicts] == ["MATCH", "MATCH"]


def test_messages_that_the_machine_can_not_take_together_are_taken_one_by_one(machine: Machine) -> None:
    with live(machine) as living:
        actor = living.create(poor="")
        living.run(living.node.pause(actor))
        messages = [living.send(actor, "ask", number, caller=f"c{number}") for number in range(3)]
        machine.failures = 2
        living.run(living.node.resume(actor))
        living.come_to_rest()
        assert living.state(actor)["asked"] == 3 and set(living.outcomes(actor)) == {"ok"}
        assert living.node.lookup.step_of(actor, living.node.reader.message(messages[0])) is not None
        assert not living.runner.delays().attempts and not living.runner.delays().host


def test_what_the_machine_failed_goes_on_after_a_restart(machine: Machine) -> None:
    living = live(machine)
    actor = living.create(poor="")
    machine.failures = FOR_EVER
    message = living.send(actor, "ask", 1)
    assert_waits(living, actor, message)
    living = living.again()
    # Still no room: it waits as before.
    assert_waits(living, actor, message)
    assert living.outcomes(actor) == ["ok"]
    machine.failures = 0
    assert living.begin_answer(actor, message).result(PATIENCE).outcome is None
    assert living.outcomes(actor) == ["ok", "ok"] and living.state(actor)["asked"] == 1
    living.stop()


def test_an_update_that_comes_meanwhile_goes_first_and_the_reason_stays(machine: Machine) -> None:
    with live(machine) as living:
        actor = living.create(poor="")
        machine.failures = FOR_EVER
        message = living.send(actor, "ask", 1)
        assert_waits(living, actor, message)
        assert living.update(actor, more="an update needs no room") is None
        assert_waits(living, actor, message)
        # One that asks for less is the cure.
        assert living.update(actor, poor=None) is None
        assert living.begin_answer(actor, message).result(PATIENCE).outcome is None
        assert living.outcomes(actor) == ["ok"] * 4 and living.state(actor)["asked"] == 1


def test_a_birth_that_the_machine_failed_is_tried_again() -> None:
    machine = Machine(Place.RUN)
    with live(machine) as living:
        machine.failures = 2
        made = living.made(poor="")
        assert made.answer is not None and made.answer.outcome is None
        assert len(machine.tries) == 3 and living.outcomes(made.id) == ["ok"]


def test_what_was_tried_again_alone_and_ends_in_one_step_leaves_nothing_behind() -> None:
    machine = Machine(Place.RUN)
    simulator = Simulator(MemoryBackend(), engines={"python": machine})
    files = {"wit": WIT, "poor": ""}
    actor = ActorId(stage_files(Staging(simulator.reader), files))
    submit(simulator, files)
    simulator.settle()
    machine.failures = FOR_EVER
    for caller in ("ann", "bob", "cleo"):
        block = raw_block(b"1")
        simulator.send(str(actor), type="add", content=block.id, blocks=[block], caller=caller)
        for _ in range(3):
            simulator.turn()
            simulator.commit()
    delays = simulator.delays()
    assert sorted(delays.attempts.values()) == [1, 1, 1] and set(delays.host.values()) == {NO_ROOM}
    machine.failures = 0
    simulator.pass_time(HOST_RETRY.most_ms * 1000)
    simulator.settle()
    assert max(machine.tries) > 1 and simulator.lookup.pending() == []
    delays = simulator.delays()
    assert delays.attempts == {} and delays.host == {}
    simulator.abandon()


def test_the_tries_are_further_and_further_apart_and_have_no_last_one() -> None:
    machine = Machine(Place.RUN)
    simulator = Simulator(MemoryBackend(), engines={"python": machine})
    files = {"wit": WIT, "poor": ""}
    actor = ActorId(stage_files(Staging(simulator.reader), files))
    submit(simulator, files)
    simulator.settle()
    count = HOST_RETRY.attempts + 6
    machine.failures, machine.times = count, []
    submit_number(simulator, actor, 1)
    while simulator.busy:
        simulator.turn()
        simulator.commit()
        simulator.pass_time(ROUND_US)
    gaps = [(after - before) // 1000 for before, after in zip(machine.times, machine.times[1:], strict=False)]
    asked = [HOST_RETRY.delay_ms(attempt) for attempt in range(1, count + 1)]
    assert len(gaps) == len(asked)
    assert all(delay <= gap <= delay + 3 * ROUND_US // 1000 for gap, delay in zip(gaps, asked, strict=True)), gaps
    assert simulator.lookup.pending() == [] and simulator.lookup.actor(actor).height == 1
    simulator.abandon()
