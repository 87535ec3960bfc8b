"""Trials: an actor that may have ended the process runs alone once more. Then it is trusted, or it has ended the process again.

The law: a hold ends in the same unit as the step that ends it; that on queries, which see durable steps only, ends for
this process when that unit is durable.
"""

from __future__ import annotations

import logging

import msgspec

from understudy.kernel.seal import Sealed
from understudy.node.holds import CURED, Holds, Kind, rows_without
from understudy.node.running.entry import ActorEntry
from understudy.node.running.events import Output
from understudy.node.running.gate import Gate
from understudy.node.running.run_queue import RunQueue
from understudy.node.running.table import ActorTable
from understudy.objects.mailbox import UPDATE
from understudy.objects.step import CUT, Outcome
from understudy.store.port import Unit

PROCESS_ENDED = "ProcessEnded"

_log = logging.getLogger("understudy.scheduler")


class Trials:
    """Begins and ends trials at the gate. When one has ended, all actors may step again."""

    def __init__(self, gate: Gate, table: ActorTable, holds: Holds, queue: RunQueue, output: Output) -> None:
        self._gate = gate
        self._table = table
        self._holds = holds
        self._queue = queue
        self._output = output

    def begin_next(self, now: float) -> ActorEntry | None:
        """The actor whose trial begins now, if it is time for one."""
        while self._gate.wants_suspect:
            entry = self._table.get(self._gate.next_suspect())
            if not entry.suspect:
                continue
            if not len(entry.waiting):
                entry.overflow = entry.more_updates = True
            # Logged before, because the process may end.
            _log.warning(
                "actor %s may have ended the process: it is tried alone now. If the process ends, start it again: "
                "the actor is then held until an update repairs it, and the others go on",
                entry.actor.text,
            )
            self._gate.begin(entry, now)
            return entry
        return None

    def end_overdue(self, now: float) -> None:
        """End the trial that takes too long."""
        if self._gate.is_overdue(now):
            self._end()

    def acquit(self, entry: ActorEntry) -> None:
        """The actor ran, or had nothing to run, and the process still lives: if it is the one that is tried, it is trusted."""
        if entry is not self._gate.alone:
            return
        self._holds.forget(entry.actor.id, [Kind.STEPS])
        self._output.commit(None, Unit(rows=rows_without(entry.actor.id, [Kind.STEPS])))
        self._table.look_at_holds(entry)
        self._end()

    def end_holds(self, entry: ActorEntry, sealed: Sealed) -> Unit:
        """The unit of a step, which also removes the holds that end with it: what was tried is trusted, an update cures."""
        ended = self._ended_by(entry, sealed)
        if not ended:
            return sealed.unit
        # Queries see durable steps only, so that hold ends later: see `end_hold_on_queries`.
        self._holds.forget(entry.actor.id, [kind for kind in ended if kind is not Kind.QUERIES])
        self._table.look_at_holds(entry)
        unit = msgspec.structs.replace(sealed.unit, rows=[*sealed.unit.rows, *rows_without(entry.actor.id, ended)])
        if entry is self._gate.alone:
            self._end()
        return unit

    def end_hold_on_queries(self, sealed: Sealed) -> None:
        """A step is durable: if it was an update that cures the actor, its queries run the new code from now on."""
        if self._holds.get(sealed.actor.id, Kind.QUERIES) is not None and _is_cure(sealed):
            self._holds.forget(sealed.actor.id, [Kind.QUERIES])

    def _end(self) -> None:
        self._gate.end()
        self._queue.add_all()

    def _ended_by(self, entry: ActorEntry, sealed: Sealed) -> list[Kind]:
        if entry.held is None and not entry.suspect and self._holds.get(entry.actor.id, Kind.QUERIES) is None:
            return []
        if _is_cure(sealed):
            return list(CURED)
        if entry.held is not None and entry.held.is_replaced:
            return [Kind.STEPS]
        if not entry.suspect:
            return []
        entry.suspect -= len(sealed.consumed)
        return [Kind.STEPS] if entry.suspect <= 0 else []


def _is_cure(sealed: Sealed) -> bool:
    """True for an update that took effect, and for one that was left out because it ended the process itself."""
    outcome = sealed.step.outcome
    if sealed.is_retry:
        return False
    return sealed.consumed[0].message.lane == UPDATE and (outcome is None or outcome.code == PROCESS_ENDED)


def cut_of(entry: ActorEntry, lane: str) -> Outcome | None:
    """How a step ends without being run, None if it is run.

    An update that ended the process again and again must not block the update that repairs it, and a birth whose core was
    replaced must not wait for ever.
    """
    held = entry.held
    if held is None:
        return None
    if held.is_replaced and entry.actor.step is None:
        return Outcome(CUT, PROCESS_ENDED, f"this birth was not run: {held.reason}")
    if held.is_update and lane == UPDATE:
        return Outcome(CUT, PROCESS_ENDED, f"this update was not applied: {held.reason}")
    return None
