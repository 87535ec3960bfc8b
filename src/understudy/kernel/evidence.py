"""Evidence: a message that a truthful sender could not have sent, kept beside the chain."""

from __future__ import annotations

import msgspec

from understudy.actors.contract import Delivery
from understudy.kernel.seal import waiting_row_for
from understudy.objects.ids import Id
from understudy.objects.mailbox import Cursor
from understudy.store.keys import evidence_row
from understudy.store.port import Row, Unit


def evidence_unit(delivery: Delivery, *, kept: Cursor | None) -> Unit:
    """The unit that takes the message out of the mailbox and keeps it as evidence; `kept` is the cursor that it contradicts."""
    message = delivery.message
    if kept is not None and kept.seq == message.seq:
        why = f"a second message with the number {message.seq}"
    else:
        why = f"message {message.seq} does not follow the one before it"
    value = {"kept": None if kept is None else str(Id(kept.message)), "why": why}
    rows = [Row(evidence_row(delivery.id), msgspec.json.encode(value)), Row(waiting_row_for(message), None)]
    return Unit(rows=rows)
