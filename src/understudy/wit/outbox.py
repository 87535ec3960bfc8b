"""The outbox of a step as a wit's author sees it: what the step will send once it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.actors.addressing import place
from understudy.actors.contract import NO_HEADERS, Outgoing, StepInput
from understudy.actors.errors import WitError
from understudy.objects import ids
from understudy.objects.errors import BadName, ObjectError
from understudy.objects.ids import Id, MessageId
from understudy.objects.mailbox import LANES, QUEUE, Cursor, mailbox_key
from understudy.objects.message import check_headers, check_type, message_block
from understudy.objects.names import check_name, check_party
from understudy.objects.step import MAX_SENT
from understudy.store.maps import mailbox_get
from understudy.wit.abi import PYTHON_2, Abi
from understudy.wit.content import encode_json, put_content
from understudy.wit.errors import step_over

NAMES: Final = "names"  # the capability that knows the names of actors


class Sent:
    """A message that will leave with the step. `str(sent)` is its id, which an `error` or an answer to it has as `re`."""

    __slots__ = ("_number", "_outbox")

    def __init__(self, outbox: Outbox, number: int) -> None:
        self._outbox = outbox
        self._number = number

    @property
    def id(self) -> MessageId:
        """The message's id, worked out when it is asked for. A message to an actor that is not there never gets one."""
        return self._outbox.id_of(self._number)

    @property
    def to(self) -> str:
        """Whom it goes to: the id of the actor that a name meant."""
        return self._outbox.sent[self._number].to

    @property
    def type(self) -> str:
        """The message's type."""
        return self._outbox.sent[self._number].type

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<Sent {self._outbox.sent[self._number].type!r} to {self.to}>"


class Outbox:
    """Messages in the order in which they will be sent. Nothing leaves unless the step ends well."""

    __slots__ = ("_abi", "_given", "_ids", "_named", "is_over", "sent")

    def __init__(self, given: StepInput, abi: Abi = PYTHON_2) -> None:
        self._given = given
        self._abi = abi
        self._named: dict[str, str] = {}
        self._ids: dict[str, list[tuple[int, Cursor]]] = {}
        self.sent: list[Outgoing] = []
        self.is_over = False

    def __len__(self) -> int:
        return len(self.sent)

    def send(
        self,
        to: str | Id,
        *,
        type: str,
        content: Any,
        lane: str = QUEUE,
        re: str | Id | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Sent:
        """Send an id as a link, bytes as they are, anything else as JSON: to an id, to `out/NODE/CALLER`, or to a name.

        A name is looked up once in a step, and the journal keeps which actor it meant. Raises CallFailed("NoSuchActor"),
        BadName (party, type, lane, headers), BadId (`re`), Missing (a link to nothing), WitError("TooManySent", "StepOver"),
        TypeError or ValueError for what JSON can't hold.
        """
        if self.is_over:
            raise step_over("send")
        if lane not in LANES:
            raise BadName(f"lane {lane!r} is none of {', '.join(LANES)}")
        to = self._party(str(to))
        _check_address(to, type)
        check_sent_count(len(self.sent) + 1)
        self.sent.append(
            Outgoing(
                to=to,
                type=type,
                content=put_content(self._given.store, content, self._abi.encode),
                lane=lane,
                re=None if re is None else str(ids.parse(str(re))),
                headers=check_headers(dict(headers)) if headers else NO_HEADERS,
            )
        )
        return Sent(self, len(self.sent) - 1)

    def cursor(self, recipient: str | Id, lane: str = QUEUE) -> Cursor | None:
        """Number and id of the last message sent to a recipient before this step."""
        return mailbox_get(self._given.store, self._given.outbox, mailbox_key(str(recipient), lane))

    def id_of(self, number: int) -> MessageId:
        """The id that the message with this number in `sent` will have."""
        key = mailbox_key(self.sent[number].to, self.sent[number].lane)
        known = self._ids.setdefault(key, [])
        begin, last = known[-1] if known else (-1, mailbox_get(self._given.store, self._given.outbox, key))
        after = None if self._given.parent is None else str(self._given.parent)
        for at in range(begin + 1, number + 1):
            draft = self.sent[at]
            if mailbox_key(draft.to, draft.lane) == key:
                message = place(draft, sender=str(self._given.actor), last=last, after=after)
                last = Cursor(message.seq, MessageId(message_block(message).id))
                known.append((at, last))
        return MessageId(next(cursor.message for at, cursor in reversed(known) if at == number))

    def _party(self, to: str) -> str:
        if self._abi.is_first or not _is_name(to):
            return to
        if to not in self._named:
            answer = self._given.calls.call_and_wait(NAMES, encode_json({"name": to}))
            self._named[to] = _actor_of(answer).actor
        return self._named[to]


class _Found(Struct, frozen=True):
    actor: str


_actor_of = msgspec.json.Decoder(_Found).decode


def check_sent_count(count: int) -> None:
    """Raise WitError("TooManySent") above what one step may send."""
    if count > MAX_SENT:
        raise WitError("TooManySent", f"one step sends at most {MAX_SENT:,} messages; send the rest in another step")


def check_outgoing(message: Outgoing) -> Outgoing:
    """The message, if the kernel may send it. Raises BadName, BadId."""
    if message.lane not in LANES:
        raise BadName(f"lane {message.lane!r} is none of {', '.join(LANES)}")
    _check_address(message.to, message.type)
    check_headers(message.headers)
    if message.re is not None:
        ids.parse(message.re)
    ids.from_bytes(message.content)
    return message


@lru_cache(maxsize=16_384)
def _is_name(to: str) -> bool:
    """True for what is no party and may be an actor's name."""
    try:
        check_party(to)
    except ObjectError:
        try:
            check_name(to, what="actor name")
        except ObjectError:
            return False
        return True
    return False


# An actor talks to few others, again and again; the check of a party decodes base32.
@lru_cache(maxsize=16_384)
def _check_address(to: str, type: str) -> None:
    check_party(to)
    check_type(type)
