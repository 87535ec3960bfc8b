"""The runner: drives the scheduler with threads, a clock and the store. docs/THREADS.md says what crosses between them.

The law: durable, then visible. A step is committed first; then the thread that holds the step lock tells what it did.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, NamedTuple, TypeVar

from understudy.actors.contract import LiveEngine, StepResult
from understudy.engines.room import STEPS_DEPTH, at_depth, keep_interval
from understudy.engines.tasks import abandon
from understudy.kernel.advance import Plan
from understudy.node.holds import Holds
from understudy.node.running.async_wits import AsyncWits
from understudy.node.running.calls import CapabilityTable
from understudy.node.running.committer import MAX_QUEUED, Committer
from understudy.node.running.delays import Delays
from understudy.node.running.done import Done
from understudy.node.running.entry import ActorEntry, Status
from understudy.node.running.events import CallWaits, Committed, Event, Finished, HoldsChanged, Job, Opened, Tag, Tick
from understudy.node.running.executor import Executor, cut_at_deadline
from understudy.node.running.forks import end_copy
from understudy.node.running.host import Host
from understudy.node.running.impurity import ImpurityWatch
from understudy.node.running.mail import Errands, Mail
from understudy.node.running.marks import Flag, Mark, Marks, What, pack
from understudy.node.running.scheduler import MAX_AHEAD, Scheduler
from understudy.node.running.slow_wits import Run
from understudy.node.running.step_lock import StepLock
from understudy.node.running.watchdog import Watchdog
from understudy.objects.ids import ActorId, TreeId
from understudy.objects.mailbox import UPDATE
from understudy.store.port import Backend
from understudy.store.verified import InFlight

MAX_BURST: Final = 512  # steps between two looks at the mail: long enough to be cheap, short enough to be fair
BURST_SECONDS: Final = 0.02  # the same for wits that compute: what a burst made waits for its end to be committed
STOP_SECONDS: Final = 5.0  # how long a stop waits for the thread that holds the step lock

Value = TypeVar("Value")

_log = logging.getLogger("understudy.runner")


# A tuple: the union in its place would be made at every step.
_OVER: Final = (StepResult, Exception)


class _LockLost(Exception):
    """This thread took too long: another one holds the step lock now."""


class Runner:
    """Steps actors until stopped. Its public methods may be called from any thread.

    `on_durable` is told of each durable step by the thread that holds the step lock; it must be quick and must not raise.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        reader: InFlight,
        engines: Mapping[str, LiveEngine],
        capabilities: CapabilityTable,
        secret: bytes,
        clock: Callable[[], int],
        on_durable: Callable[[Sequence[Done[Tag]]], None],
        on_failure: Callable[[BaseException], None],
        run_ahead: int = MAX_AHEAD,
        holds: Holds | None = None,
        marks: Marks | None = None,
        watch: ImpurityWatch | None = None,
        checked: Container[TreeId] = (),
    ) -> None:
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._marks = marks or Marks()
        self._scheduler = Scheduler(
            backend=backend, reader=reader, engines=engines, holds=holds or Holds(backend), run_ahead=run_ahead
        )
        self._executor = Executor(
            reader=reader,
            engines=engines,
            capabilities=capabilities,
            secret=secret,
            clock=clock,
            watch=watch,
            checked=checked,
        )
        self._clock = clock
        self._mail: Mail[_Item] = Mail()
        self._stopping = False
        self._failed = False
        self._stopped = threading.Event()
        self._errands = Errands()
        self._failing = threading.Lock()
        self._async_wits = AsyncWits()
        self._step_lock = StepLock(self._hold_step_lock)
        self._watchdog = Watchdog(self._step_lock, self._async_wits, self._is_step_lock_wanted)
        self.committer: Committer[Tag] = Committer(
            backend, on_done=lambda done: self._post(Committed(done)), on_failure=self._fail
        )

    def start(self, *, only_updates: bool = False) -> None:
        """Step what the store says is pending. With `only_updates` that begins with `let_all_step`; births are let through."""
        keep_interval()
        self._scheduler.start(only_updates=only_updates)
        self.committer.start()
        self._async_wits.start()
        self._step_lock.start()
        self._watchdog.start()

    def stop(self) -> None:
        """Finish the running step, commit everything, end all threads. Wits that still run are left behind."""
        self._stopping = True
        self._post(lambda: None)
        self._stopped.wait(timeout=STOP_SECONDS)
        # A thread that gets the step lock after that must not submit anything any more.
        self._end()
        self._async_wits.stop()
        self.committer.stop()
        self._marks.close()
        # Units that became durable during the stop were not told to anybody yet.
        for item in self._mail:
            if isinstance(item, Committed):
                self._on_durable(item.done)
        self._abandon_waiting()

    def call(self, action: Callable[[], None]) -> None:
        """Run something quick on the thread that holds the step lock, between two steps."""
        self._post(action)

    def ask(self, action: Callable[[], Value]) -> Future[Value]:
        """The same, for something that gives a value or raises. Cancelled if the runner ends before it came to that."""
        done, run = self._errands.make(action)
        self._post(run)
        if self._stopped.is_set():
            done.cancel()
        return done

    def let_all_step(self) -> None:
        """End the time in which only updates were taken."""
        self._post(Opened())

    def holds_changed(self, actor: ActorId) -> None:
        """The holds on an actor have changed."""
        self._post(HoldsChanged(actor))

    def entries(self) -> Iterable[ActorEntry]:
        """The actors in memory. Only within `call`."""
        return self._scheduler.entries()

    def delays(self, actor: ActorId | None = None) -> Delays:
        """What holds actors up at this moment, or one of them."""
        return self._scheduler.delays(actor)

    def _post(self, item: _Item) -> None:
        self._mail.post(item)

    def _fail(self, error: BaseException) -> None:
        with self._failing:
            again, self._failed = self._failed, True
            self._stopping = True
            self._end()
        self._mail.wake()
        # Failures that follow from the first one say nothing new.
        if not again:
            self._on_failure(error)

    def _end(self) -> None:
        self._stopped.set()
        self._watchdog.stop()
        self._errands.cancel()

    def _abandon_waiting(self) -> None:
        """The runner has ended: wits that have not begun on an event loop never will."""
        for item in self._mail:
            if isinstance(item, _Waiting):
                abandon(item.awaitable)

    def _is_step_lock_wanted(self, now: float) -> bool:
        return bool(self._mail) or self._scheduler.busy or self._scheduler.is_overdue(now)

    # From here on: only for the thread that holds the step lock, unless it says otherwise.

    def _hold_step_lock(self, epoch: int) -> None:
        try:
            at_depth(STEPS_DEPTH, self._take_turns, epoch)
            if not self._stopped.is_set():
                self._submit()
                self._end()
        except _LockLost:
            pass
        except BaseException as error:
            # If this loop died silently, every actor would wait for ever.
            _log.critical("the scheduler died", exc_info=error)
            self._fail(error)

    def _take_turns(self, epoch: int) -> None:
        while not self._stopping:
            self._turn(epoch)

    def _turn(self, epoch: int) -> None:
        """Submit the units, take the mail (wait for it), run steps."""
        # First: a thread that takes the step lock over finds units that the one before it could not hand over.
        self._submit()
        events: list[Event] = []
        for item in self._mail.take(self._is_needed, self._seconds_to_wait):
            if isinstance(item, _Waiting):
                self._wait_for(item)
            elif callable(item):
                item()
            else:
                events.append(item)
        if self._scheduler.first_timer is not None:
            events.append(Tick(self._clock()))
        self._scheduler.advance(events, time.monotonic())
        self._tell()
        self._burst(epoch)

    def _is_needed(self) -> bool:
        return self._stopping or self._may_step()

    def _seconds_to_wait(self) -> float | None:
        moment = self._scheduler.next_moment
        return None if moment is None else moment - time.monotonic()

    def _may_step(self) -> bool:
        return self._scheduler.wants_turn or (self._scheduler.has_ready and self.committer.queued < MAX_QUEUED)

    def _submit(self) -> None:
        if self._scheduler.output:
            self.committer.submit(self._scheduler.output.take_units())

    def _tell(self) -> None:
        for start in self._scheduler.output.take_calls():
            start()
        for done in self._scheduler.output.take_durable():
            self._on_durable(done)

    def _burst(self, epoch: int) -> None:
        scheduler = self._scheduler
        now = time.monotonic()
        until = now + BURST_SECONDS
        for _ in range(MAX_BURST):
            if not scheduler.has_ready or self._stopping or self.committer.queued >= MAX_QUEUED or now > until:
                return
            job = scheduler.next_job(now)
            if job is not None:
                self._step(job, epoch)
            now = time.monotonic()

    def _step(self, job: Job, epoch: int) -> None:
        run = Run(job.entry.actor.text, job.began, threading.get_ident())
        # Takes two microseconds: asked only where the computed time is used.
        learns = job.entry.pace is not None
        before = time.thread_time() if learns else 0.0
        self._step_lock.run_begins(run)
        self._watchdog.wake()
        if job.entry.slow:
            self._step_lock.leave(run)
        mark = self._mark(job)
        slot = self._marks.enter_packed(mark)
        host = _Host(self, job, run, mark, slot)
        plan, result = self._executor.run(job, host)
        host.runs_here = False
        end_copy()
        now = time.monotonic()
        held_thread = self._step_lock.is_long(now - job.began)
        keeps_step_lock = self._step_lock.run_ends(run, epoch)
        if isinstance(result, _OVER):
            self._marks.leave(slot)
            if keeps_step_lock:
                if self._scheduler.finish(Finished(job, plan, result, held_thread), now) and learns:
                    self._scheduler.took(job, time.monotonic(), time.thread_time() - before)
                return
            computed = time.thread_time() - before if learns else 0.0
            self._post(Finished(job, plan, result, held_thread, computed))
        else:
            assert plan is not None
            self._marks.change(slot, Flag.WAITING)
            waiting = _Waiting(job, plan, result, slot)
            if keeps_step_lock:
                self._wait_for(waiting)
                return
            self._post(waiting)
            if self._stopped.is_set():
                self._abandon_waiting()
        raise _LockLost

    def _mark(self, job: Job) -> bytes:
        entry, taken = job.entry, job.taken
        if job.is_trial or len(taken) > 1 or taken[0].message.lane == UPDATE:
            is_alone = job.is_trial and not self._step_lock.is_shared and self._async_wits.is_idle
            name = UPDATE if taken[0].message.lane == UPDATE else ""
            flag = Flag.ALONE if is_alone else Flag.RUNNING
            return pack(Mark(entry.actor.id, What.STEP, flag, name, len(taken)))
        if entry.mark is None:
            entry.mark = pack(Mark(entry.actor.id, What.STEP, messages=1))
        return entry.mark

    def _wait_for(self, waiting: _Waiting) -> None:
        """Run an asynchronous wit to its end on an event loop, which posts what becomes of it."""
        job, plan, awaitable, slot = waiting
        if job.entry.status is not Status.RUNNING:
            # The head it would run on was lost while it began.
            self._marks.leave(slot)
            abandon(awaitable)
            return
        try:
            deadline_ms = self._scheduler.deadline_ms(job)
        except Exception as error:
            # A policy that can't be read keeps its actor from working, not the node.
            self._marks.leave(slot)
            abandon(awaitable)
            self._scheduler.finish(Finished(job, plan, error), time.monotonic())
            return
        is_over = False

        def control(has_it: bool) -> None:
            end_copy()
            # Code that a wit leaves behind runs on after its step, when another run has the slot.
            if not is_over:
                self._marks.change(slot, Flag.RUNNING if has_it else Flag.WAITING)

        def done(result: StepResult | Exception) -> None:
            nonlocal is_over
            is_over = True
            self._marks.leave(slot)
            if isinstance(result, TimeoutError) and deadline_ms is not None:
                result = cut_at_deadline(plan, deadline_ms)
            self._post(Finished(job, plan, result))

        seconds = None if deadline_ms is None else deadline_ms / 1000
        self._async_wits.run(awaitable, actor=job.entry.actor.text, seconds=seconds, control=control, done=done)
        self._watchdog.wake()


