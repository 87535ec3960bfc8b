"""The run queue: the actors that have something to do and may do it, first come, first served."""

from __future__ import annotations

from collections import deque

from understudy.node.running.entry import ActorEntry, Status
from understudy.node.running.gate import Allowed, Gate
from understudy.node.running.table import ActorTable


class RunQueue:
    """Each actor is in it once at most, and then its status is READY."""

    def __init__(self, gate: Gate, table: ActorTable, run_ahead: int) -> None:
        self._gate = gate
        self._table = table
        self._run_ahead = run_ahead
        self._ready: deque[ActorEntry] = deque()

    def __bool__(self) -> bool:
        return bool(self._ready)

    def add(self, entry: ActorEntry) -> None:
        """Append an actor, if it is idle and has something to do."""
        if entry.status is Status.IDLE and entry.ahead < self._run_ahead and self._has_work(entry):
            entry.status = Status.READY
            self._ready.append(entry)

    def add_all(self) -> None:
        """Append all actors that have something to do: what the gate allows has changed."""
        for entry in list(self._table.all()):
            self.add(entry)

    def pop(self) -> ActorEntry | None:
        """The first actor, which is idle then; None if it lost its head while it was in the queue."""
        entry = self._ready.popleft()
        if entry.status is not Status.READY:
            return None
        entry.status = Status.IDLE
        return entry

    def _has_work(self, entry: ActorEntry) -> bool:
        if not (len(entry.waiting) or entry.has_more or entry is self._gate.alone):
            return False
        allowed = self._gate.allows(entry)
        if allowed is Allowed.UPDATES:
            return bool(entry.waiting.updates or entry.more_updates)
        return allowed is not Allowed.NOTHING
