"""What an engine returned becomes a step and the unit that makes it durable, and nothing else.

Tests of kernel/actor.py too.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from understudy.actors.contract import Delivery, Outgoing, StepInput, StepResult
from understudy.kernel.actor import Actor, unborn
from understudy.kernel.advance import Plan
from understudy.kernel.seal import Known, Sealed, seal, waiting_row_for
from understudy.objects.codec import Block, raw_block
from understudy.objects.ids import ActorId, Id, MessageId, TreeId
from understudy.objects.journal import CallError, Entry
from understudy.objects.mailbox import QUEUE, SIGNAL, UPDATE, Cursor
from understudy.objects.message import Message, message_block
from understudy.objects.step import CUT, FAILED, MAX_OUTCOME_BYTES, NOOP, REFUSED, Outcome
from understudy.store.keys import head_ref, height_row
from understudy.store.maps import build_tree, mailbox_items
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move, Row, Unit
from understudy.store.reader import Staging
from understudy.store.verified import Grit

OUTSIDE = "out/node/ann"
CONTENT = raw_block(b"content")


class Stage:
    """An actor whose steps are sealed and committed one after the other."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.reader = Grit(self.backend)
        self.core = self.tree("first")
        self.actor: Actor = unborn(ActorId(self.core))
        self.other = str(self.tree("other"))
        self.third = str(self.tree("third"))
        self.calls = Journal()

    def tree(self, text: str) -> TreeId:
        """Store a tree."""
        staging = Staging(self.reader)
        id = build_tree(staging, {"wit": staging.put_blob(text.encode())})
        self.backend.commit([Unit(blocks=[*staging.new.values(), CONTENT])])
        return id

    def message(self, *, sender: str = OUTSIDE, type: str = "add", seq: int = 1, lane: str = QUEUE) -> Delivery:
        """Store a message to the actor."""
        message = Message(to=self.actor.text, sender=sender, lane=lane, seq=seq, type=type, content=CONTENT.id)
        if seq > 1:
            message = msgspec.structs.replace(message, previous=str(self.core))
        block = message_block(message)
        self.backend.commit([Unit(blocks=[block])])
        return Delivery(MessageId(block.id), message, waiting_row_for(message))

    def plan(self, *messages: Delivery, staging: Staging | None = None) -> Plan:
        """The plan of the next step."""
        given = StepInput(
            actor=self.actor.id,
            parent=self.actor.head,
            height=self.actor.height + 1,
            time=1_000,
            seed=7,
            core=self.actor.core,
            inbox=self.actor.inbox,
            outbox=self.actor.outbox,
            messages=messages,
            store=staging or Staging(self.reader),
            calls=self.calls,
        )
        return Plan(actor=self.actor, given=given)

    def seal(
        self,
        *messages: Delivery,
        sent: Sequence[Outgoing] = (),
        known: Known = lambda number, draft: True,
        **result: object,
    ) -> Sealed:
        """Seal the next step, and commit it."""
        returned = StepResult(engine="test/1", sent=sent, **{"core": self.actor.core, **result})  # type: ignore[arg-type]
        sealed = seal(self.plan(*(messages or [self.message()])), returned, known=known)
        assert self.backend.commit([sealed.unit])[0].conflict is None
        self.actor = sealed.actor
        return sealed

    def log(self, sealed: Sealed) -> str:
        """The text of a step's log."""
        return "" if sealed.step.log is None else self.reader.blob(sealed.step.log).decode()


class Journal:
    """Calls that were made already."""

    def __init__(self) -> None:
        self.entries: Sequence[Entry] = ()
        self.blocks: Sequence[Block] = ()
        self.unanswered: Exception | None = None

    def close(self) -> None:
        raise AssertionError("only an engine closes")

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        raise AssertionError("a sealed step calls nothing")

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        raise AssertionError("a sealed step calls nothing")


def to(party: str, *, type: str = "add", lane: str = QUEUE) -> Outgoing:
    return Outgoing(to=party, type=type, content=CONTENT.id, lane=lane)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_unit_moves_the_head_on_and_takes_the_consumed_rows_and_writes_the_new_ones(stage: Stage) -> None:
    message = stage.message()
    before = stage.actor
    sealed = stage.seal(message, sent=[to(stage.other), to(OUTSIDE)])
    unit = sealed.unit
    assert unit.moves == [Move(head_ref(before.id), before.head, sealed.id)]
    assert unit.feed == [sealed.id]
    first = sealed.sent[0]
    assert list(unit.rows) == [
        Row(height_row(before.id, 0), sealed.id),
        Row(waiting_row_for(message.message), None),
        Row(waiting_row_for(first.message), first.id),
    ]
    assert stage.reader.step(sealed.id) == msgspec.structs.replace(
        sealed.step, consumed=tuple(sealed.step.consumed), sent=tuple(sealed.step.sent)
    )