class _Host(Host):
    """The host of a job that this runner runs. `runs_here` until it has returned: then its slot is another's."""

    __slots__ = ("_job", "_mark", "_run", "_runner", "_slot", "runs_here")

    def __init__(self, runner: Runner, job: Job, run: Run, mark: bytes, slot: int) -> None:
        self._runner = runner
        self._job = job
        self._run = run
        self._mark = mark
        self._slot = slot
        self.runs_here = True

    def owner(self) -> str:
        return self._runner._scheduler.owner(self._job)

    def when_durable(self, start: Callable[[], None], lose: Callable[[], None]) -> None:
        self._runner._post(CallWaits(self._job.entry, start, lose))

    def leave(self) -> bool:
        return self._runner._step_lock.leave_to_wait(self._run)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        # Whoever only waits for an answer does nothing that could end the process.
        self._change(Flag.WAITING)
        try:
            yield
        finally:
            self._change(Flag(self._mark[0]))

    def _change(self, flag: Flag) -> None:
        if self.runs_here:
            self._runner._marks.change(self._slot, flag)

    def effects(self) -> AbstractContextManager[None]:
        # Of a wit that awaits, the slot says that it waits. The function it waits for may end the process all the same.
        return nullcontext() if self.runs_here else self._runner._marks.beside(self._mark)


class _Waiting(NamedTuple):
    """An asynchronous wit that has begun: its mark stays in its slot until its end."""

    job: Job
    plan: Plan
    awaitable: Awaitable[StepResult]
    slot: int


_Item = Event | _Waiting | Callable[[], None]
