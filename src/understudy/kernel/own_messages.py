"""What an actor sent to itself, as its own chain shows it: no other history is needed to judge that."""

from __future__ import annotations

from understudy.objects import ids
from understudy.objects.ids import MessageId
from understudy.objects.mailbox import Mailbox, mailbox_key
from understudy.objects.message import Message
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader


class OwnMessages:
    """Finds them along `previous` from the outbox. For the steps of one chain, from the lowest up: each is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, dict[int, MessageId]] = {}

    def hold(self, outbox: Mailbox, id: MessageId, message: Message) -> bool:
        """True if the message was sent before the step whose outbox this is. Raises what reading it raises."""
        key = mailbox_key(message.to, message.lane)
        known = self._known.setdefault(key, {})
        cursor = mailbox_get(self._reader, outbox, key)
        if cursor is None or cursor.seq < message.seq:
            return False
        seq, at = cursor
        # What is known was found from an earlier outbox of the same chain, so all that is below it is known, too.
        while known.get(seq) != at:
            known[seq] = at
            if seq == message.seq:
                break
            previous = self._reader.message(at).previous
            assert previous is not None
            seq, at = seq - 1, MessageId(ids.parse(previous))
        return known.get(message.seq) == id
