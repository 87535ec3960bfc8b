"""A node without threads: the scheduler, driven by hand. Every turn, every commit and every crash is one call of a test.

The law: the same calls on the same store give the same history, so a bad day that was found once can be had again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from understudy.actors.contract import Capability, LiveEngine, StepResult
from understudy.engines.python.engine import PythonEngine
from understudy.kernel.advance import Plan
from understudy.node.holds import Holds
from understudy.node.intake.reception import Reception
from understudy.node.intake.sending import Sending
from understudy.node.looking.lookup import Lookup
from understudy.node.running.committer import MAX_BATCH, MAX_QUEUED, Committer
from understudy.node.running.delays import Delays
from understudy.node.running.events import CallWaits, Committed, Event, Finished, Job, Tag, Tick
from understudy.node.running.executor import Executor
from understudy.node.running.host import Host
from understudy.node.running.runner import MAX_BURST
from understudy.node.running.scheduler import MAX_AHEAD, Scheduler
from understudy.objects.codec import Block
from understudy.objects.ids import Id, MessageId
from understudy.objects.mailbox import QUEUE
from understudy.store.keys import meta_row
from understudy.store.port import Backend, Move
from understudy.store.verified import Grit, InFlight
from understudy.testing.faults import Crash

STEP_US: Final = 1000  # how far the simulated clock goes at each look
MAX_ROUNDS: Final = 10_000  # after so many a node that is not at rest never will be


class Simulator:
    """A node on a backend, at rest until it is told to go on. `crashed` is true once its store raised Crash."""

    def __init__(
        self,
        backend: Backend,
        *,
        engines: Mapping[str, LiveEngine] | None = None,
        capabilities: Mapping[str, Capability] | None = None,
        run_ahead: int = MAX_AHEAD,
        start_us: int = 1_700_000_000_000_000,
    ) -> None:
        self.backend = backend
        self.reader = Grit(backend)
        self.lookup = Lookup(backend, self.reader)
        self.name = (backend.row(meta_row("node")) or b"").decode()
        self.crashed = False
        self.failure: BaseException | None = None
        self._time_us = start_us
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[MessageId]] = []
        self._wits: set[asyncio.Task[None]] = set()
        self._mail: list[Event] = []
        reader = InFlight(self.reader)
        engines = engines or {"python": PythonEngine()}
        holds = Holds(backend)
        holds.load()
        self._scheduler = Scheduler(backend=backend, reader=reader, engines=engines, holds=holds, run_ahead=run_ahead)
        self._executor = Executor(
            reader=reader,
            engines=engines,
            capabilities=capabilities or {},
            secret=backend.row(meta_row("secret")) or b"",
            clock=self._clock,
        )
        self._committer: Committer[Tag] = Committer(
            backend, on_done=lambda done: self._mail.append(Committed(done)), on_failure=self._on_failure
        )
        self._reception = Reception(backend, self._committer)

    @property
    def busy(self) -> bool:
        """True if a turn or a commit has something to do, now or once the clock has gone on."""
        first = self._scheduler.first_timer
        is_due = first is not None and first <= self._time_us
        return is_due or self._scheduler.busy or bool(self._mail or self._committer.queued or self._wits)

    def delays(self) -> Delays:
        """What holds actors up at this moment."""
        return self._scheduler.delays()

    def send(
        self,
        to: str,
        *,
        type: str,
        content: Id,
        blocks: Sequence[Block],
        lane: str = QUEUE,
        headers: Mapping[str, str] | None = None,
        caller: str = "local",
        key: str | None = None,
        moves: Sequence[Move] = (),
    ) -> asyncio.Task[MessageId]:
        """Submit a message from outside; the task is done once it is acknowledged."""
        sending = Sending(
            to=to,
            sender=f"out/{self.name}/{caller}",
            type=type,
            content=content,
            blocks=blocks,
            lane=lane,
            headers=headers,
            idempotency_key=key,
            moves=moves,
        )
        task = self._loop.create_task(self._reception.accept(sending))
        self._tasks.append(task)
        self.look_around()
        return task

    def turn(self, *, burst: int = MAX_BURST) -> None:
        """Let the scheduler step at most `burst` actors."""
        self._try(lambda: self._turn(burst))
        self.look_around()

    def commit(self, *, most: int = MAX_BATCH) -> None:
        """Make the oldest units durable, at most so many, with one sync."""
        if self._committer.queued:
            self._try(lambda: self._committer.commit(most=most))
        self.look_around()

    def look_around(self) -> None:
        """Let everything go on that waits in the event loop: callers, asynchronous wits, calls."""
        for _ in range(4):
            self._loop.run_until_complete(asyncio.sleep(0))

    def pass_time(self, us: int) -> None:
        """Let the clock go on."""
        self._time_us += us

    def settle(self) -> None:
        """Go on until nothing is left to do, or the store crashed. Raises AssertionError if that does not come about."""
        for _ in range(MAX_ROUNDS):
            if self.crashed or not self.busy:
                return
            self.turn()
            self.commit()
            self.pass_time(STEP_US)
        raise AssertionError("the node does not come to rest")

    def abandon(self) -> None:
        """The process is gone: nothing of it goes on."""
        self.crashed = True
        self._loop.run_until_complete(_cancel_all(self._loop))
        self._loop.close()

    def _turn(self, burst: int) -> None:
        """What the runner does between two waits, in the same order."""
        scheduler, output = self._scheduler, self._scheduler.output
        if output:
            self._committer.submit(output.take_units())
        events, self._mail = [*self._mail, Tick(self._time_us)], []
        scheduler.advance(events, self._now)
        for start in output.take_calls():
            start()
        for done in output.take_durable():
            self._reception.on_durable(done)
        for _ in range(burst):
            if not scheduler.has_ready or self._committer.queued >= MAX_QUEUED:
                return
            job = scheduler.next_job(self._now)
            if job is not None:
                self._step(job)

    def _step(self, job: Job) -> None:
        plan, result = self._executor.run(job, _Host(self, job))
        if not isinstance(result, StepResult | Exception):
            task = self._loop.create_task(self._wait_for(job, plan, result))
            self._wits.add(task)
            task.add_done_callback(self._wits.discard)
        elif self._scheduler.finish(Finished(job, plan, result), self._now):
            self._scheduler.took(job, self._now, 0.0)

    async def _wait_for(self, job: Job, plan: Plan | None, awaitable: Awaitable[StepResult]) -> None:
        try:
            result: StepResult | Exception = await awaitable
        except Exception as error:
            result = error
        self._mail.append(Finished(job, plan, result))

    def _try(self, action: Callable[[], Any]) -> None:
        if self.crashed:
            return
        try:
            action()
        except Crash:
            self.crashed = True

    @property
    def _now(self) -> float:
        """The same clock in seconds."""
        return self._time_us / 1_000_000

    def _clock(self) -> int:
        self._time_us += 1
        return self._time_us

    def _on_failure(self, error: BaseException) -> None:
        self.failure = error


class _Host(Host):
    """The host of a job: only wits that await can wait for an answer."""

    def __init__(self, simulator: Simulator, job: Job) -> None:
        self._simulator = simulator
        self._job = job

    def owner(self) -> str:
        return self._simulator._scheduler.owner(self._job)

    def when_durable(self, start: Callable[[], None], lose: Callable[[], None]) -> None:
        self._simulator._mail.append(CallWaits(self._job.entry, start, lose))

    def leave(self) -> bool:
        return False


async def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
