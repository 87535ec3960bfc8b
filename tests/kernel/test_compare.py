"""What a person is shown of two steps that should be one: the first place where they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.kernel.test_replay import notes
from tests.node.troupe import OWNER, Troupe, chain
from understudy.kernel.compare import MAX_PREVIEW, Difference, first_difference, preview_pair
from understudy.kernel.seal import Sealed
from understudy.objects.blob import blob_id
from understudy.objects.codec import raw_block
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.journal import CallError, Entry, journal_block
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message, message_block
from understudy.objects.step import Outcome, step_block
from understudy.store.reader import Staging


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


def compared(troupe: Troupe, actor: ActorId, staging: Staging, **changes: Any) -> Difference | None:
    """The difference between the newest step and one that claims something else."""
    record = chain(troupe, actor)[-1]
    step = msgspec.structs.replace(record.step, **changes)
    block = step_block(step)
    sent = [delivery for delivery in record.sent if delivery.id in step.sent]
    sealed = Sealed(
        actor=record.after, id=StepId(block.id), step=step, consumed=record.consumed, sent=sent, unit=_NO_UNIT
    )
    return first_difference(staging, record, sealed)


_NO_UNIT: Any = None


def test_equal_steps_have_no_difference(troupe: Troupe):
    actor = notes(troupe)
    assert compared(troupe, actor, Staging(troupe.reader)) is None


def test_the_outcome_goes_before_the_core_and_the_core_before_what_was_sent(troupe: Troupe):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    staging = Staging(troupe.reader)
    core = staging.put_tree({"wit": blob_id(b"other")})
    staging.put_blob(b"other")
    everything: dict[str, Any] = {"outcome": Outcome("failed", "X", "y"), "core": core, "sent": [], "log": None}
    paths = []
    for field in ("outcome", "core", "sent", "log"):
        difference = compared(troupe, actor, staging, **everything)
        assert difference is not None
        paths.append(difference.path)
        del everything[field]
    assert paths == ["data.outcome.kind", "data.core/code", "data.sent[0]", "data.log[0]"]


@pytest.mark.parametrize(
    ("ours", "theirs", "shown"),
    [
        (b'{"sum":1}', b'{"sum":2}', ({"sum": 1}, {"sum": 2})),
        (b"plain", b"text", ("plain", "text")),
        (b"", None, ("", None)),
    ],
)
def test_small_values_are_shown_as_they_are(ours: bytes, theirs: bytes | None, shown: tuple[Any, Any], troupe: Troupe):
    staging = Staging(troupe.reader)
    ids = [None if data is None else Id(staging.put_blob(data)) for data in (ours, theirs)]
    assert preview_pair(staging, ids[0], ids[1]) == shown


def test_long_texts_are_shown_around_their_first_difference(troupe: Troupe):
    staging = Staging(troupe.reader)
    ours, theirs = ("same " * 1000 + word + " more" * 1000 for word in ("LEFT", "RIGHT"))
    left, right = preview_pair(staging, staging.put_blob(ours.encode()), staging.put_blob(theirs.encode()))
    assert "LEFT" in left and "RIGHT" in right
    assert len(left) <= MAX_PREVIEW + 2


def test_what_is_no_text_is_described(troupe: Troupe):
    staging = Staging(troupe.reader)
    shown, _ = preview_pair(staging, staging.put_blob(b"\xff\x00"), None)
    assert (shown["kind"], shown["bytes"]) == ("a blob", 2)


NONE = "0" * 64
ASKED = Entry(path="query/0", request=NONE, reply=raw_block(b"1").id, step=str(blob_id(b"x")))


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (Entry(path="names/0", request=NONE, reply=raw_block(b"1").id), {"reply": str(raw_block(b"1").id)}),
        (
            Entry(path="names/0", request=NONE, error=CallError("NoSuchActor", "nobody")),
            {"error": {"code": "NoSuchActor", "text": "nobody"}},
        ),
    ],
)
def test_a_call_that_was_struck_or_added_is_shown_with_what_came_back(
    troupe: Troupe, entry: Entry, shown: dict[str, Any]
):
    actor = notes(troupe)
    staging = Staging(troupe.reader)
    difference = compared(troupe, actor, staging, journal=staging.put(journal_block([entry])))
    wanted = {"path": "names/0", "request": NONE, **shown}
    assert difference == Difference(path="data.journal[0]", recorded=None, replayed=wanted)


Change = Callable[[Troupe, Staging, Message], dict[str, Any]]


def _inbox(troupe: Troupe, staging: Staging, message: Message) -> dict[str, Any]:
    return {"inbox": {OWNER: Cursor(7, MessageId(Id(staging.put(message_block(message)))))}}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda *_: {"outcome": Outcome("failed", "X", "y")}, "data.outcome.kind"),
        (_inbox, f"data.inbox.{OWNER}"),
        (lambda *_: {"outbox": {}}, f"data.outbox.{OWNER}"),
        (lambda *_: {"log": None}, "data.log[0]"),
        (lambda *_: {"engine": "python/1"}, "data.engine"),
        (lambda *_: {"time": 1}, "data.time"),
        (lambda *_: {"component_hash": NONE}, "data.component-hash"),
        (lambda *_: {"seed": 1}, "data"),
    ],
)
def test_each_part_of_a_step_has_its_path(troupe: Troupe, change: Change, path: str):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    staging = Staging(troupe.reader)
    message = chain(troupe, actor)[-1].consumed[0].message
    difference = compared(troupe, actor, staging, **change(troupe, staging, message))
    assert difference is not None
    assert difference.path == path
    assert difference.recorded != difference.replayed


def test_of_two_failures_the_code_is_named_before_the_text(troupe: Troupe):
    actor = notes(troupe)
    troupe.tell(actor, "note", "fall")
    outcome = chain(troupe, actor)[-1].step.outcome
    assert outcome is not None
    staging = Staging(troupe.reader)
    for changed, path in (
        (Outcome(outcome.kind, "Other", "other"), "data.outcome.code"),
        (Outcome(outcome.kind, outcome.code, "other"), "data.outcome.text"),
    ):
        difference = compared(troupe, actor, staging, outcome=changed)
        assert difference is not None
        assert difference.path == path
        assert difference.replayed == {"kind": changed.kind, "code": changed.code, "text": "other"}


def test_a_long_line_of_a_log_is_shown_by_its_beginning(troupe: Troupe):
    actor = notes(troupe)
    staging = Staging(troupe.reader)
    difference = compared(troupe, actor, staging, log=staging.put_blob(b" " + b"x" * 2 * MAX_PREVIEW + b"\n"))
    assert difference == Difference(path="data.log[0]", recorded=None, replayed=" " + "x" * (MAX_PREVIEW - 1) + "…")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"to": "out/test/other"}, "to"),
        ({"type": "other"}, "type"),
        ({"lane": "signal"}, "lane"),
        ({"content": raw_block(b"other").id}, "content"),
        ({"re": None}, "re"),
        ({"headers": {"a": "b"}}, "headers"),
        ({"seq": 7}, "seq"),
        ({"previous": None}, "previous"),
        ({"after": None}, "after"),
    ],
)
def test_of_a_sent_message_the_field_that_differs_is_named(troupe: Troupe, changes: dict[str, Any], path: str):
    actor = notes(troupe)
    troupe.tell(actor, "note", "a")
    troupe.tell(actor, "note", "b")
    record = chain(troupe, actor)[-1]
    staging = Staging(troupe.reader)
    staging.put(raw_block(b"other"))
    [mine] = record.sent
    other = msgspec.structs.replace(mine.message, **changes)
    assert other != mine.message, "the message that is changed has to have the field"
    block = message_block(other)
    step = msgspec.structs.replace(record.step, sent=[MessageId(block.id)])
    sealed = Sealed(
        actor=record.after,
        id=StepId(step_block(step).id),
        step=step,
        consumed=record.consumed,
        sent=[mine._replace(id=MessageId(block.id), message=other)],
        unit=_NO_UNIT,
    )
    difference = first_difference(staging, record, sealed)
    assert difference is not None
    assert difference.path == f"data.sent[0].{path}"
    assert difference.recorded != difference.replayed


def test_long_texts_that_differ_from_the_beginning_are_shown_from_there(troupe: Troupe):
    staging = Staging(troupe.reader)
    ours, theirs = (start + " more" * 1000 for start in ("LEFT", "RIGHT"))
    left, right = preview_pair(staging, staging.put_blob(ours.encode()), staging.put_blob(theirs.encode()))
    assert left.startswith("LEFT") and right.startswith("RIGHT")
