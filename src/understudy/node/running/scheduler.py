"""The scheduler: one queue of ready actors, stepped in bursts by the thread that holds the token.

The laws: one actor takes one step at a time; nothing that a step did is visible before the step is durable;
a wit that holds the token too long loses it to a fresh thread, so it holds up nobody but itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery, LiveEngine, StepResult
from understudy.actors.errors import HostFailed, WitError
from understudy.kernel.advance import WIT, Plan, prepare
from understudy.kernel.core import runtime_of
from understudy.kernel.deliver import sender_key
from understudy.kernel.policy import RetryPolicy
from understudy.kernel.retries import exhausted
from understudy.kernel.seal import Sealed, recordable, seal
from understudy.kernel.seeds import Seeds
from understudy.node.holds import Holds, Kind, rows_without
from understudy.node.running.async_wits import AsyncWits
from understudy.node.running.calls import CapabilityTable, LiveCalls
from understudy.node.running.committer import MAX_QUEUED, Committer, Done
from understudy.node.running.delays import Delays
from understudy.node.running.entry import ActorEntry, Status
from understudy.node.running.floods import seconds_to_rest
from understudy.node.running.forks import end_copy
from understudy.node.running.gate import Allowed, Gate
from understudy.node.running.marks import NO_SLOT, Flag, Mark, Marks, What
from understudy.node.running.pace import STEP_SECONDS, Paces
from understudy.node.running.slow_wits import Run, SlowWits
from understudy.node.running.table import ActorTable
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE, Mailbox
from understudy.objects.names import actor_of, is_outside
from understudy.objects.step import CUT, Outcome
from understudy.store.errors import Missing, StoreError
from understudy.store.port import Backend, Unit
from understudy.store.reader import Staging
from understudy.store.verified import InFlight

MAX_BURST: Final = 512  # steps between two looks at the mail: long enough to be cheap, short enough to be fair
BURST_SECONDS: Final = 0.02  # the same for wits that compute: what a burst made waits for its end to be committed
MAX_AHEAD: Final = 512  # undurable steps of one actor: bounds what a crash undoes and what memory holds
MAX_FOUND: Final = 256  # actors with mail of an earlier life that are looked for between two bursts
MAX_THREADS: Final = 64  # wits that never return keep their thread; beyond this the token stays where it is
MAX_WAITING_THREADS: Final = (
    512  # the same where wits wait for an answer, which has an end; beyond this they are run again
)
TOKEN_SECONDS: Final = 0.02  # how long a wit may hold the token while others are ready
STOP_SECONDS: Final = 5.0  # how long a stop waits for the token-holder

# The machine's failures have no last attempt: there may be room again in an hour.
HOST_RETRY: Final = RetryPolicy()

PROCESS_ENDED: Final = "ProcessEnded"

Tag = Sealed | Delivery | None  # a step, a message from outside, or something that nobody waits for

_log = logging.getLogger("understudy.scheduler")


class Committed(Struct, frozen=True):
    """Units became durable, or failed their compare-and-set."""

    done: Sequence[Done[Tag]]


class Finished(Struct, frozen=True):
    """What became of taken messages: a result, a wit that must be awaited, or what the host failed of (perhaps without a plan)."""

    entry: ActorEntry
    taken: list[Delivery]
    plan: Plan | None
    result: StepResult | Awaitable[StepResult] | Exception


class _TokenLost(Exception):
    """This thread took too long: another one is the scheduler now."""


class Scheduler:
    """Steps actors until stopped. `call` may come from any thread.

    `on_durable` is told of each durable step on the token-holder's thread; it must be quick and must not raise.
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
        monotonic: Callable[[], float] = time.monotonic,
        async_wits: AsyncWits | None = None,
        holds: Holds | None = None,
        marks: Marks | None = None,
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._engines = engines
        self._capabilities = capabilities
        self._seeds = Seeds(secret)
        self._clock = clock
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._run_ahead = run_ahead
        self._monotonic = monotonic
        self._holds = holds or Holds(backend)
        self._marks = marks or Marks()
        self._table = ActorTable(backend, reader, self._holds, lambda unit: self._units.append((None, unit)))
        self._gate = Gate()
        self._ready: deque[ActorEntry] = deque()
        self._units: list[tuple[Tag, Unit]] = []
        self._parked: list[tuple[float, int, ActorEntry, str | None]] = []  # a key of its mail, or all but its updates
        self._parkings = count()
        self._awaited: dict[ActorId, list[Callable[[], None]]] = {}
        self._mail: deque[Committed | Finished | Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._token = threading.Lock()
        self._epoch = 0
        self._threads = 0
        self._running: tuple[ActorEntry, float, int] | None = None  # since when, on which thread
        self._left: list[tuple[ActorEntry, float, int]] = []  # those that lost the token and still run
        self._slow_wits = SlowWits()
        self._paces = Paces()
        self._awaiting: set[ActorId] = set()  # whose asynchronous wit is under way
        self._stopping = False
        self._failed = False
        self._stopped = threading.Event()
        self._runs_something = threading.Event()  # wakes the watch
        self._async_wits = async_wits or AsyncWits()
        self.committer: Committer[Tag] = Committer(
            backend, on_done=lambda done: self._post(Committed(done)), on_failure=self._fail
        )

    # The outside of the scheduler: any thread.

    def start(self, *, only_updates: bool = False) -> None:
        """Step what the store says is pending. With `only_updates` that begins with `let_all_step`; births are let through.

        Actors that `holds` suspects are tried first, alone.
        """
        self._gate.is_closed = only_updates
        self._gate.suspect(self._holds.suspects())
        self.committer.start()
        self._async_wits.start()
        with self._token:
            self._hand_token_over()
        threading.Thread(target=self._watch, name="understudy-watch", daemon=True).start()

    def stop(self) -> None:
        """Finish the running step, commit everything, end all threads. Wits that still run are left behind."""
        self._stopping = True
        self._post(lambda: None)
        self._stopped.wait(timeout=STOP_SECONDS)
        # Who holds the token after that must not hand over anything any more.
        self._end()
        self._async_wits.stop()
        self.committer.stop()
        self._marks.close()
        # What became durable during the stop was not told to anybody yet.
        for item in list(self._mail):
            if isinstance(item, Committed):
                self._on_durable(item.done)

    def call(self, action: Callable[[], None]) -> None:
        """Run something on the token-holder's thread, where entries may be looked at."""
        self._post(action)

    def let_all_step(self) -> None:
        """End the time in which only updates were taken. From any thread."""

        def open_gate() -> None:
            self._gate.is_closed = False
            self._ready_all()

        self.call(open_gate)

    def holds_changed(self, actor: ActorId) -> None:
        """Heed a change of the holds on an actor. From any thread."""

        def look() -> None:
            entry = self._table.get(actor)
            if entry.status is Status.STUCK and not entry.ahead:
                entry = self._table.reload(actor)
            self._table.look_at_holds(entry)
            self._make_ready(entry)

        self.call(look)

    def entries(self) -> Iterable[ActorEntry]:
        """The living actors. Only within `call`."""
        return self._table.all()

    @property
    def busy(self) -> bool:
        """True if a turn has something to do, now or after a while."""
        if self._table.is_recovering or self._gate.wants_suspect:
            return True
        return bool(self._mail or self._ready or self._units or self._parked)

    def delays(self, actor: ActorId | None = None) -> Delays:
        """What holds actors up at this moment, or one of them. From any thread."""
        entries = list(self._table.all()) if actor is None else [entry for entry in [self._table.known(actor)] if entry]
        holder = None if (running := self._running) is None else running[0]
        return Delays(
            stuck={entry.actor.text: entry.error for entry in entries if entry.error is not None},
            slowed={entry.actor.text: entry.slowed for entry in entries if entry.slowed is not None},
            host={(entry.actor.text, key): why for entry in entries for key, why in list(entry.host_errors.items())},
            # One that runs with the token has no status of its own yet.
            running=frozenset(
                entry.actor.text for entry in entries if entry.status is Status.RUNNING or entry is holder
            ),
            attempts={
                (entry.actor.text, key): count for entry in entries for key, count in list(entry.attempts.items())
            },
        )

    # Inside: the token-holder's thread alone.

    def _post(self, item: Committed | Finished | Callable[[], None]) -> None:
        with self._wake:
            self._mail.append(item)
            self._wake.notify()

    def turn(self, epoch: int = 0, *, wait: bool = True, burst: int = MAX_BURST) -> None:
        """One round of the token-holder: hand over what was made, look at the mail (wait for some), step."""
        # First: a thread that takes the token over finds units that the one before it could not hand over.
        self._submit()
        self._take_mail(wait=wait)
        self._unpark_due()
        for entry in self._table.recover(MAX_FOUND):
            self._make_ready(entry)
        self._try_suspects()
        self._burst(epoch, burst)

    def _hand_token_over(self) -> None:
        self._epoch += 1
        self._threads += 1
        epoch = self._epoch
        try:
            threading.Thread(
                target=self._hold_token, args=(epoch,), name=f"understudy-steps-{epoch}", daemon=True
            ).start()
        except RuntimeError:
            self._epoch -= 1
            self._threads -= 1
            raise

    def _hold_token(self, epoch: int) -> None:
        try:
            while not self._stopping:
                self.turn(epoch)
            if not self._stopped.is_set():
                self._submit()
                self._end()
        except _TokenLost:
            pass
        except BaseException as error:
            # A loop that dies silently would leave every actor waiting for ever.
            _log.critical("the scheduler died", exc_info=error)
            self._fail(error)
        finally:
            with self._token:
                self._threads -= 1

    def _end(self) -> None:
        self._stopped.set()
        self._runs_something.set()

    def _fail(self, error: BaseException) -> None:
        with self._wake:
            again, self._failed = self._failed, True
            self._stopping = True
            self._end()
            self._wake.notify_all()
        # What fails because of the first failure says nothing new.
        if not again:
            self._on_failure(error)

    def _take_mail(self, *, wait: bool) -> None:
        with self._wake:
            while wait and not self._mail and not self._may_step() and not self._stopping:
                pause = self._next_moment()
                if pause is not None and pause <= 0:
                    break
                self._wake.wait(pause)
            items = list(self._mail)
            self._mail.clear()
        for item in items:
            if isinstance(item, Committed):
                self._committed(item.done)
            elif isinstance(item, Finished):
                self._finished(item)
            else:
                item()

    def _may_step(self) -> bool:
        if self._table.is_recovering or self._gate.wants_suspect:
            return True
        return bool(self._ready) and self.committer.queued < MAX_QUEUED

    def _next_moment(self) -> float | None:
        """In how many seconds something has to be done without a message."""
        moments = [self._parked[0][0]] if self._parked else []
        if self._gate.until is not None:
            moments.append(self._gate.until)
        return min(moments) - self._monotonic() if moments else None

    def _burst(self, epoch: int, most: int) -> None:
        until = self._monotonic() + BURST_SECONDS
        for _ in range(most):
            if not self._ready or self._stopping or self.committer.queued >= MAX_QUEUED or self._monotonic() > until:
                return
            entry = self._ready.popleft()
            if entry.status is not Status.READY:
                # It lost its head while it was in line.
                continue
            entry.status = Status.IDLE
            try:
                self._step(entry, epoch)
            except _TokenLost:
                raise
            except Exception as error:
                self._table.mark_stuck(entry, error)

    def _submit(self) -> None:
        if self._units:
            units, self._units = self._units, []
            self.committer.submit(units)

    def _step(self, entry: ActorEntry, epoch: int) -> None:
        allowed = self._gate.allows(entry)
        if allowed is Allowed.NOTHING:
            return
        taken = self._take(entry, allowed)
        if not taken:
            if entry.has_more and self._table.refill(entry):
                self._make_ready(entry)
            elif entry is self._gate.alone and entry.status is not Status.STUCK:
                self._trust(entry)
            return
        running = (entry, self._monotonic(), threading.get_ident())
        entry.began = running[1]
        self._running = running
        self._wake_watch()
        if entry.slow:
            self._leave(running)
        slot = self._marks.enter(self._mark(entry, taken))
        finished = self._run(entry, taken)
        end_copy()
        if isinstance(finished.result, Awaitable):
            entry.slot = slot
            self._marks.change(slot, Flag.WAITING)
        else:
            self._marks.leave(slot)
        entry.slow = self._monotonic() - running[1] >= TOKEN_SECONDS
        with self._token:
            lost = self._epoch != epoch
            if not lost:
                # After a loss, it is what the new holder of the token runs: without it nobody would watch that one.
                self._running = None
            else:
                self._left.remove(running)
        if lost:
            self._post(finished)
            raise _TokenLost
        self._settle(finished)

    def _mark(self, entry: ActorEntry, taken: list[Delivery]) -> Mark:
        is_alone = entry is self._gate.alone and not self._left and not self._awaiting
        name = UPDATE if taken[0].message.lane == UPDATE else ""
        return Mark(entry.actor.id, What.STEP, Flag.ALONE if is_alone else Flag.RUNNING, name, len(taken))

    def _run(self, entry: ActorEntry, taken: list[Delivery]) -> Finished:
        """Load the wit, which runs its modules, and run it: all of this may take for ever, so it is watched."""
        plan: Plan | None = None
        try:
            plan = self._plan(entry, taken)
            if plan.program is None:
                assert plan.result is not None
                return Finished(entry, taken, plan, plan.result)
            return Finished(entry, taken, plan, plan.program.run(plan.given))
        except Exception as error:
            return Finished(entry, taken, plan, error)

    def _plan(self, entry: ActorEntry, taken: list[Delivery]) -> Plan:
        staging = Staging(self._reader)
        actor = entry.actor
        calls = LiveCalls(
            self._capabilities,
            actor,
            taken,
            when_durable=lambda action: self._when_durable(entry, action),
            leave=lambda: self._leave_to_wait(entry),
        )
        return prepare(
            actor,
            taken,
            time=self._clock(),
            seed=self._seeds.seed(actor.head, taken),
            staging=staging,
            calls=calls,
            engines=self._engines,
            owner=lambda: self._table.owner(entry),
            cut=_cut(entry, taken),
        )

    def _run_async(self, entry: ActorEntry, plan: Plan, awaitable: Awaitable[StepResult]) -> None:
        deadline_ms = self._table.policy(entry).deadline_ms
        taken = list(plan.given.messages)
        slot, entry.slot = entry.slot, NO_SLOT
        is_over = False

        def control(has_it: bool) -> None:
            end_copy()
            # What a wit leaves behind runs on after its step, when the slot is another's.
            if not is_over:
                self._marks.change(slot, Flag.RUNNING if has_it else Flag.WAITING)

        def done(result: StepResult | Exception) -> None:
            nonlocal is_over
            is_over = True
            self._marks.leave(slot)
            if isinstance(result, TimeoutError) and deadline_ms is not None:
                assert plan.program is not None
                outcome = Outcome(CUT, "Deadline", f"the wit was stopped after {deadline_ms:,} ms")
                result = StepResult(engine=plan.program.engine, core=plan.actor.core, outcome=outcome)
            self._post(Finished(entry, taken, plan, result))

        entry.status = Status.RUNNING
        self._awaiting.add(entry.actor.id)
        seconds = None if deadline_ms is None else deadline_ms / 1000
        self._async_wits.run(awaitable, actor=entry.actor.text, seconds=seconds, control=control, done=done)
        self._wake_watch()

    def _finished(self, item: Finished) -> None:
        if item.entry.status is not Status.RUNNING:
            # It ran on a head that was lost; its messages were taken in again by the entry that came after.
            return
        item.entry.status = Status.IDLE
        try:
            self._settle(item)
        except Exception as error:
            self._table.mark_stuck(item.entry, error)

    def _settle(self, item: Finished) -> None:
        entry, plan, result = item.entry, item.plan, item.result
        self._awaiting.discard(entry.actor.id)
        if isinstance(result, HostFailed):
            self._try_again(entry, item.taken, result)
            return
        if isinstance(result, Exception):
            entry.waiting.put_back(item.taken)
            if entry is self._gate.alone:
                self._trust(entry)
            raise result
        assert plan is not None
        if isinstance(result, StepResult):
            self._finish(entry, plan, result)
        else:
            self._run_async(entry, plan, result)

    def _try_again(self, entry: ActorEntry, taken: list[Delivery], error: HostFailed) -> None:
        """The machine had no room for this step: nothing is consumed, and it is tried until there is."""
        if len(taken) > 1:
            # One of them may fit where all of them do not.
            entry.waiting.put_back(taken)
            entry.singles = len(taken)
            self._make_ready(entry)
            return
        key = sender_key(taken[0].message)
        entry.attempts[key] = attempt = entry.attempts.get(key, 0) + 1
        entry.host_errors[key] = str(error)
        _log.warning("actor %s: %s; it is tried again", entry.actor.text, error)
        self._park(entry, taken, key, HOST_RETRY.delay_ms(attempt))

    def _finish(self, entry: ActorEntry, plan: Plan, result: StepResult) -> None:
        taken = list(plan.given.messages)
        if len(taken) > 1 and (result.retry is not None or recordable(plan, result).outcome is not None):
            # One of them is to blame: run them again one at a time, so that the others are not lost with it.
            entry.waiting.put_back(taken)
            entry.singles = len(taken)
            self._make_ready(entry)
            return
        key = sender_key(taken[0].message)
        if result.retry is not None:
            entry.attempts[key] = attempt = entry.attempts.get(key, 0) + 1
            entry.host_errors.pop(key, None)
            retry = self._table.policy(entry).retry
            if attempt < retry.attempts:
                self._park(entry, taken, key, retry.delay_ms(attempt))
                return
            result = exhausted(result)
        for delivery in taken:
            # Several that were tried again may end in one step.
            entry.attempts.pop(sender_key(delivery.message), None)
            entry.host_errors.pop(sender_key(delivery.message), None)
        entry.singles = max(0, entry.singles - 1)
        self._seal(entry, plan, result)
        self._make_ready(entry)

    def _seal(self, entry: ActorEntry, plan: Plan, result: StepResult) -> None:
        sealed = seal(plan, result, known=lambda _, draft: self._table.exists(actor_of(draft.to)))
        unit = self._without_holds(entry, sealed)
        entry.waiting.forget(list(sealed.consumed))
        entry.actor = sealed.actor
        entry.ahead += 1
        self._reader.add(sealed.unit.blocks, plan.given.store.nodes)
        self._units.append((sealed, unit))
        if sealed.consumed[0].message.lane == UPDATE:
            # Other code may cost otherwise.
            entry.pace = entry.slowed = None
        elif entry.pace is not None:
            entry.pace.learn(sealed.consumed, self._monotonic() - entry.began)

        self._slow_down(entry, sealed)

    def _slow_down(self, entry: ActorEntry, sealed: Sealed) -> None:
        def inbox_of(actor: ActorId) -> Mailbox | None:
            known = self._table.known(actor)
            return None if known is None else known.actor.inbox

        seconds = seconds_to_rest(sealed, self._reader, inbox_of)
        if seconds:
            entry.slowed = "it sends more than its recipients take, which still wait: it rests between its steps"
            heappush(self._parked, (self._monotonic() + seconds, next(self._parkings), entry, None))

    def _without_holds(self, entry: ActorEntry, sealed: Sealed) -> Unit:
        """The unit of a step, which also removes the holds that end with it: what was tried is trusted, an update cures."""
        if entry.held is None and not entry.suspect and self._holds.get(entry.actor.id, Kind.QUERIES) is None:
            return sealed.unit
        ended: list[Kind] = []
        is_update = sealed.consumed[0].message.lane == UPDATE
        if is_update and (sealed.step.outcome is None or _is_cut(sealed)):
            ended = [Kind.STEPS, Kind.QUERIES]
        elif entry.suspect:
            entry.suspect -= len(sealed.consumed)
            ended = [Kind.STEPS] if entry.suspect <= 0 else []
        if not ended:
            return sealed.unit
        self._holds.forget(entry.actor.id, ended)
        self._table.look_at_holds(entry)
        if entry is self._gate.alone:
            self._end_trial()
        return msgspec.structs.replace(sealed.unit, rows=[*sealed.unit.rows, *rows_without(entry.actor.id, ended)])

    # Trials of those that may have ended the process.

    def _try_suspects(self) -> None:
        now = self._monotonic()
        if self._gate.is_overdue(now):
            self._end_trial()
        while self._gate.wants_suspect:
            entry = self._table.get(self._gate.next_suspect())
            if not entry.suspect:
                continue
            if not len(entry.waiting):
                entry.overflow = entry.more_updates = True
            _log.warning("actor %s may have ended the process: it is tried alone now", entry.actor.text)
            self._gate.begin(entry, now)
            self._make_ready(entry)

    def _end_trial(self) -> None:
        self._gate.end()
        self._ready_all()

    def _trust(self, entry: ActorEntry) -> None:
        """The one that is tried did not end the process."""
        self._holds.forget(entry.actor.id, [Kind.STEPS])
        self._units.append((None, Unit(rows=rows_without(entry.actor.id, [Kind.STEPS]))))
        self._table.look_at_holds(entry)
        self._end_trial()

    def _ready_all(self) -> None:
        for entry in list(self._table.all()):
            self._make_ready(entry)

    def _committed(self, done: Sequence[Done[Tag]]) -> None:
        for tag, unit, receipt in done:
            if isinstance(tag, Delivery) and receipt.conflict is None:
                self._reader.keep(unit.blocks)
                self._deliver(tag)
            if not isinstance(tag, Sealed):
                continue
            self._reader.remove(unit.blocks, durable=receipt.conflict is None)
            entry = self._table.get(tag.actor.id)
            entry.ahead -= 1
            if receipt.conflict is not None:
                self._lose_head(entry)
                continue
            if entry.ahead == 0:
                for action in self._awaited.pop(tag.actor.id, ()):
                    action()
            for delivery in tag.sent:
                if not is_outside(delivery.message.to):
                    self._deliver(delivery)
            self._make_ready(entry)
        self._on_durable(done)
        self._table.forget_idle()

    def _lose_head(self, entry: ActorEntry) -> None:
        """Somebody else moved the head: begin again from what the store says, once nothing of ours is under way."""
        _log.warning("the head of %s was moved by somebody else; starting again from it", entry.actor.text)
        entry.status = Status.STUCK
        if entry.ahead == 0:
            # The effects of a wit that still runs wait for a parent that will never be durable.
            self._awaited.pop(entry.actor.id, None)
            self._begin_again(entry)

    def _begin_again(self, entry: ActorEntry) -> None:
        """Forget what we know of an actor, and take it in from the store."""
        self._holds.load()
        self._make_ready(self._table.reload(entry.actor.id))

    def _deliver(self, delivery: Delivery) -> None:
        entry = self._table.get(actor_of(delivery.message.to))
        if entry.status is Status.STUCK and delivery.message.lane == UPDATE and not entry.ahead:
            self._begin_again(entry)
            return
        try:
            self._table.offer(entry, delivery)
        except (StoreError, ObjectError) as error:
            self._table.mark_stuck(entry, error)
        self._make_ready(entry)

    def _make_ready(self, entry: ActorEntry) -> None:
        if entry.status is Status.IDLE and entry.ahead < self._run_ahead and self._has_work(entry):
            entry.status = Status.READY
            self._ready.append(entry)

    def _has_work(self, entry: ActorEntry) -> bool:
        match self._gate.allows(entry):
            case Allowed.NOTHING:
                return False
            case Allowed.UPDATES:
                return bool(entry.waiting.updates or entry.more_updates)
        return bool(len(entry.waiting) or entry.has_more or entry is self._gate.alone)

    def _park(self, entry: ActorEntry, taken: list[Delivery], key: str, delay_ms: int) -> None:
        entry.waiting.put_back(taken)
        entry.waiting.park(key)
        heappush(self._parked, (self._monotonic() + delay_ms / 1000, next(self._parkings), entry, key))
        if entry is self._gate.alone:
            # It ran, and the process goes on.
            self._trust(entry)
        self._make_ready(entry)

    def _unpark_due(self) -> None:
        now = self._monotonic()
        while self._parked and self._parked[0][0] <= now:
            _, _, entry, key = heappop(self._parked)
            if key is None:
                entry.slowed = None
            else:
                entry.waiting.unpark(key)
            self._make_ready(entry)

    def _take(self, entry: ActorEntry, allowed: Allowed) -> list[Delivery]:
        """The messages of the next step: as many as /policy asks for, else as many as take milliseconds."""
        born = entry.actor.step is not None
        if born and allowed is not Allowed.ALL:
            return entry.waiting.take_update()
        if entry.suspect or entry.singles or len(entry.waiting) < 2:
            return entry.waiting.take(born=born, limit=1)
        asked = self._table.policy(entry).batch
        if asked is not None:
            return entry.waiting.take(born=born, limit=asked)
        core = entry.actor.core
        try:
            engine = self._engines[runtime_of(self._reader, core)]
            if engine.batch > 1 and entry.pace is None:
                entry.pace = self._paces.new(engine.version(core, WIT, self._reader))
        except (WitError, ObjectError, Missing, KeyError):
            # The step will fail of this core, and each message with a step of its own.
            return entry.waiting.take(born=born, limit=1)
        if entry.pace is None:
            return entry.waiting.take(born=born, limit=engine.batch)
        return entry.waiting.take(born=born, limit=engine.batch, cost=entry.pace.seconds, budget=STEP_SECONDS)

    def _when_durable(self, entry: ActorEntry, action: Callable[[], None]) -> None:
        """Run the action once every step of the actor is durable; a running wit's parent is the last of them. From any thread."""

        def look() -> None:
            if self._table.known(entry.actor.id) is not entry:
                # The head it runs on was lost: its effects must never start.
                return
            if entry.ahead == 0:
                action()
            else:
                self._awaited.setdefault(entry.actor.id, []).append(action)

        self.call(look)

    # The watch: its own thread.

    def _watch(self) -> None:
        """Take the token from a wit that holds it too long while others are ready, and name those that never end."""
        while not self._stopped.wait(TOKEN_SECONDS / 2):
            self._runs_something.clear()
            # Looked at after that: what begins now sets it again.
            if self._runs_nothing():
                self._runs_something.wait()
                continue
            self._async_wits.relieve()
            self._relieve()
            self._slow_wits.look(self._runs(), self._monotonic())

    def _runs_nothing(self) -> bool:
        return self._running is None and not self._left and self._async_wits.is_idle

    def _wake_watch(self) -> None:
        # Most steps find it awake, and setting it costs more than looking.
        if not self._runs_something.is_set():
            self._runs_something.set()

    def _relieve(self) -> None:
        running = self._running
        now = self._monotonic()
        if running is None or now - running[1] < TOKEN_SECONDS or not (self.busy or self._gate.is_overdue(now)):
            return
        self._leave(running)

    def _leave(self, running: tuple[ActorEntry, float, int], most: int = MAX_THREADS) -> None:
        """Let a wit run on without the token, which a fresh thread gets; not if it is done, or if there are too many such."""
        with self._token:
            if self._running is not running or self._threads >= most:
                return
            status = running[0].status
            self._running = None
            self._left.append(running)
            running[0].status = Status.RUNNING
            try:
                self._hand_token_over()
            except RuntimeError:
                # The machine gives no thread: better one wit that holds up the others than nobody who steps.
                self._running = running
                self._left.remove(running)
                running[0].status = status

    def _leave_to_wait(self, entry: ActorEntry) -> bool:
        """The same for a wit that is about to wait for an answer. True if others step meanwhile; from any thread."""
        running = self._running
        if running is not None and running[0] is entry:
            self._leave(running, most=MAX_WAITING_THREADS)
        running = self._running
        return running is None or running[0] is not entry

    def _runs(self) -> list[Run]:
        with self._token:
            runs = [*self._left, *([] if self._running is None else [self._running])]
        found = [Run(entry.actor.text, since, thread) for entry, since, thread in runs]
        return found + self._async_wits.computing()


def _cut(entry: ActorEntry, taken: list[Delivery]) -> Outcome | None:
    """How a step ends without being run: an update that ended the process again and again must not stand before its cure."""
    held = entry.held
    if held is None or not held.is_update or taken[0].message.lane != UPDATE:
        return None
    return Outcome(CUT, PROCESS_ENDED, f"this update was not applied: {held.reason}")


def _is_cut(sealed: Sealed) -> bool:
    return sealed.step.outcome is not None and sealed.step.outcome.code == PROCESS_ENDED
