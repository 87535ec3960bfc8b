"""The other histories in a store, as a judge looks into them: what a sender says it sent."""

from __future__ import annotations

from typing import Final

from understudy.kernel.verify import StepFacts
from understudy.node.pipe_store import PipeStore
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId
from understudy.store.errors import StoreError
from understudy.store.reader import Reader

AHEAD: Final = 32  # steps of a sender asked for at once: the next messages come from the steps that follow
MAX_ACTORS: Final = 10_000
MAX_FACTS: Final = 256  # steps; one that sent the most it may send takes about a megabyte


class StoredChains:
    """Finds steps of other actors. The index is believed where it names a step of the right actor and height."""

    def __init__(self, store: PipeStore, reader: Reader) -> None:
        self._store = store
        self._reader = reader
        self._heads: dict[bytes, StepId | None] = {}
        self._steps: dict[bytes, dict[int, StepId]] = {}
        self._facts: dict[bytes, StepFacts] = {}

    def head(self, actor: ActorId) -> StepId | None:
        """The head of an actor when it was first asked for, None if the store does not have it."""
        if actor not in self._heads:
            if len(self._heads) >= MAX_ACTORS:
                self._heads.clear()
            self._heads[actor] = self._store.head(actor)
        return self._heads[actor]

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """The step at a height; found along the parents from the head when the index does not have it."""
        known = self._steps.get(actor, {})
        if height not in known:
            known = self._look_up(actor, height)
        found = known.get(height)
        return found if found is not None and self._is_step(found, actor, height) else self._walk(actor, height)

    def _look_up(self, actor: ActorId, height: int) -> dict[int, StepId]:
        if len(self._steps) >= MAX_ACTORS:
            self._steps.clear()
        found = self._store.steps(actor, low=height, high=height + AHEAD - 1)
        self._store.fetch(found)
        self._steps[actor] = dict(enumerate(found, height))
        return self._steps[actor]

    def facts(self, step: Id) -> StepFacts:
        """What a step says of itself. A sender's step is asked for once for each message that it sent."""
        known = self._facts.get(step)
        if known is None:
            if len(self._facts) >= MAX_FACTS:
                self._facts.clear()
            read = self._reader.step(step)
            known = self._facts[step] = StepFacts(read.actor, read.height, frozenset(read.sent))
        return known

    def _is_step(self, id: StepId, actor: ActorId, height: int) -> bool:
        try:
            facts = self.facts(id)
        except (StoreError, ObjectError):
            return False
        return facts.actor == actor and facts.height == height

    def _walk(self, actor: ActorId, height: int) -> StepId | None:
        at = self._store.head(actor)
        while at is not None:
            try:
                step = self._reader.step(at)
            except (StoreError, ObjectError):
                return None
            if step.height <= height:
                return at if step.height == height and step.actor == actor else None
            at = step.parent
        return None
