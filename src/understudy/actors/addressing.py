"""What a message that a wit sends becomes: its place in the conversation.

The kernel seals steps with it, and a wit learns the ids of its own messages by it, before they leave.
"""

from __future__ import annotations

from understudy.actors.contract import Outgoing
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message


def place(draft: Outgoing, *, sender: str, last: Cursor | None, after: str | None) -> Message:
    """The message that follows the last one of its conversation; `after` is the sender's step before, as text."""
    return Message(
        to=draft.to,
        sender=sender,
        seq=1 if last is None else last.seq + 1,
        type=draft.type,
        content=draft.content,
        lane=draft.lane,
        previous=None if last is None else str(last.message),
        after=after,
        re=draft.re,
        headers=draft.headers,
    )
