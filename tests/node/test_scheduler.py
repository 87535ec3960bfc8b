"""The scheduler by itself: events and the time go in, jobs and output come out. No thread, no clock, no event loop."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.stage import WIT, everything
from understudy.actors.contract import Delivery, StepResult
from understudy.actors.errors import HostFailed
from understudy.engines.python.engine import PythonEngine
from understudy.kernel.accept import accept
from understudy.node.holds import HELD, SUSPECT, Hold, Holds, Kind, read_holds
from understudy.node.running.done import Done
from understudy.node.running.events import CallWaits, Committed, Finished, HoldsChanged, Job, Opened, Rang, Tag, Tick
from understudy.node.running.executor import Executor
from understudy.node.running.gate import ALONE_SECONDS
from understudy.node.running.host import Host
from understudy.node.running.results import HOST_RETRY
from understudy.node.running.scheduler import Scheduler
from understudy.objects.codec import Block, raw_block
from understudy.objects.ids import ActorId, StepId
from understudy.objects.mailbox import QUEUE, UPDATE, Cursor, mailbox_key
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.objects.step import CUT
from understudy.store.errors import Corrupt
from understudy.store.keys import META, head_ref
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit, InFlight
from understudy.testing.model_actors import stage_files

NODE = Path(__file__).parents[2] / "src/understudy/node"
IMPURE = {
    "threading",
    "time",
    "asyncio",
    "queue",
    "concurrent",
    "random",
    "socket",
    "os",
    "select",
    "subprocess",
    "mmap",
}
ANN = "out/node/ann"


class Alone(Host):
    """A host whose calls never begin."""

    def __init__(self, scheduler: Scheduler, job: Job) -> None:
        self._scheduler, self._job = scheduler, job

    def owner(self) -> str:
        return self._scheduler.owner(self._job)

    def when_durable(self, start: Callable[[], None], lose: Callable[[], None]) -> None:
        pass

    def leave(self) -> bool:
        return False


class Machine:
    """A scheduler on a store in memory, whose jobs and commits are done when a test says so."""

    def __init__(self, *, run_ahead: int = 8) -> None:
        self.backend = MemoryBackend()
        self.grit = Grit(self.backend)
        self.holds = Holds(self.backend)
        reader = InFlight(self.grit)
        engines = {"python": PythonEngine()}
        self.scheduler = Scheduler(
            backend=self.backend, reader=reader, engines=engines, holds=self.holds, run_ahead=run_ahead
        )
        self.executor = Executor(
            reader=reader, engines=engines, capabilities={}, secret=b"secret", clock=self._clock_us
        )
        self.now = 100.0
        self._cursors: dict[str, Cursor] = {}

    def _clock_us(self) -> int:
        return int(self.now * 1_000_000)

    def stage(self, **files: str) -> tuple[ActorId, list[Block]]:
        staging = Staging(self.grit)
        core = stage_files(staging, {"wit": WIT, "policy": '{"batch": 1}', **files})
        return ActorId(core), list(staging.new.values())

    def offer(self, to: ActorId, type: str, block: Block, more: list[Block], lane: str = QUEUE) -> Delivery:
        """Have a message from outside made durable and delivered."""
        key = mailbox_key(str(to), lane)
        delivery, unit = accept(
            to=str(to),
            sender=ANN,
            type=type,
            content=block.id,
            blocks=more,
            last=self._cursors.get(key),
            lane=lane,
            headers=None,
            idempotency=None,
        )
        self._cursors[key] = Cursor(delivery.message.seq, delivery.id)
        receipt = self.backend.commit([unit])[0]
        self.scheduler.advance([Committed([Done(delivery, unit, receipt)])], self.now)
        return delivery

    def send(self, to: ActorId, type: str, content: str) -> Delivery:
        block = raw_block(content.encode())
        return self.offer(to, type, block, [block])

    def update(self, to: ActorId, path: str, text: str) -> Delivery:
        file = raw_block(text.encode())
        patch = patch_block({path: file.id})
        return self.offer(to, UPDATE, patch, [file, patch], UPDATE)

    def job(self) -> Job:
        """The next job there is."""
        while self.scheduler.has_ready:
            job = self.scheduler.next_job(self.now)
            if job is not None:
                return job
        raise AssertionError("nobody has anything to do")

    def rests(self) -> bool:
        """True if nobody in line has anything to do."""
        while self.scheduler.has_ready:
            if self.scheduler.next_job(self.now) is not None:
                return False
        return True

    def execute(self, job: Job) -> Finished:
        plan, result = self.executor.run(job, Alone(self.scheduler, job))
        assert isinstance(result, StepResult | Exception)
        return Finished(job, plan, result)

    def step(self) -> Job:
        """Do the next job there is."""
        job = self.job()
        self.scheduler.finish(self.execute(job), self.now)
        return job

    def commit(self, most: int = 100) -> list[Done[Tag]]:
        """Make what was handed out durable, and say so."""
        done = [Done(tag, unit, self.backend.commit([unit])[0]) for tag, unit in self.scheduler.output.take_units()]
        self.scheduler.advance([Committed(done)], self.now)
        return done

    def born(self, **files: str) -> ActorId:
        actor, blocks = self.stage(**files)
        self.offer(actor, GENESIS, Block(actor, blocks[-1].data), blocks)
        self.step()
        self.commit()
        self.scheduler.output.take_durable()
        return actor


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.scheduler.start()
    machine.scheduler.advance([], machine.now)
    return machine


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_scheduler_and_its_parts_reach_no_thread_no_clock_and_no_lock() -> None:
    seen: set[Path] = set()
    found = [NODE / "running/scheduler.py"]
    while found:
        path = found.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imports(path):
            assert name.partition(".")[0] not in IMPURE, (path, name)
            if name.startswith("understudy.node.running.") or name == "understudy.node.holds":
                found.append(NODE.parents[1] / f"{name.replace('.', '/')}.py")
    assert len(seen) > 10


def test_nothing_to_do_is_nothing_to_wait_for(machine: Machine) -> None:
    machine.born()
    scheduler = machine.scheduler
    assert not scheduler.busy and not scheduler.has_ready and not scheduler.wants_turn
    assert scheduler.next_moment is None


def test_an_actor_has_one_job_at_a_time(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    job = machine.job()
    machine.send(actor, "add", "2")
    assert not machine.scheduler.has_ready
    machine.scheduler.finish(machine.execute(job), machine.now)
    assert machine.job().taken[0].message.seq == job.taken[0].message.seq + 1


def test_a_step_is_told_after_its_commit_and_not_before(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    machine.scheduler.output.take_durable()
    machine.step()
    assert machine.scheduler.output.take_durable() == []
    done = machine.commit()
    assert machine.scheduler.output.take_durable() == [done]


def test_a_call_starts_when_every_step_before_it_is_durable(machine: Machine) -> None:
    actor = machine.born()
    for number in range(3):
        machine.send(actor, "add", str(number))
    machine.step()
    machine.step()
    job = machine.job()
    calls = [lambda: None]
    waits = CallWaits(job.entry, calls[0], lose=lambda: None)
    machine.scheduler.advance([waits], machine.now)
    units = machine.scheduler.output.take_units()
    for tag, unit in units:
        assert machine.scheduler.output.take_calls() == []
        done = Done(tag, unit, machine.backend.commit([unit])[0])
        machine.scheduler.advance([Committed([done])], machine.now)
    assert len(units) == 2 and machine.scheduler.output.take_calls() == calls
    machine.scheduler.advance([waits], machine.now)
    assert machine.scheduler.output.take_calls() == calls


def lose_head(machine: Machine, actor: ActorId) -> None:
    """As another process would: the head moves, so the unit that was handed out fails."""
    head = machine.backend.ref(head_ref(actor))
    assert head is not None
    other = StepId(machine.grit.step(StepId(head)).parent or head)  # type: ignore[arg-type]
    assert machine.backend.commit([Unit(moves=[Move(head_ref(actor), StepId(head), other)])])[0].conflict is None  # type: ignore[arg-type]


def test_a_job_on_a_lost_head_ends_in_nothing_and_each_of_its_calls_hears_that_it_is_lost(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    machine.step()
    machine.commit()
    machine.send(actor, "add", "2")
    machine.send(actor, "add", "3")
    machine.step()
    job = machine.job()
    starts, losses = [lambda: None, lambda: None], [lambda: None, lambda: None]
    waiting, late = [CallWaits(job.entry, start, lose) for start, lose in zip(starts, losses, strict=True)]
    machine.scheduler.advance([waiting], machine.now)
    finished = machine.execute(job)
    lose_head(machine, actor)
    assert machine.commit()[0].receipt.conflict is not None
    assert machine.scheduler.output.take_calls() == losses[:1]
    machine.scheduler.advance([late], machine.now)
    assert machine.scheduler.output.take_calls() == losses[1:]
    assert not machine.scheduler.finish(finished, machine.now)
    assert machine.scheduler.output.take_calls() == [] and machine.scheduler.output.take_units() == []
    # What it had taken is taken again, by the entry that came after.
    assert machine.job().entry is not job.entry


def test_a_duplicate_takes_its_row_away_only_when_the_step_that_consumed_it_is_durable(machine: Machine) -> None:
    actor = machine.born()
    delivery = machine.send(actor, "add", "1")
    machine.step()
    units = machine.scheduler.output.take_units()
    again = Committed([Done(delivery, Unit(), machine.backend.commit([Unit()])[0])])
    machine.scheduler.advance([again], machine.now)
    assert machine.scheduler.output.take_units() == []
    done = [Done(tag, unit, machine.backend.commit([unit])[0]) for tag, unit in units]
    machine.scheduler.advance([Committed(done), again], machine.now)
    assert [row.value for _, unit in machine.scheduler.output.take_units() for row in unit.rows] == [None]


def test_an_actor_runs_ahead_of_its_durability_only_so_far() -> None:
    machine = Machine(run_ahead=2)
    machine.scheduler.start()
    machine.scheduler.advance([], machine.now)
    actor = machine.born()
    for number in range(5):
        machine.send(actor, "add", str(number))
    machine.step()
    machine.step()
    assert not machine.scheduler.has_ready
    machine.commit()
    assert machine.scheduler.has_ready


def test_what_the_machine_failed_of_is_tried_again_at_its_moment_and_not_before(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    job = machine.job()
    machine.scheduler.finish(Finished(job, None, HostFailed("no room")), machine.now)
    moment = machine.scheduler.next_moment
    assert moment == machine.now + HOST_RETRY.delay_ms(1) / 1000 and machine.rests()
    machine.scheduler.advance([], moment - 0.001)
    assert machine.rests() and machine.scheduler.delays().attempts
    machine.scheduler.advance([], moment)
    assert machine.step().taken == job.taken and machine.scheduler.next_moment is None


def test_an_update_that_takes_effect_tries_what_waits_for_its_next_attempt_at_once(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    job = machine.job()
    for _ in range(3):
        machine.scheduler.finish(Finished(job, None, HostFailed("no room")), machine.now)
        moment = machine.scheduler.next_moment
        assert moment is not None
        machine.now = moment
        machine.scheduler.advance([], machine.now)
        job = machine.job()
    machine.scheduler.finish(Finished(job, None, HostFailed("no room")), machine.now)
    late = machine.scheduler.next_moment
    assert late is not None and machine.rests() and machine.scheduler.delays().attempts
    machine.update(actor, "data/x", "new")
    assert machine.step().taken[0].message.lane == UPDATE
    assert not machine.scheduler.delays().attempts
    job = machine.job()
    assert job.taken[0].message.type == "add"
    # It fails again, and has its first back-off. The alarm of before does not cut that short.
    machine.now = late - 0.01
    machine.scheduler.finish(Finished(job, None, HostFailed("no room")), machine.now)
    machine.scheduler.advance([], late)
    assert machine.rests()
    machine.scheduler.advance([], machine.now + HOST_RETRY.delay_ms(1) / 1000)
    assert machine.step().taken == job.taken


def test_an_update_that_is_refused_leaves_the_back_off_as_it_was(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    machine.scheduler.finish(Finished(machine.job(), None, HostFailed("no room")), machine.now)
    machine.update(actor, "wit/not/a/file", "a file in the place of a folder")
    assert machine.step().taken[0].message.lane == UPDATE
    assert machine.rests() and machine.scheduler.delays().attempts


def test_a_host_that_breaks_leaves_the_actor_stuck_until_its_holds_are_looked_at(machine: Machine) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    job = machine.job()
    machine.scheduler.finish(Finished(job, None, OSError("broken")), machine.now)
    assert machine.scheduler.delays().stuck == {str(actor): "OSError: broken"}
    assert not machine.scheduler.has_ready
    machine.scheduler.advance([HoldsChanged(actor)], machine.now)
    assert machine.step().taken[0].message == job.taken[0].message


@pytest.mark.parametrize("cure", ["an update", "a look at its holds"])
def test_a_cure_that_comes_while_steps_are_not_durable_yet_is_not_forgotten(machine: Machine, cure: str) -> None:
    actor = machine.born()
    machine.send(actor, "add", "1")
    machine.send(actor, "add", "2")
    machine.step()
    broken = machine.job()
    machine.scheduler.finish(Finished(broken, None, OSError("broken")), machine.now)
    if cure == "an update":
        machine.update(actor, "data/x", "new")
    else:
        machine.scheduler.advance([HoldsChanged(actor)], machine.now)
    assert not machine.scheduler.has_ready
    machine.commit()
    taken = [machine.step().taken[0].message, *([machine.step().taken[0].message] if cure == "an update" else [])]
    assert taken[-1] == broken.taken[0].message and not machine.scheduler.delays().stuck
    assert cure != "an update" or taken[0].lane == UPDATE
    machine.commit()
    assert machine.rests()


def test_a_head_that_cannot_be_read_stops_its_actor_and_not_the_others(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, (other, blocks) = machine.born(), machine.stage(nonce="other")
    read = machine.backend.ref

    def damaged(name: bytes) -> bytes | None:
        if name == head_ref(other):
            raise Corrupt("a block of the heads is damaged")
        return read(name)

    with monkeypatch.context() as patch:
        patch.setattr(machine.backend, "ref", damaged)
        machine.offer(other, GENESIS, Block(other, blocks[-1].data), blocks)
        machine.send(actor, "add", "1")
        assert machine.step().entry.actor.id == actor
        assert list(machine.scheduler.delays().stuck) == [str(other)]
    machine.scheduler.advance([HoldsChanged(other)], machine.now)
    assert machine.step().entry.actor.id == other


def test_only_updates_and_births_are_handed_out_until_the_gate_is_opened() -> None:
    machine = Machine()
    machine.scheduler.start(only_updates=True)
    machine.scheduler.advance([], machine.now)
    actor = machine.born()
    machine.send(actor, "add", "1")
    assert not machine.scheduler.has_ready
    machine.update(actor, "data/x", "new")
    assert machine.step().taken[0].message.lane == UPDATE
    assert not machine.scheduler.has_ready
    machine.scheduler.advance([Opened()], machine.now)
    assert machine.step().taken[0].message.type == "add"


def test_a_suspect_is_tried_alone_and_the_others_wait_for_it_only_so_long() -> None:
    machine = Machine()
    machine.scheduler.start()
    machine.scheduler.advance([], machine.now)
    first, second = machine.born(nonce="1"), machine.born(nonce="2")
    machine.holds.put({(first, Kind.STEPS): Hold(state=SUSPECT, reason="perhaps", since=0, messages=1)})
    later = Scheduler(
        backend=machine.backend, reader=InFlight(machine.grit), engines={"python": PythonEngine()}, holds=machine.holds
    )
    machine.send(first, "add", "1")
    machine.send(second, "add", "1")
    later.start()
    later.advance([], machine.now)
    machine.scheduler = later
    job = machine.job()
    assert job.is_trial and job.entry.actor.id == first and not later.has_ready
    later.advance([], machine.now + ALONE_SECONDS - 0.1)
    assert not later.has_ready
    assert later.next_moment == machine.now + ALONE_SECONDS
    later.advance([], machine.now + ALONE_SECONDS)
    assert machine.job().entry.actor.id == second


@pytest.mark.parametrize("state", [HELD, SUSPECT])
def test_no_update_makes_a_held_birth_run(machine: Machine, state: str) -> None:
    """It ended the process: each start of the node would run it again, as the update that waits behind it stays."""
    actor, blocks = machine.stage()
    machine.scheduler.start(only_updates=state == SUSPECT)
    machine.holds.put({(actor, Kind.STEPS): Hold(state=state, reason="it ended the process", since=0, messages=1)})
    birth = machine.offer(actor, GENESIS, Block(actor, blocks[-1].data), blocks)
    machine.update(actor, "data/x", "new")
    machine.scheduler.advance([HoldsChanged(actor)], machine.now)
    assert machine.rests()
    # Let go, it is born, and then updated.
    machine.holds.remove(actor, [Kind.STEPS])
    machine.scheduler.advance([HoldsChanged(actor), Opened()], machine.now)
    assert machine.step().taken == [birth]
    assert machine.step().taken[0].message.lane == UPDATE


def test_a_birth_that_was_replaced_ends_without_being_run_and_so_does_its_hold(machine: Machine) -> None:
    actor, blocks = machine.stage(wit="raise SystemExit('it ran')")
    machine.holds.put({(actor, Kind.STEPS): Hold(state=HELD, reason="it ended the process", since=0)})
    birth = machine.offer(actor, GENESIS, Block(actor, blocks[-1].data), blocks)
    machine.update(actor, "data/x", "new")
    assert machine.rests()
    machine.holds.put({(actor, Kind.STEPS): Hold(state=HELD, reason="for another core", since=0, is_replaced=True)})
    machine.scheduler.start(only_updates=True)
    machine.scheduler.advance([HoldsChanged(actor)], machine.now)
    assert machine.step().taken == [birth]
    machine.commit()
    head = machine.backend.ref(head_ref(actor))
    assert head is not None
    step = machine.grit.step(head)
    assert step.outcome is not None and (step.outcome.kind, step.outcome.code) == (CUT, "ProcessEnded")
    assert "for another core" in step.outcome.text
    assert read_holds(machine.backend) == {} and machine.holds.get(actor, Kind.STEPS) is None


def play() -> list[tuple[bytes, bytes | None]]:
    machine = Machine()
    machine.scheduler.start()
    machine.scheduler.advance([], machine.now)
    actors = [machine.born(nonce=str(number)) for number in range(3)]
    for number in range(6):
        machine.now += 0.25
        machine.send(actors[number % 3], "add", str(number))
    while machine.scheduler.has_ready:
        machine.step()
    machine.commit()
    # The name and the secret of a store are its own.
    return [(key, value) for key, value in everything(machine.backend) if not key.startswith(META)]


def test_the_same_events_at_the_same_times_make_the_same_store() -> None:
    assert play() == play()


def test_a_timer_is_looked_at_when_it_is_due_and_the_clock_every_ten_seconds_before():
    machine = Machine()
    timers = {"timers/soon": '{"at":"1970-01-01T00:02:03Z","type":"due"}'}
    machine.born(**timers, **{"timers/late": '{"at":"1970-01-01T00:10:00Z","type":"due"}'})
    scheduler = machine.scheduler
    scheduler.advance([Tick(110_000_000)], 100.0)
    assert scheduler.first_timer == 123_000_000
    # The clock may be set meanwhile, or the machine sleep.
    assert scheduler.next_moment == 110.0
    scheduler.advance([Tick(120_000_000)], 110.0)
    assert scheduler.next_moment == 113.0
    assert not scheduler.is_overdue(112.9)
    assert scheduler.is_overdue(113.0)
    assert not scheduler.wants_turn
    scheduler.advance([Tick(123_000_000)], 113.0)
    assert [type(tag) for tag, _ in scheduler.output.take_units()] == [Rang]
    assert scheduler.first_timer == 600_000_000
