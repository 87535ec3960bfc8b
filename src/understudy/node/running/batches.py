"""Batches: how many of the messages that wait become one step."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.actors.contract import Delivery, LiveEngine
from understudy.actors.errors import WitError
from understudy.kernel.advance import WIT
from understudy.kernel.core import runtime_of
from understudy.node.running.entry import ActorEntry
from understudy.node.running.gate import Allowed
from understudy.node.running.pace import STEP_SECONDS, Paces
from understudy.node.running.table import ActorTable
from understudy.objects.errors import ObjectError
from understudy.store.errors import Missing
from understudy.store.reader import Reader


class Batches:
    """Takes messages for steps: as many as /policy asks for, else as many as take milliseconds together."""

    def __init__(self, table: ActorTable, engines: Mapping[str, LiveEngine], reader: Reader) -> None:
        self._table = table
        self._engines = engines
        self._reader = reader
        self._paces = Paces()

    def take(self, entry: ActorEntry, allowed: Allowed) -> list[Delivery]:
        """The messages of an actor's next step, in order. Raises StoreError."""
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
            # The step will fail because of this core, and each message gets a step of its own.
            return entry.waiting.take(born=born, limit=1)
        if entry.pace is None:
            return entry.waiting.take(born=born, limit=engine.batch)
        return entry.waiting.take(born=born, limit=engine.batch, cost=entry.pace.seconds, budget=STEP_SECONDS)
