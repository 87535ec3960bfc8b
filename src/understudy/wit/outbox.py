"""The outbox of a step as a wit's author sees it: what the step will send once it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from understudy.actors.contract import NO_HEADERS, Outgoing, StepInput
from understudy.actors.errors import WitError
from understudy.objects import ids
from understudy.objects.errors import BadName
from understudy.objects.ids import Id
from understudy.objects.mailbox import LANES, QUEUE, Cursor, mailbox_key
from understudy.objects.message import check_headers, check_type
from understudy.objects.names import check_party
from understudy.objects.step import MAX_SENT
from understudy.store.maps import mailbox_get
from understudy.wit.content import Encode, encode_json, put_content


class Outbox:
    """Messages in the order in which they will be sent. Nothing leaves unless the step ends well."""

    __slots__ = ("_encode", "_given", "sent")

    def __init__(self, given: StepInput, encode: Encode = encode_json) -> None:
        self._given = given
        self._encode = encode
        self.sent: list[Outgoing] = []

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
    ) -> None:
        """Send an id as a link, bytes as they are, anything else as JSON.

        Raises BadName (party, type, lane, headers), BadId (`re`), Missing (a link to nothing), WitError("TooManySent"), and
        TypeError or ValueError for what JSON can't hold.
        """
        if lane not in LANES:
            raise BadName(f"lane {lane!r} is none of {', '.join(LANES)}")
        to = str(to)
        _check_address(to, type)
        check_sent_count(len(self.sent) + 1)
        self.sent.append(
            Outgoing(
                to=to,
                type=type,
                content=put_content(self._given.store, content, self._encode),
                lane=lane,
                re=None if re is None else str(ids.parse(str(re))),
                headers=check_headers(dict(headers)) if headers else NO_HEADERS,
            )
        )

    def cursor(self, recipient: str | Id, lane: str = QUEUE) -> Cursor | None:
        """Number and id of the last message sent to a recipient before this step."""
        return mailbox_get(self._given.store, self._given.outbox, mailbox_key(str(recipient), lane))


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


# An actor talks to few others, again and again; the check of a party decodes base32.
@lru_cache(maxsize=16_384)
def _check_address(to: str, type: str) -> None:
    check_party(to)
    check_type(type)
