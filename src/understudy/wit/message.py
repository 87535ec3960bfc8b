"""A message as a wit's author sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from understudy.actors.contract import Delivery
from understudy.actors.errors import Refusal
from understudy.objects.ids import Id, MessageId
from understudy.store.reader import Reader
from understudy.wit.content import decode_or_refuse, decoder_for, read_content

_plain = msgspec.json.Decoder().decode


class Message:
    """One message that the step consumes. The content is read when it is asked for."""

    __slots__ = ("_message", "_store", "id")

    id: MessageId

    def __init__(self, delivery: Delivery, store: Reader) -> None:
        self.id = delivery.id
        self._message = delivery.message
        self._store = store

    @property
    def sender(self) -> str:
        """Who sent it: an actor's id as text, or `out/NODE/CALLER`."""
        return self._message.sender

    @property
    def type(self) -> str:
        """What kind of message it is; handlers are found by it."""
        return self._message.type

    @property
    def content_id(self) -> Id:
        """The id of the content: a blob, a tree, a patch."""
        return self._message.content

    @property
    def headers(self) -> Mapping[str, str]:
        """Texts beside the content, in the order of their names."""
        # A message that came straight from its sender has them in the sender's order, one out of its block in another.
        return dict(sorted(self._message.headers.items()))

    @property
    def lane(self) -> str:
        """`queue`, `signal` or `update`."""
        return self._message.lane

    @property
    def seq(self) -> int:
        """Its number in its lane, from 1."""
        return self._message.seq

    @property
    def re(self) -> str | None:
        """The id of the message that this one answers, as text."""
        return self._message.re

    def bytes(self) -> bytes:
        """The content. Raises Refusal("BadPayload") if it is no blob."""
        return read_content(self._store, self._message.content, f"the content of the message {self.type!r}")

    def text(self) -> str:
        """The content as UTF-8 text. Raises Refusal("BadPayload")."""
        try:
            return self.bytes().decode()
        except UnicodeDecodeError as error:
            raise Refusal("BadPayload", f"the content of the message {self.type!r} is not UTF-8: {error}") from error

    def json(self, kind: Any = None) -> Any:
        """The content's JSON, as a type if one is given. Raises Refusal("BadPayload") with the path of the fault."""
        decode = _plain if kind is None else decoder_for(kind)
        return decode_or_refuse(decode, self.bytes(), f"the content of the message {self.type!r}")

    def __repr__(self) -> str:
        return f"<Message {self.type!r} {self.seq} from {self.sender}>"
