"""The scheduler: which actor steps next, and what becomes of each step. A state machine.

Events and the time go in (`advance`), jobs come out (`next_job`), and so does what is to be committed, told and started
(`output`). It has no thread, no clock and no lock, reads the store through what it is given, and writes nothing. The
runner drives it in a living node, the simulator in tests.

The laws: an actor takes one step at a time; nothing that a step did leaves before the step is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from understudy.actors.contract import Delivery, LiveEngine
from understudy.kernel.seal import Sealed
from understudy.node.holds import Holds
from understudy.node.running.batches import Batches
from understudy.node.running.bounces import Bounces
from understudy.node.running.delays import Delays, delays_of
from understudy.node.running.done import Done
from understudy.node.running.entry import ActorEntry, Status
from understudy.node.running.events import (
    CallWaits,
    Committed,
    Event,
    Finished,
    HoldsChanged,
    Job,
    Opened,
    Output,
    Rang,
    Tag,
    Tick,
)
from understudy.node.running.gate import Allowed, Gate
from understudy.node.running.parking import Parking
from understudy.node.running.results import Results
from understudy.node.running.run_queue import RunQueue
from understudy.node.running.table import ActorTable
from understudy.node.running.timers import Timers
from understudy.node.running.trials import Trials, cut_of
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE
from understudy.objects.names import actor_of, is_outside
from understudy.store.errors import StoreError
from understudy.store.port import Backend
from understudy.store.verified import InFlight

MAX_AHEAD: Final = 512  # undurable steps of one actor: bounds what a crash undoes and what memory holds
MAX_FOUND: Final = 256  # actors with mail from before the start that are looked for at once, between two bursts

_log = logging.getLogger("understudy.scheduler")


class Scheduler:
    """One thread at a time may use it. `busy`, `is_overdue` and `delays` may be read from any thread."""

    def __init__(
        self,
        *,
        backend: Backend,
        reader: InFlight,
        engines: Mapping[str, LiveEngine],
        holds: Holds,
        run_ahead: int = MAX_AHEAD,
    ) -> None:
        self.output = Output()
        self._reader = reader
        self._holds = holds
        self._table = ActorTable(backend, reader, holds, lambda unit: self.output.commit(None, unit))
        self._gate = Gate()
        self._queue = RunQueue(self._gate, self._table, run_ahead)
        self._trials = Trials(self._gate, self._table, holds, self._queue, self.output)
        self._batches = Batches(self._table, engines, reader)
        self._parking = Parking()
        self._timers = Timers(backend, reader)
        self._bounces = Bounces(backend, reader)
        self._results = Results(
            table=self._table,
            reader=reader,
            holds=holds,
            trials=self._trials,
            parking=self._parking,
            timers=self._timers,
            bounces=self._bounces,
            queue=self._queue,
            output=self.output,
        )
        self._calls: dict[ActorId, list[CallWaits]] = {}  # of running wits, until their parent is durable

    def start(self, *, only_updates: bool = False) -> None:
        """Begin with what the store says is pending. `only_updates` lasts until Opened; births are let through.

        Actors that the holds suspect are tried first, alone.
        """
        self._gate.is_closed = only_updates
        self._gate.suspect(self._holds.suspects())

    def advance(self, events: Iterable[Event], now: float) -> None:
        """Take in events, and do what is due at `now`, which is in seconds and never goes back."""
        for event in events:
            self._handle(event, now)
        for entry in self._parking.wake(now):
            self._queue.add(entry)
        for entry in self._table.recover(MAX_FOUND):
            self._queue.add(entry)
        for rang, unit in self._timers.ring():
            self.output.commit(rang, unit)
        piece = self._timers.index.next_piece(lambda actor: self._table.get(actor).actor.core)
        if piece is not None:
            self.output.commit(None, piece)
        self._trials.end_overdue(now)
        suspect = self._trials.begin_next(now)
        if suspect is not None:
            self._queue.add(suspect)

    def next_job(self, now: float) -> Job | None:
        """The step of the first actor in the run queue; None if it has nothing to do after all. Only if `has_ready`."""
        entry = self._queue.pop()
        if entry is None:
            return None
        try:
            return self._job(entry, now)
        except Exception as error:
            self._table.mark_stuck(entry, error)
            return None

    def finish(self, event: Finished, now: float) -> bool:
        """A job is done: as `advance` with Finished, for a caller that runs jobs one by one. True if it became a step."""
        entry = event.job.entry
        if entry.status is not Status.RUNNING:
            # It ran on a head that was lost; its messages were taken in again by the entry that came after.
            _log.warning("actor %s: a step that ran on a head that was lost is not kept", entry.actor.text)
            return False
        entry.status = Status.IDLE
        entry.slow = event.held_thread
        try:
            return self._results.take(event, now)
        except Exception as error:
            self._table.mark_stuck(entry, error)
            return False

    def took(self, job: Job, now: float, computed: float) -> None:
        """A job has become a step and was sealed: the pace of its actor is learnt from the time that took (`Pace.learn`)."""
        if job.entry.pace is not None:
            job.entry.pace.learn(job.taken, now - job.began, computed)

    @property
    def has_ready(self) -> bool:
        """True if an actor is in the run queue."""
        return bool(self._queue)

    @property
    def wants_turn(self) -> bool:
        """True if `advance` has something to do without an event, at once."""
        return self._table.is_recovering or self._gate.wants_suspect or self._timers.has_work

    @property
    def first_timer(self) -> int | None:
        """When the first timer is due, in microseconds since 1970: then a Tick has to come."""
        return self._timers.first

    @property
    def next_moment(self) -> float | None:
        """When `advance` has something to do without an event."""
        moments = (self._parking.next, self._gate.until, self._timers.next_look)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def busy(self) -> bool:
        """True if there is something to do, now or after a while."""
        return self.wants_turn or bool(self._queue or self.output or self._parking)

    def is_overdue(self, now: float) -> bool:
        """True if the others have waited long enough for an actor that is tried alone, or if a timer is due."""
        look = self._timers.next_look
        return self._gate.is_overdue(now) or (look is not None and look <= now)

    def deadline_ms(self, job: Job) -> int | None:
        """How long the asynchronous wit of a job may take."""
        return self._table.policy(job.entry).deadline_ms

    def owner(self, job: Job) -> str:
        """Who sent the genesis of a job's actor. Also from the thread that runs the job. Raises StoreError."""
        return self._table.owner(job.entry)

    def entries(self) -> Iterable[ActorEntry]:
        """The actors in memory."""
        return self._table.all()

    def delays(self, actor: ActorId | None = None) -> Delays:
        """What delays all actors, or one of them, at this moment."""
        known = None if actor is None else self._table.known(actor)
        entries = list(self._table.all()) if actor is None else [] if known is None else [known]
        return delays_of(entries)

    # Events.

    def _handle(self, event: Event, now: float) -> None:
        match event:
            case Finished():
                if self.finish(event, now):
                    self.took(event.job, now, event.computed)
            case Committed():
                self._committed(event.done)
            case CallWaits():
                self._wait_for_parent(event)
            case HoldsChanged():
                self._look_at_holds(event.actor)
            case Opened():
                self._gate.is_closed = False
                self._queue.add_all()
            case Tick():
                self._timers.tick(event.now_us, now)

    def _wait_for_parent(self, event: CallWaits) -> None:
        entry = event.entry
        if self._table.known(entry.actor.id) is not entry:
            # The head it runs on was lost: its effects must never start, and the wit must not wait for ever.
            self.output.start([event.lose])
        elif entry.ahead == 0:
            self.output.start([event.start])
        else:
            self._calls.setdefault(entry.actor.id, []).append(event)

    def _look_at_holds(self, actor: ActorId) -> None:
        entry = self._table.get(actor)
        if entry.status is Status.STUCK:
            if entry.ahead:
                entry.begins_again = True
            else:
                entry = self._table.reload(actor)
        self._table.look_at_holds(entry)
        self._queue.add(entry)
        taken_in = self._timers.index.wake(entry)
        if taken_in is not None:
            self.output.commit(None, taken_in)

    # What is durable.

    def _committed(self, done: Sequence[Done[Tag]]) -> None:
        made = [unit.blocks for tag, unit, receipt in done if isinstance(tag, Sealed) and receipt.conflict is None]
        self._reader.remove(chain.from_iterable(made), durable=True)
        for tag, unit, receipt in done:
            self._timers.committed(tag if isinstance(tag, Rang) else None, unit, failed=receipt.conflict is not None)
            if isinstance(tag, Delivery | Rang) and receipt.conflict is None:
                self._reader.keep(unit.blocks)
                for delivery in tag.deliveries if isinstance(tag, Rang) else [tag]:
                    self._deliver(delivery)
            if not isinstance(tag, Sealed):
                continue
            entry = self._table.get(tag.actor.id)
            entry.ahead -= 1
            if receipt.conflict is not None:
                self._reader.remove(unit.blocks, durable=False)
                self._lose_head(entry)
                continue
            self._trials.end_hold_on_queries(tag)
            if entry.ahead == 0:
                self._bounces.settled(tag.actor.id)
                if self._calls:
                    self.output.start([call.start for call in self._calls.pop(tag.actor.id, ())])
                if entry.begins_again:
                    entry = self._begin_again(entry)
            for delivery in chain(tag.sent, tag.bounced):
                if not is_outside(delivery.message.to):
                    self._deliver(delivery)
            self._queue.add(entry)
        self.output.tell(done)
        self._table.forget_idle()

    def _lose_head(self, entry: ActorEntry) -> None:
        """Another process moved the head: begin again from the store, as soon as no unit of ours is under way."""
        _log.warning("the head of %s was moved by somebody else; starting again from it", entry.actor.text)
        entry.status = Status.STUCK
        if entry.ahead == 0:
            self._bounces.settled(entry.actor.id)
            # The effects of a wit that still runs wait for a parent that will never be durable.
            self.output.start([call.lose for call in self._calls.pop(entry.actor.id, ())])
            self._begin_again(entry)

    def _begin_again(self, entry: ActorEntry) -> ActorEntry:
        """Drop what is in memory of an actor, and load it from the store."""
        self._holds.load()
        self._timers.index.begin_again(entry.actor.id)
        fresh = self._table.reload(entry.actor.id)
        self._queue.add(fresh)
        return fresh

    def _deliver(self, delivery: Delivery) -> None:
        entry = self._table.get(actor_of(delivery.message.to))
        if entry.status is Status.STUCK and delivery.message.lane == UPDATE:
            if entry.ahead:
                entry.begins_again = True
            else:
                self._begin_again(entry)
            return
        try:
            self._table.offer(entry, delivery)
        except (StoreError, ObjectError) as error:
            self._table.mark_stuck(entry, error)
        self._queue.add(entry)

    # Who is next.

    def _job(self, entry: ActorEntry, now: float) -> Job | None:
        allowed = self._gate.allows(entry)
        if allowed is Allowed.NOTHING:
            return None
        taken = self._batches.take(entry, allowed)
        if not taken:
            if entry.has_more and self._table.refill(entry):
                self._queue.add(entry)
            elif entry.status is not Status.STUCK:
                self._trials.acquit(entry)
            return None
        entry.status = Status.RUNNING
        cut = None if entry.held is None else cut_of(entry, taken[0].message.lane)
        job = Job(entry, taken, now, cut, entry is self._gate.alone)
        entry.open_calls = job.open_calls
        return job
