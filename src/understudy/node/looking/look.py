"""Looking into a store: all that can be asked of it without a living node. Loads no engine and no scheduler.

The law: nothing is changed, and what is seen is durable.
"""

from __future__ import annotations

from collections.abc import Iterator

from understudy.node.errors import NotFound
from understudy.node.looking.lookup import ActorInfo, Evidence, Lookup, Page, Pending
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.keys import meta_row
from understudy.store.open import open_store
from understudy.store.port import Backend
from understudy.store.verified import Grit
from understudy.store.walk import walk


class Look:
    """What a store says of its actors. Raises StoreError where the store fails, NodeError where there is no such thing."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.reader = Grit(backend)
        self.name = read_meta(backend, "node").decode()
        self.lookup = Lookup(backend, self.reader)

    def resolve(self, text: str) -> ActorId:
        """See Lookup.resolve."""
        return self.lookup.resolve(text)

    def actor(self, actor: ActorId) -> ActorInfo:
        """See Lookup.actor."""
        return self.lookup.actor(actor)

    def actors(self, *, after: str | None = None, limit: int = 100) -> Page[ActorInfo]:
        """See Lookup.actors."""
        return self.lookup.actors(after=after, limit=limit)

    def steps(self, actor: ActorId, *, before: int | None = None, limit: int = 100) -> Page[tuple[StepId, Step]]:
        """See Lookup.steps."""
        return self.lookup.steps(actor, before=before, limit=limit)

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """See Lookup.step_at."""
        return self.lookup.step_at(actor, height)

    def names(self) -> dict[str, ActorId]:
        """All names of actors."""
        return self.lookup.names.all()

    def evidence(self, *, limit: int = 1000) -> list[Evidence]:
        """See Lookup.evidence."""
        return self.lookup.evidence(limit=limit)

    def pending(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[Pending]:
        """See Lookup.pending."""
        return self.lookup.pending(actor, limit=limit)

    def export(self, actor: ActorId, *, at: StepId | None = None) -> tuple[StepId, Iterator[Block]]:
        """A head (or the step `at`) and every block that belongs to it. Raises NotFound, Missing while iterating."""
        head = self.actor(actor).head if at is None else at
        if self.reader.step(head).actor != actor:
            raise NotFound(f"{head} is not a step of {actor}")
        return head, walk(self.reader, head)


def look_into(store_url: str) -> Look:
    """A look at what is in a store now, also beside the node that serves it. Raises StoreError."""
    return Look(open_store(store_url, read_only=True))


def read_meta(backend: Backend, name: str) -> bytes:
    """A fact about the store itself. Raises StoreError without it."""
    value = backend.row(meta_row(name))
    if value is None:
        raise StoreError(f"the store has no {name!r} among its facts: it was not made by understudy, or is damaged")
    return value
