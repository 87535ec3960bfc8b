"""Mailboxes: the latest message from each sender, or to each recipient, by lane.

The law of a cursor: a queue moves by one along `previous`, a signal only forward, nothing moves back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from understudy.objects import ids
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.hamt import BigMap, big_map_node, check_hamt_node, open_big_map
from understudy.objects.ids import Id, MessageId
from understudy.objects.names import check_party

MAX_INLINE: Final = 64  # entries; above, a step holds only the link

QUEUE: Final = "queue"
SIGNAL: Final = "signal"
UPDATE: Final = "update"
LANES: Final = (UPDATE, SIGNAL, QUEUE)  # in the order in which they are served


class Cursor(NamedTuple):
    """Where a conversation stands: number and id of its last message."""

    seq: int
    message: MessageId


Mailbox = Mapping[str, Cursor] | Id  # inline, or the id of a BigMailbox


class Inline(dict[str, Cursor]):
    """An inline mailbox that also holds its node: to make 64 lists with every step would cost more than to encode them."""

    __slots__ = ("node",)
    node: dict[str, list[Any]]


def moved(mailbox: Mapping[str, Cursor], changes: Mapping[str, Cursor]) -> Inline:
    """An inline mailbox with some cursors moved."""
    after = Inline(mailbox)
    after.update(changes)
    after.node = node = dict(mailbox.node) if type(mailbox) is Inline else mailbox_node(mailbox)
    for key, cursor in changes.items():
        node[key] = list(cursor)
    return after


def mailbox_key(party: str, lane: str) -> str:
    """The key of a party and a lane: the party itself for the queue."""
    return party if lane == QUEUE else f"{lane}/{party}"


def split_key(key: str) -> tuple[str, str]:
    """Party and lane of a mailbox key. Raises BadName."""
    for lane in (SIGNAL, UPDATE):
        if key.startswith(lane + "/"):
            return check_party(key[len(lane) + 1 :]), lane
    return check_party(key), QUEUE


def big_mailbox_node(big: BigMap) -> dict[str, Any]:
    """The node of a mailbox above 64 entries."""
    return {"bigmailbox": big_map_node(big)}


def read_big_mailbox(node: Any) -> BigMap:
    """The large map of a mailbox node, its root checked. Raises WrongKind."""
    big = open_big_mailbox(node)
    check_hamt_node(big.root)
    return big


def open_big_mailbox(node: Any) -> BigMap:
    """Like `read_big_mailbox`, for those who check each element they touch."""
    if not isinstance(node, dict) or set(node) != {"bigmailbox"}:
        raise WrongKind("not a mailbox: expected {bigmailbox: [count, root]}")
    return open_big_map(node["bigmailbox"], above=MAX_INLINE)


def read_cursor(value: Any) -> Cursor:
    """A cursor out of its node. Raises WrongKind."""
    if type(value) is list and len(value) == 2:
        seq, message = value
        if type(seq) is int and seq >= 1 and _is_node_id(message):
            return Cursor(seq, MessageId(Id(message)))
    raise WrongKind(f"not a cursor: {value!r}; expected [seq from 1, message]")


def _is_node_id(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == 36 and value[:4] == ids.NODE


def read_mailbox(value: Any) -> Mailbox:
    """The mailbox as it stands in a step. Raises WrongKind, BadId."""
    if isinstance(value, bytes):
        return ids.node_from_bytes(value)
    if not isinstance(value, dict) or len(value) > MAX_INLINE:
        raise WrongKind(f"not a mailbox: expected a map of at most {MAX_INLINE} entries or a link")
    try:
        for key in value:
            split_key(key)
        return {key: read_cursor(cursor) for key, cursor in value.items()}
    except ObjectError as error:
        raise WrongKind(f"not a mailbox: {error}") from error


def mailbox_node(mailbox: Mailbox) -> Any:
    """The mailbox as a step writes it."""
    if isinstance(mailbox, bytes):
        return mailbox
    if isinstance(mailbox, Inline):
        return mailbox.node
    return dict(zip(mailbox, map(list, mailbox.values()), strict=True))
