"""Acceptance: a message from outside gets its place in its conversation and becomes durable before its sender hears of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from understudy.actors.contract import Delivery
from understudy.kernel.seal import waiting_row_for
from understudy.objects.codec import Block
from understudy.objects.errors import BadName
from understudy.objects.ids import Id, MessageId
from understudy.objects.mailbox import LANES, QUEUE, Cursor, mailbox_key
from understudy.objects.message import Message, check_headers, check_type, message_block
from understudy.objects.names import check_party
from understudy.store.keys import cursor_value, idempotency_row, outside_row
from understudy.store.port import Row, Unit


def accept(
    *,
    to: str,
    sender: str,
    type: str,
    content: Id,
    blocks: Sequence[Block],
    last: Cursor | None,
    lane: str = QUEUE,
    headers: Mapping[str, str] | None = None,
    re: str | None = None,
    idempotency: tuple[str, bytes] | None = None,
) -> tuple[Delivery, Unit]:
    """The message and the unit that stores it with `blocks` (its content).

    `last` is the cursor of the message before it from this sender to this recipient in this lane, `re` the id of the message
    that it answers; `idempotency` is the
    sender's key and the sha256 of its request. Raises BadName for a lane, a type, a header or a party that is not allowed.
    """
    if lane not in LANES:
        raise BadName(f"lane {lane!r} is none of {', '.join(LANES)}")
    message = Message(
        to=check_party(to),
        sender=check_party(sender),
        seq=1 if last is None else last.seq + 1,
        type=check_type(type),
        content=content,
        lane=lane,
        previous=None if last is None else str(Id(last.message)),
        re=re,
        headers=check_headers(headers or {}),
    )
    block = message_block(message)
    id = MessageId(block.id)
    row = waiting_row_for(message)
    rows = [
        Row(row, id),
        Row(outside_row(sender, mailbox_key(to, lane)), cursor_value(Cursor(message.seq, id))),
    ]
    if idempotency is not None:
        key, request = idempotency
        rows.append(Row(idempotency_row(sender, key), id + request))
    return Delivery(id, message, row), Unit(blocks=[*blocks, block], rows=rows)
