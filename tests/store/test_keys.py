"""The keys of a store, byte for byte as docs/FORMAT.md section 11 has them."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects.ids import ActorId, Id, MessageId, TreeId, node_id
from understudy.objects.mailbox import LANES, Cursor
from understudy.store import keys, timer_rows

ACTOR = ActorId(TreeId(node_id(b"actor")))
MESSAGE = MessageId(Id(node_id(b"message")))
DIGEST = sha256(b"actor").digest()
ANN = "out/node/ann"


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (keys.head_ref(ACTOR), b"head/" + DIGEST),
        (keys.name_ref("café"), "name/café".encode()),
        (keys.feed_row(258), b"f" + bytes(6) + b"\x01\x02"),
        (keys.heights_of(ACTOR), b"h" + DIGEST),
        (keys.height_row(ACTOR, 1), b"h" + DIGEST + bytes(7) + b"\x01"),
        (
            keys.waiting_row(ACTOR, "update", ANN, 3),
            b"i" + DIGEST + b"\0" + sha256(ANN.encode()).digest() + bytes(7) + b"\3",
        ),
        (keys.waiting_lane(ACTOR, "signal"), b"i" + DIGEST + b"\1"),
        (keys.waiting_lane(ACTOR, "queue"), b"i" + DIGEST + b"\2"),
        (keys.outside_row(ANN, "signal/x"), b"o" + ANN.encode() + b"\0signal/x"),
        (keys.idempotency_row(ANN, "key"), b"k" + ANN.encode() + b"\0key"),
        (keys.evidence_row(MESSAGE), b"e" + MESSAGE),
        (keys.hold_row(ACTOR, 2), b"x" + DIGEST + b"\2"),
        (timer_rows.due_row(258, ACTOR, "é"), b"t" + bytes(6) + b"\1\2" + DIGEST + "é".encode()),
        (timer_rows.timer_row(ACTOR, "é"), b"u" + DIGEST + "é".encode()),
        (timer_rows.timers_of(ACTOR), b"u" + DIGEST),
        (timer_rows.timer_value(258, MESSAGE), bytes(6) + b"\1\2" + MESSAGE),
        (timer_rows.timer_value(258, MESSAGE, rang=MESSAGE), bytes(6) + b"\1\2" + MESSAGE + MESSAGE),
        (keys.meta_row("format"), b"mformat"),
        (keys.imported_row(ACTOR), b"mimport/" + DIGEST),
        (keys.cursor_value(Cursor(5, MESSAGE)), bytes(7) + b"\5" + MESSAGE),
    ],
)
def test_each_key_is_as_the_format_has_it(key: bytes, wanted: bytes):
    assert key == wanted


@given(st.sampled_from(LANES), st.text(max_size=5), st.integers(1, 2**63 - 1))
def test_what_a_waiting_row_says_comes_back(lane: str, sender: str, seq: int):
    found = keys.read_waiting_row(keys.waiting_row(ACTOR, lane, sender, seq))
    assert found == (ACTOR, lane, keys.party_digest(sender), seq)


@given(st.integers(1, 2**63 - 1))
def test_a_cursor_comes_back(seq: int):
    assert keys.read_cursor_value(keys.cursor_value(Cursor(seq, MESSAGE))) == (seq, MESSAGE)


def test_the_actor_of_a_head_comes_back():
    assert keys.actor_of_head(keys.head_ref(ACTOR)) == ACTOR


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_rows_sort_by_number(a: int, b: int):
    assert (keys.feed_row(a) < keys.feed_row(b)) == (a < b)
    assert (keys.height_row(ACTOR, a) < keys.height_row(ACTOR, b)) == (a < b)


@given(st.integers(0, timer_rows.NEVER), st.text(max_size=20))
def test_the_rows_of_a_timer_are_read_back(due: int, name: str):
    assert timer_rows.read_due_row(timer_rows.due_row(due, ACTOR, name)) == (due, ACTOR, name)
    assert timer_rows.read_timer_row(timer_rows.timer_row(ACTOR, name)) == (ACTOR, name)
    for rang in (None, MESSAGE):
        assert timer_rows.read_timer_value(timer_rows.timer_value(due, MESSAGE, rang=rang)) == (due, MESSAGE, rang)