def test_sealing_the_same_again_gives_the_same_step(stage: Stage) -> None:
    message = stage.message()
    result = StepResult(engine="test/1", core=stage.core, sent=[to(stage.other)], log=["said"])
    ids = {seal(stage.plan(message), result, known=lambda number, draft: True).id for _ in range(2)}
    assert len(ids) == 1


def test_messages_follow_each_other_within_a_step_and_from_step_to_step(stage: Stage) -> None:
    first = stage.seal(sent=[to(stage.other), to(stage.third), to(stage.other), to(stage.other, lane=SIGNAL)])
    second = stage.seal(sent=[to(stage.other)])
    a, b, c, signal = (delivery.message for delivery in first.sent)
    d = second.sent[0].message
    assert [(each.to, each.lane, each.seq) for each in (a, b, c, signal, d)] == [
        (stage.other, QUEUE, 1),
        (stage.third, QUEUE, 1),
        (stage.other, QUEUE, 2),
        (stage.other, SIGNAL, 1),
        (stage.other, QUEUE, 3),
    ]
    assert [each.previous for each in (a, b, c, signal, d)] == [
        None,
        None,
        str(first.sent[0].id),
        None,
        str(first.sent[2].id),
    ]
    assert {each.after for each in (a, b, c, signal)} == {None} and d.after == str(first.id)
    assert dict(mailbox_items(stage.reader, second.step.outbox))[stage.other] == Cursor(3, second.sent[0].id)


def test_only_the_last_message_of_a_conversation_has_a_row(stage: Stage) -> None:
    sealed = stage.seal(sent=[to(stage.other), to(stage.other), to(stage.third), to(OUTSIDE)])
    assert [delivery.row is not None for delivery in sealed.sent] == [False, True, True, False]


def test_a_message_to_nobody_gets_no_number_and_is_noted_in_journal_and_log(stage: Stage) -> None:
    sealed = stage.seal(
        sent=[to(stage.third), to(stage.other), to(stage.third)], known=lambda number, draft: draft.to != stage.third
    )
    assert [delivery.message.to for delivery in sealed.sent] == [stage.other]
    assert sealed.step.journal is not None
    assert [entry.path for entry in stage.reader.journal(sealed.step.journal)] == ["send/0", "send/2"]
    assert stage.log(sealed).count(stage.third) == 2
    assert stage.third not in dict(mailbox_items(stage.reader, sealed.step.outbox))
    assert stage.seal(sent=[to(stage.third)]).sent[0].message.seq == 1


@pytest.mark.parametrize("kind", [FAILED, REFUSED, NOOP, CUT])
def test_a_step_that_is_not_ok_leaves_the_core_and_sends_nothing_of_the_wits(stage: Stage, kind: str) -> None:
    staging = Staging(stage.reader)
    made = build_tree(staging, {"wit": staging.put_blob(b"made by a wit that fails")})
    outcome = Outcome(kind, "Code", "text")
    result = StepResult(engine="test/1", core=made, sent=[to(stage.other)], log=["before"], outcome=outcome)
    sealed = seal(stage.plan(stage.message(), staging=staging), result, known=lambda number, draft: True)
    assert (sealed.step.core, sealed.step.outcome, sealed.sent) == (stage.core, outcome, [])
    assert made not in {block.id for block in sealed.unit.blocks}
    stage.backend.commit([sealed.unit])
    assert stage.log(sealed) == " before\n"


@pytest.mark.parametrize(("lane", "kind"), [(QUEUE, FAILED), (UPDATE, REFUSED)])
def test_a_core_that_no_engine_can_run_is_refused_to_an_update_and_fails_another_step(
    stage: Stage, lane: str, kind: str
) -> None:
    staging = Staging(stage.reader)
    empty = build_tree(staging, {})
    result = StepResult(engine="test/1", core=empty)
    sealed = seal(stage.plan(stage.message(lane=lane), staging=staging), result, known=lambda number, draft: True)
    assert sealed.step.outcome is not None
    assert (sealed.step.core, sealed.step.outcome.kind) == (stage.core, kind)
    assert "the step would leave an invalid core" in sealed.step.outcome.text


@pytest.mark.parametrize(
    ("kind", "type", "word"),
    [
        (FAILED, "add", True),
        (REFUSED, "add", True),
        (CUT, "add", True),
        (NOOP, "genesis", False),
        (FAILED, "error", False),
    ],
)
def test_an_actor_hears_of_its_message_that_failed_unless_it_was_an_error(
    stage: Stage, kind: str, type: str, word: bool
) -> None:
    message = stage.message(sender=stage.other, type=type)
    sealed = stage.seal(message, outcome=Outcome(kind, "Code", "text"))
    assert len(sealed.sent) == word
    for _, sent, _ in sealed.sent:
        assert (sent.to, sent.type, sent.re) == (stage.other, "error", str(message.id))
        about = msgspec.json.decode(stage.reader.blob(sent.content))
        assert about == {"code": "Code", "kind": kind, "message": str(message.id), "text": "text", "type": type}


def test_somebody_outside_gets_no_error_message(stage: Stage) -> None:
    assert stage.seal(stage.message(), outcome=Outcome(FAILED, "Code", "text")).sent == []


