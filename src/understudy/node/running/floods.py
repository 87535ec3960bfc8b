"""Floods: an actor that sends faster than its recipients can consume is slowed down. It may be its own recipient.

The law: what an actor leaves waiting at one recipient grows by one step's messages at most in as many seconds as it has
FLOOD messages waiting there. No step is refused for this, so it shows in no history.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from understudy.kernel.deliver import sender_key
from understudy.kernel.seal import Sealed
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import Mailbox
from understudy.objects.names import actor_of
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader

FLOOD: Final = 10_000  # messages from one sender that wait at one recipient: what one step may send
MAX_SECONDS: Final = 60.0  # between two steps of one that floods
_LOOKED_AT: Final = 64  # recipients of a step; with more of them, each gets little


def seconds_to_rest(sealed: Sealed, reader: Reader, inbox_of: Callable[[ActorId], Mailbox | None]) -> float:
    """How long the sender of this step rests before its next one. `inbox_of` gives the inbox of an actor that is known."""
    if len(sealed.sent) <= len(sealed.consumed):
        return 0.0
    waiting = 0
    # The last one of each conversation with an actor has a row.
    for delivery in islice((delivery for delivery in sealed.sent if delivery.row is not None), _LOOKED_AT):
        inbox = inbox_of(actor_of(delivery.message.to))
        if inbox is not None:
            cursor = mailbox_get(reader, inbox, sender_key(delivery.message))
            waiting = max(waiting, delivery.message.seq - (0 if cursor is None else cursor.seq))
    return 0.0 if waiting <= FLOOD else min(MAX_SECONDS, waiting / FLOOD)
