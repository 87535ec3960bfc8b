"""The inbox of a step as a wit's author sees it."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.actors.contract import StepInput
from understudy.objects.ids import Id
from understudy.objects.mailbox import QUEUE, Cursor, mailbox_key
from understudy.store.maps import mailbox_get
from understudy.wit.message import Message


class Inbox:
    """The new messages, in the order in which the step consumes them, and where each conversation stood before."""

    __slots__ = ("_given",)

    def __init__(self, given: StepInput) -> None:
        self._given = given

    def __iter__(self) -> Iterator[Message]:
        store = self._given.store
        return (Message(delivery, store) for delivery in self._given.messages)

    def __len__(self) -> int:
        return len(self._given.messages)

    def cursor(self, sender: str | Id, lane: str = QUEUE) -> Cursor | None:
        """Number and id of the last message consumed from a sender before this step."""
        return mailbox_get(self._given.store, self._given.inbox, mailbox_key(str(sender), lane))
