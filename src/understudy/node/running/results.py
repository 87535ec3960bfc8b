"""What becomes of a job that was run: a step, another attempt later, or a hold.

The law: its messages are consumed by a step, or they are put back.
"""

from __future__ import annotations

import logging
from typing import Final

from understudy.actors.contract import Delivery, Outgoing, StepResult
from understudy.actors.errors import HostFailed
from understudy.kernel.advance import Plan
from understudy.kernel.deliver import sender_key
from understudy.kernel.policy import RECORD, RetryPolicy
from understudy.kernel.retries import exhausted
from understudy.kernel.seal import Sealed, recordable, seal
from understudy.node.holds import Hold, Holds, Kind
from understudy.node.running.bounces import Bounces
from understudy.node.running.entry import ActorEntry
from understudy.node.running.events import Finished, HoldBegan, Output
from understudy.node.running.failures import hold_of
from understudy.node.running.floods import seconds_to_rest
from understudy.node.running.parking import Parking
from understudy.node.running.run_queue import RunQueue
from understudy.node.running.step_size import within_room
from understudy.node.running.table import ActorTable
from understudy.node.running.timers import Timers
from understudy.node.running.trials import Trials
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE, Mailbox
from understudy.objects.names import actor_of
from understudy.objects.step import FAILED, Outcome
from understudy.store.port import Unit
from understudy.store.verified import InFlight
from understudy.wit.requests import FOLDER as REQUESTS

# After a failure of the machine there is no last attempt: there may be room again in an hour.
HOST_RETRY: Final = RetryPolicy()

_log = logging.getLogger("understudy.scheduler")


