"""A message that a truthful sender could not have sent is kept, with the reason, and no longer waits."""

from __future__ import annotations

import json

import pytest

from tests.kernel.test_deliver import conversation
from understudy.kernel.evidence import evidence_unit
from understudy.kernel.seal import waiting_row_for
from understudy.objects.mailbox import Cursor
from understudy.store.keys import evidence_row


@pytest.mark.parametrize(
    ("seq", "why"),
    [
        (2, "a second message with the number 2"),
        (1, "message 2 does not follow the one before it"),
        (None, "message 2 does not follow the one before it"),
    ],
)
def test_evidence_says_what_it_contradicts(seq: int | None, why: str):
    first, second = conversation(2)
    kept = None if seq is None else Cursor(seq, first.id)
    kept_row, waiting = evidence_unit(second, kept=kept).rows
    assert kept_row.key == evidence_row(second.id)
    assert json.loads(kept_row.value or b"") == {"kept": None if seq is None else str(first.id), "why": why}
    assert (waiting.key, waiting.value) == (waiting_row_for(second.message), None)
