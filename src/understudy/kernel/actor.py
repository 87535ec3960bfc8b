"""An actor between two steps, as the kernel needs it: its id, and its last step if it lives."""

from __future__ import annotations

from msgspec import Struct

from understudy.objects.ids import ActorId, StepId, TreeId
from understudy.objects.mailbox import Mailbox
from understudy.objects.step import Step
from understudy.store.errors import Corrupt
from understudy.store.reader import Reader

_EMPTY: Mailbox = {}


class Actor(Struct, frozen=True, kw_only=True):
    """An actor at a step. `text` is its id as messages name it, made once."""

    id: ActorId
    text: str
    head: StepId | None = None
    step: Step | None = None

    @property
    def head_text(self) -> str | None:
        """The id of the last step as messages name it; made anew, since most steps send nothing."""
        return None if self.head is None else str(self.head)

    @property
    def height(self) -> int:
        """The height of the last step, -1 for an actor that is not born."""
        return -1 if self.step is None else self.step.height

    @property
    def core(self) -> TreeId:
        """The core between steps; that of an unborn actor is the one its id names."""
        return self.id if self.step is None else self.step.core

    @property
    def inbox(self) -> Mailbox:
        """The last message consumed from each sender."""
        return _EMPTY if self.step is None else self.step.inbox

    @property
    def outbox(self) -> Mailbox:
        """The last message sent to each recipient."""
        return _EMPTY if self.step is None else self.step.outbox


def unborn(id: ActorId) -> Actor:
    """An actor before its genesis."""
    return Actor(id=id, text=str(id))


def actor_at(reader: Reader, step_id: StepId) -> Actor:
    """The actor as it is after a step. Raises Missing, Corrupt, WrongKind."""
    step = reader.step(step_id)
    return Actor(id=step.actor, text=str(step.actor), head=step_id, step=step)


def load_actor(reader: Reader, id: ActorId, head: StepId | None) -> Actor:
    """The actor at its head, or unborn. Raises Corrupt if the head is another actor's step."""
    if head is None:
        return unborn(id)
    actor = actor_at(reader, head)
    if actor.id != id:
        raise Corrupt(f"the head of {id} is {head}, a step of {actor.id}", head)
    return actor