class Results:
    """A part of the scheduler, with the same rules: one thread at a time, no clock, no lock."""

    def __init__(
        self,
        *,
        table: ActorTable,
        reader: InFlight,
        holds: Holds,
        trials: Trials,
        parking: Parking,
        timers: Timers,
        bounces: Bounces,
        queue: RunQueue,
        output: Output,
    ) -> None:
        self._table = table
        self._reader = reader
        self._holds = holds
        self._trials = trials
        self._parking = parking
        self._timers = timers
        self._bounces = bounces
        self._queue = queue
        self._output = output

    def take(self, event: Finished, now: float) -> bool:
        """Take the result of a job. True if it became a step. Raises an unexpected failure of the host."""
        entry, taken, plan, result = event.job.entry, event.job.taken, event.plan, event.result
        if isinstance(result, HostFailed):
            self._try_again(entry, taken, result, now)
            return False
        if isinstance(result, Exception):
            entry.waiting.put_back(taken)
            self._trials.acquit(entry)
            raise result
        assert plan is not None
        return self._end_step(entry, plan, result, now)

    def _try_again(self, entry: ActorEntry, taken: list[Delivery], error: HostFailed, now: float) -> None:
        """The machine had no room for this step: nothing is consumed, and it is tried again until there is room."""
        if len(taken) > 1:
            # One of them may fit where all of them do not.
            self._run_singly(entry, taken)
            return
        key = sender_key(taken[0].message)
        # The reason first: another thread that sees the attempt must see the reason too.
        entry.host_errors[key] = str(error)
        entry.attempts[key] = attempt = entry.attempts.get(key, 0) + 1
        _log.warning("actor %s: %s; it is tried again", entry.actor.text, error)
        self._park(entry, taken, key, now + HOST_RETRY.delay_ms(attempt) / 1000)

    def _end_step(self, entry: ActorEntry, plan: Plan, result: StepResult, now: float) -> bool:
        """Seal what a wit returned, unless it is to be run again."""
        result = within_room(plan, result)
        taken = list(plan.consumed)
        is_batch = len(taken) > 1
        if is_batch:
            result = result if result.retry is not None else recordable(plan, result)
            if result.retry is not None or result.outcome is not None:
                # One of them is to blame: the others must not be lost with it.
                self._run_singly(entry, taken)
                return False
        policy = self._table.policy(entry)
        if result.retry is not None and plan.retried is not None:
            # Other updates wait behind an order to retry, so it is not tried again; whoever gave the order may give it again.
            result = exhausted(result)
        if result.retry is not None:
            key = sender_key(taken[0].message)
            entry.attempts[key] = attempt = entry.attempts.get(key, 0) + 1
            entry.host_errors.pop(key, None)
            if attempt < policy.retry.attempts:
                self._park(entry, taken, key, now + policy.retry.delay_ms(attempt) / 1000)
                return False
            result = exhausted(result)
        entry.singles = max(0, entry.singles - 1)
        hold = None if policy.on_failure == RECORD else hold_of(plan, result, policy)
        unloaded = None if plan.program is not None or hold is not None else self._waits_for_code(plan, result)
        if unloaded is not None:
            self._park_until_code_loads(entry, taken, unloaded, now)
            return False
        if entry.attempts or entry.host_errors:
            for delivery in taken:
                # Several messages that were tried again may end in one step.
                entry.attempts.pop(sender_key(delivery.message), None)
                entry.host_errors.pop(sender_key(delivery.message), None)
        if hold is not None:
            self._hold(entry, taken, hold)
            return False
        self._hand_over(entry, plan, seal(plan, result, known=self._is_known, is_recordable=is_batch), now)
        self._queue.add(entry)
        return True

    def _waits_for_code(self, plan: Plan, result: StepResult) -> Outcome | None:
        """Why the code did not load, if nobody will send the message again: it is from the clock, or an answer."""
        outcome, message = result.outcome, plan.consumed[0].message
        if outcome is None or outcome.kind != FAILED:
            return None
        if plan.given.parent is None or plan.retried is not None or message.lane == UPDATE:
            return None
        is_awaited = message.re is not None and self._reader.find(plan.actor.core, f"{REQUESTS}/{message.re}")
        return outcome if plan.ring is not None or is_awaited else None

    def _park_until_code_loads(self, entry: ActorEntry, taken: list[Delivery], failed: Outcome, now: float) -> None:
        """Keep the message: an update has it tried again at once, and a module that is installed, before long."""
        key = sender_key(taken[0].message)
        entry.host_errors[key] = reason = f"the code does not load: {failed.code}: {failed.text.partition(chr(10))[0]}"
        entry.attempts[key] = attempt = entry.attempts.get(key, 0) + 1
        if attempt == 1:
            what = f"its message {taken[0].message.type[:64]!r} is kept until it does"
            _log.error("actor %s: %s; %s: push an update that repairs it", entry.actor.text, reason, what)
        self._park(entry, taken, key, now + HOST_RETRY.delay_ms(attempt) / 1000)

    def _hold(self, entry: ActorEntry, taken: list[Delivery], hold: Hold) -> None:
        """Consume nothing, and let the actor take nothing but updates from now on."""
        _log.error("actor %s is held: %s", entry.actor.text, hold.reason)
        entry.waiting.put_back(taken)
        rows = self._holds.remember({(entry.actor.id, Kind.FAILURE): hold})
        self._output.commit(HoldBegan([delivery.id for delivery in taken]), Unit(rows=rows))
        self._table.look_at_holds(entry)
        self._trials.acquit(entry)
        self._queue.add(entry)

    def _run_singly(self, entry: ActorEntry, taken: list[Delivery]) -> None:
        """Run the messages of a batch again, one to a step."""
        entry.waiting.put_back(taken)
        entry.singles = len(taken)
        self._queue.add(entry)

    def _park(self, entry: ActorEntry, taken: list[Delivery], key: str, until: float) -> None:
        """Set the messages of an inbox key aside for a while."""
        self._parking.park(entry, taken, key, until)
        self._trials.acquit(entry)
        self._queue.add(entry)

    def _is_known(self, _: int, draft: Outgoing) -> bool:
        return self._table.exists(actor_of(draft.to))

    def _hand_over(self, entry: ActorEntry, plan: Plan, sealed: Sealed, now: float) -> None:
        """Have a step committed, and go on from it."""
        self._reader.add(sealed.unit.blocks, plan.given.store.nodes)
        if sealed.unreached:
            sealed = self._bounces.add(sealed)
        unit = self._trials.end_holds(entry, sealed)
        unit = self._timers.index.follow(entry, plan, sealed, unit)
        entry.waiting.forget(sealed.consumed)
        entry.actor = sealed.actor
        entry.ahead += 1
        self._output.commit(sealed, unit)
        if sealed.consumed[0].message.lane == UPDATE:
            # Other code may need another time.
            entry.pace = entry.slowed = None
            if sealed.step.outcome is None:
                self._parking.end_at_once(entry)
        seconds = seconds_to_rest(sealed, self._reader, self._inbox_of)
        if seconds:
            reason = "it sends more than its recipients take, which still wait: it rests between its steps"
            self._parking.rest(entry, reason, now + seconds)

    def _inbox_of(self, actor: ActorId) -> Mailbox | None:
        known = self._table.known(actor)
        return None if known is None else known.actor.inbox