def test_the_journal_of_a_step_that_failed_is_kept(stage: Stage) -> None:
    reply = raw_block(b"reply")
    stage.calls.entries = [Entry(path="world/0", request="0" * 64, reply=reply.id)]
    stage.calls.blocks = [reply]
    sealed = stage.seal(outcome=Outcome(FAILED, "Code", "text"))
    assert sealed.step.journal is not None
    assert stage.reader.journal(sealed.step.journal) == tuple(stage.calls.entries)
    assert stage.reader.blob(reply.id) == b"reply"


@pytest.mark.parametrize(
    "text", ["", "é" * 5000, "x" * MAX_OUTCOME_BYTES, "x" * (MAX_OUTCOME_BYTES + 1), "\ud800 lone"]
)
def test_the_text_of_an_outcome_is_bounded_and_can_be_encoded(stage: Stage, text: str) -> None:
    sealed = stage.seal(outcome=Outcome(FAILED, "Code", text))
    assert sealed.step.outcome is not None
    kept = sealed.step.outcome.text
    assert len(kept.encode()) <= MAX_OUTCOME_BYTES
    assert kept == text or kept.endswith("…") or "?" in kept
    assert stage.reader.step(sealed.id).outcome == sealed.step.outcome


def test_the_inbox_holds_the_last_message_of_each_conversation(stage: Stage) -> None:
    other = stage.message(sender=stage.other)
    first, second = stage.message(), stage.message(seq=2)
    sealed = stage.seal(first, other, second)
    assert sealed.step.inbox == {OUTSIDE: Cursor(2, second.id), stage.other: Cursor(1, other.id)}
    assert stage.seal(stage.message(sender=stage.third)).step.inbox == {
        **dict(mailbox_items(stage.reader, sealed.step.inbox)),
        stage.third: Cursor(1, stage.message(sender=stage.third).id),
    }


def test_an_actor_that_sends_to_itself_follows_itself(stage: Stage) -> None:
    me = stage.actor.text
    first = stage.seal(sent=[to(me)])
    second = stage.seal(first.sent[0], sent=[to(me)])
    assert dict(mailbox_items(stage.reader, second.step.inbox))[me] == Cursor(1, first.sent[0].id)
    assert second.sent[0].message.seq == 2
    assert [row for row in second.unit.rows if row.value is None] == [Row(waiting_row_for(first.sent[0].message), None)]


def test_mailboxes_beyond_the_bound_are_blocks_of_the_step(stage: Stage) -> None:
    parties = [f"out/node/c{number}" for number in range(70)]
    sealed = stage.seal(*(stage.message(sender=party) for party in parties), sent=[to(party) for party in parties])
    assert isinstance(sealed.step.inbox, Id) and isinstance(sealed.step.outbox, Id)
    again = stage.seal(stage.message(sender=parties[0], seq=2), sent=[to(parties[69])])
    assert again.sent[0].message.seq == 2


def _answers(count: int, *, text: str = "") -> list[Entry]:
    error = CallError("No", text)
    return [Entry(path=f"world/{number}", request="0" * 64, error=error) for number in range(count)]


def test_more_calls_and_messages_to_strangers_than_a_journal_holds_are_a_failed_step(stage: Stage) -> None:
    stage.calls.entries = _answers(10_000)
    sealed = stage.seal(stage.message(), sent=[to(stage.other)], known=lambda number, draft: False)
    assert sealed.step.outcome is not None
    assert (sealed.step.outcome.kind, sealed.step.outcome.code) == (FAILED, "TooManyCalls")
    assert sealed.sent == [] and sealed.step.journal is not None
    assert len(stage.reader.journal(sealed.step.journal)) == 10_000


@pytest.mark.parametrize("known", [True, False])
def test_whether_a_journal_is_too_long_does_not_depend_on_who_is_there(stage: Stage, known: bool) -> None:
    stage.calls.entries = _answers(9_999)
    drafts = [to(stage.other), to(stage.third)]
    sealed = stage.seal(stage.message(), sent=drafts, known=lambda number, draft: known)
    assert sealed.step.outcome is not None and sealed.step.outcome.code == "TooManyCalls"


def test_a_journal_may_be_full_and_friends_still_hear_of_it(stage: Stage) -> None:
    stage.calls.entries = _answers(10_000)
    sealed = stage.seal(stage.message(), sent=[to(OUTSIDE), to(stage.actor.text)])
    assert sealed.step.outcome is None and len(sealed.sent) == 2


def test_answers_that_no_block_can_hold_cut_the_step(stage: Stage) -> None:
    stage.calls.entries = _answers(3, text="x" * 1024 * 1024)
    sealed = stage.seal(stage.message(), sent=[to(stage.other)])
    assert sealed.step.outcome is not None
    assert (sealed.step.outcome.kind, sealed.step.outcome.code) == (CUT, "TooLarge")
    assert sealed.step.journal is None and sealed.sent == []
