"""What an actor sent to itself, as its own chain shows it: no other history is needed to judge that."""

from __future__ import annotations

from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import MessageId
from understudy.objects.mailbox import Mailbox, mailbox_key
from understudy.objects.message import Message
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader


class OwnMessages:
    """Finds them along `previous` from the outbox. For the steps of one chain, up or down: each message is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, _Stretch] = {}

    def hold(self, outbox: Mailbox, id: MessageId, message: Message) -> bool:
        """True if the message was sent before the step whose outbox this is. Raises what reading it raises."""
        key = mailbox_key(message.to, message.lane)
        cursor = mailbox_get(self._reader, outbox, key)
        if cursor is None or cursor.seq < message.seq:
            return False
        known = self._known.get(key)
        found: dict[int, MessageId] = {}
        seq, at = cursor
        while known is None or known.ids.get(seq) != at:
            found[seq] = at
            if seq == message.seq:
                # It does not reach what was known; the next one is asked for from near here.
                self._known[key] = _Stretch(found, lowest=seq)
                return at == id
            seq, at = seq - 1, self._before(at)
        known.ids.update(found)
        while known.lowest > message.seq:
            below = self._before(known.ids[known.lowest])
            known.lowest -= 1
            known.ids[known.lowest] = below
        return known.ids.get(message.seq) == id

    def _before(self, id: MessageId) -> MessageId:
        previous = self._reader.message(id).previous
        if previous is None:
            raise WrongKind(f"message {id} is said to have messages before it, and names none")
        return MessageId(ids.parse(previous))


class _Stretch:
    """Messages of one conversation by their number, without a gap."""

    def __init__(self, ids: dict[int, MessageId], *, lowest: int) -> None:
        self.ids = ids
        self.lowest = lowest
