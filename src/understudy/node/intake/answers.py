"""Answers: what became of a message from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.node.looking.lookup import Lookup
from understudy.objects import ids
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import Message, is_genesis
from understudy.objects.names import actor_of
from understudy.objects.step import Outcome
from understudy.store.reader import Reader


class Reply(Struct, frozen=True):
    """A message that a step sent back to an outside caller."""

    type: str
    content: Id


class Answer(Struct, frozen=True, kw_only=True):
    """What became of a message: the durable step that consumed it, its outcome (None: ok), and the replies."""

    head: StepId
    step: StepId
    outcome: Outcome | None
    replies: Sequence[Reply]


class Found(NamedTuple):
    """An answer that is in the store, and the actors that its step made."""

    answer: Answer
    made: list[ActorId]


def made_by(sent: Sequence[Delivery]) -> list[ActorId]:
    """The actors that these messages make."""
    return [actor_of(delivery.message.to) for delivery in sent if is_genesis(delivery.message)]


def answer_of(
    id: MessageId,
    message: Message,
    step: StepId,
    outcome: Outcome | None,
    sent: Sequence[Delivery],
) -> Answer:
    """The answer that a step gives to one of the messages it consumed."""
    text = str(id)
    # An order to retry has no replies of its own: what it is answered are those to the messages that were run again.
    is_order = message.lane == UPDATE and ids.is_raw(message.content)
    replies = [
        Reply(reply.type, reply.content)
        for reply in (delivery.message for delivery in sent)
        if reply.to == message.sender and (is_order or reply.re is None or reply.re == text)
    ]
    return Answer(head=step, step=step, outcome=outcome, replies=replies)


def find_answer(lookup: Lookup, reader: Reader, actor: ActorId, id: MessageId) -> Found | None:
    """The answer to a message that a durable step consumed, None if there is no such step yet."""
    message = reader.message(id)
    step_id = lookup.step_of(actor, message)
    if step_id is None:
        return None
    step = reader.step(step_id)
    sent = [Delivery(id, reader.message(id)) for id in step.sent]
    return Found(answer_of(id, message, step_id, step.outcome, sent), made_by(sent))
