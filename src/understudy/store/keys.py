"""Keys of refs and rows, as docs/FORMAT.md section 11 lays them out."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from understudy.objects.ids import NODE, ActorId, Id, MessageId, TreeId
from understudy.objects.mailbox import LANES, Cursor

HEADS: Final = b"head/"
NAMES: Final = b"name/"
FEED: Final = b"f"
HEIGHTS: Final = b"h"
WAITING: Final = b"i"
OUTSIDE: Final = b"o"
IDEMPOTENCY: Final = b"k"
EVIDENCE: Final = b"e"
META: Final = b"m"
HOLDS: Final = b"x"

_LANE_BYTE: Final = {lane: bytes([number]) for number, lane in enumerate(LANES)}


def head_ref(actor: bytes) -> bytes:
    """The ref of an actor's head."""
    return HEADS + actor[4:]


def name_ref(name: str) -> bytes:
    """The ref of an actor's name."""
    return NAMES + name.encode()


def feed_row(number: int) -> bytes:
    """The row of a feed number."""
    return FEED + number.to_bytes(8, "big")


def heights_of(actor: bytes) -> bytes:
    """The prefix of an actor's height rows."""
    return HEIGHTS + actor[4:]


def height_row(actor: bytes, height: int) -> bytes:
    """The row that holds an actor's step at a height."""
    return HEIGHTS + actor[4:] + height.to_bytes(8, "big")


@lru_cache(maxsize=65_536)
def party_digest(party: str) -> bytes:
    """32 bytes that stand for a sender in a key."""
    return sha256(party.encode()).digest()


def waiting_of(actor: bytes) -> bytes:
    """The prefix of the messages that wait for an actor."""
    return WAITING + actor[4:]


def waiting_lane(actor: bytes, lane: str) -> bytes:
    """The prefix of the messages that wait for an actor in a lane."""
    return waiting_of(actor) + _LANE_BYTE[lane]


def hold_row(actor: bytes, kind: int) -> bytes:
    """The row of one reason that keeps an actor from working."""
    return HOLDS + actor[4:] + bytes([kind])


def waiting_row(actor: bytes, lane: str, sender: str, seq: int) -> bytes:
    """The row of a message that was accepted for an actor and is not yet consumed."""
    return WAITING + actor[4:] + _LANE_BYTE[lane] + party_digest(sender) + seq.to_bytes(8, "big")


class WaitingKey(NamedTuple):
    """A waiting row's key, taken apart."""

    actor: ActorId
    lane: str
    sender_digest: bytes
    seq: int


def read_waiting_row(key: bytes) -> WaitingKey:
    """Take the key of a waiting row apart."""
    return WaitingKey(
        ActorId(TreeId(Id(NODE + key[1:33]))), LANES[key[33]], key[34:66], int.from_bytes(key[66:74], "big")
    )


def outside_row(sender: str, mailbox_key: str) -> bytes:
    """The row of the last message that an outside sender sent to a recipient in a lane."""
    return OUTSIDE + sender.encode() + b"\x00" + mailbox_key.encode()


def cursor_value(cursor: Cursor) -> bytes:
    """A cursor as a row holds it."""
    return cursor.seq.to_bytes(8, "big") + cursor.message


def read_cursor_value(value: bytes) -> Cursor:
    """A cursor out of a row."""
    return Cursor(int.from_bytes(value[:8], "big"), MessageId(Id(value[8:])))


def idempotency_row(sender: str, key: str) -> bytes:
    """The row of a request that its sender marked with a key."""
    return IDEMPOTENCY + sender.encode() + b"\x00" + key.encode()


def evidence_row(message: MessageId) -> bytes:
    """The row of evidence against a sender."""
    return EVIDENCE + message


def meta_row(name: str) -> bytes:
    """A row of the store's own facts."""
    return META + name.encode()


def imported_row(actor: bytes) -> bytes:
    """The row that says that an actor's history, or a part of it, came out of a file."""
    return META + b"import/" + actor[4:]


def actor_of_head(ref: bytes) -> ActorId:
    """The actor whose head a ref is."""
    return ActorId(TreeId(Id(NODE + ref[len(HEADS) :])))
