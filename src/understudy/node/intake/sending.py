"""Sending: a message from outside on its way into the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

from understudy.objects.codec import Block
from understudy.objects.ids import Id, StepId
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.store.port import Move


class Expected(NamedTuple):
    """The head at which a message is to be handled, and the last message of its conversation that was consumed there.

    The message is stored only if, in the moment in which that becomes durable, the head is still this one, and no
    message of the same conversation waits before it. So of several that expect one head, one is taken.
    """

    head: StepId
    consumed: Cursor | None


class Sending(Struct, frozen=True, kw_only=True):
    """A message from outside that has no place in its conversation yet.

    `blocks` are its content; `moves` must succeed for it to be stored.
    """

    to: str
    sender: str
    type: str
    content: Id
    blocks: Sequence[Block]
    lane: str
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    moves: Sequence[Move] = ()
    expected: Expected | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The conversation: who sends, and the key in its outbox."""
        return self.sender, mailbox_key(self.to, self.lane)

    def digest(self) -> bytes:
        """What tells this request from others under the same idempotency key."""
        headers = sorted((self.headers or {}).items())
        return sha256(f"{self.to}\n{self.lane}\n{self.type}\n{self.content}\n{headers}".encode()).digest()
