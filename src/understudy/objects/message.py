"""Messages: each follows the one before it from the same sender to the same recipient in the same lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from understudy.objects import ids
from understudy.objects.codec import Block, node_block
from understudy.objects.errors import BadName, ObjectError, WrongKind
from understudy.objects.ids import Id
from understudy.objects.mailbox import LANES, QUEUE
from understudy.objects.names import actor_of, check_party, check_text, is_outside

MAX_TYPE_BYTES: Final = 255
MAX_HEADERS: Final = 64
MAX_HEADER_BYTES: Final = 8192
GENESIS: Final = "genesis"  # the type that our own genesis messages have; what makes one is its content
ERROR: Final = "error"  # the type of the kernel's answer to a message that failed

NO_HEADERS: Final[Mapping[str, str]] = {}


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """One message. `seq` counts from 1; `previous`, `after` and `re` are ids as text, or None."""

    to: str
    sender: str
    seq: int
    type: str
    content: Id
    lane: str = QUEUE
    previous: str | None = None
    after: str | None = None
    re: str | None = None
    headers: Mapping[str, str] = NO_HEADERS


def is_genesis(message: Message) -> bool:
    """True if the message carries a core to its own id."""
    # Comparing binary ids: making the text of every content would cost more than the rest of a delivery.
    content, to = message.content, message.to
    return content[:4] != ids.RAW and not is_outside(to) and actor_of(to) == content


def message_node(message: Message) -> dict[str, Any]:
    """The node of a message; optional fields that are empty are absent."""
    fields: dict[str, Any] = {
        "to": message.to,
        "from": message.sender,
        "seq": message.seq,
        "type": message.type,
        "content": message.content,
    }
    if message.lane != QUEUE:
        fields["lane"] = message.lane
    if message.previous is not None:
        fields["previous"] = message.previous
    if message.after is not None:
        fields["after"] = message.after
    if message.re is not None:
        fields["re"] = message.re
    if message.headers:
        fields["headers"] = dict(message.headers)
    return {"message": fields}


def message_block(message: Message) -> Block:
    """Encode a message that is known to be good."""
    return node_block(message_node(message))


def read_message(node: Any) -> Message:
    """A message out of its node, every rule of the format checked. Raises WrongKind."""
    try:
        fields = dict(node["message"])
        message = Message(
            to=check_party(fields["to"]),
            sender=check_party(fields["from"]),
            seq=fields["seq"],
            type=fields["type"],
            content=ids.from_bytes(fields["content"]),
            lane=fields.get("lane", QUEUE),
            previous=_text_id(fields.get("previous")),
            after=_text_id(fields.get("after")),
            re=_text_id(fields.get("re")),
            headers=fields.get("headers", NO_HEADERS),
        )
        check_type(message.type)
        check_headers(message.headers)
    except (KeyError, TypeError, ValueError, AttributeError, ObjectError) as error:
        raise WrongKind(f"not a message: {error}") from error
    if message.lane not in LANES or type(message.seq) is not int or message.seq < 1:
        raise WrongKind(f"not a message: lane {message.lane!r}, seq {message.seq!r}")
    if (message.seq == 1) != (message.previous is None) or message_node(message) != node:
        raise WrongKind("not a message: 'previous' does not fit 'seq', or a field is unknown or empty")
    if message.after is not None and is_outside(message.sender):
        raise WrongKind("not a message: a sender from outside has no steps, so 'after' can name none")
    return message


def check_type(type: str) -> str:
    """The message type, if allowed. Raises BadName."""
    check_text(type, what="message type", most=MAX_TYPE_BYTES)
    return type


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, if allowed. Raises BadName."""
    if len(headers) > MAX_HEADERS:
        raise BadName(f"{len(headers)} headers: at most {MAX_HEADERS} are allowed")
    for name, value in headers.items():
        check_text(name, what="header name", most=MAX_TYPE_BYTES)
        try:
            fits = len(value.encode()) <= MAX_HEADER_BYTES
        except (AttributeError, UnicodeEncodeError):
            fits = False
        if not fits:
            raise BadName(f"header {name!r}: the value must be Unicode text of at most {MAX_HEADER_BYTES:,} bytes")
    return headers


def _text_id(text: str | None) -> str | None:
    if text is not None:
        ids.node_from_bytes(ids.parse(text))
    return text
