"""Verification: what can be wrong with a recorded step, found without trusting who made it."""

from __future__ import annotations

from typing import Final, Protocol

from understudy.actors.contract import Delivery
from understudy.kernel.advance import earliest
from understudy.kernel.compare import JSON, Difference
from understudy.kernel.deliver import Judgement, goes_alone, judge, sender_key
from understudy.kernel.engine_check import engine_fault
from understudy.kernel.own_messages import OwnMessages
from understudy.kernel.replay import Record
from understudy.kernel.verdict import (
    CLOCK,
    ENGINE,
    INTEGRITY,
    JOURNAL,
    MISMATCH,
    ORDER,
    UNSENT,
    Problem,
    mismatch,
    unverifiable,
)
from understudy.objects.clock import ring_of
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.journal import lacks_step
from understudy.objects.kinds import ANY, BLOB, MAILBOX, TREE
from understudy.objects.kinds import JOURNAL as JOURNAL_KIND
from understudy.objects.mailbox import LANES, Cursor, Mailbox, mailbox_key, mailbox_node
from understudy.objects.message import Message, is_genesis
from understudy.objects.names import actor_of, is_outside
from understudy.objects.step import Step
from understudy.store.closure import Closure
from understudy.store.maps import mailbox_get, mailbox_set
from understudy.store.reader import Reader, Staging

MAX_AHEAD_US: Final = 300_000_000  # five minutes: what two honest clocks may differ by


class Chains(Protocol):
    """The other histories in the store."""

    def head(self, actor: ActorId) -> StepId | None:
        """The head of an actor, None if the store does not have it."""

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """The step at a height in the history that the head of the actor stands for. Raises what reading it raises."""

    def named(self, name: str) -> ActorId | None:
        """The actor that has a name in the store now, None if none has it."""

    def denies(self, actor: ActorId, id: MessageId, message: Message) -> bool:
        """True if the history of the actor that is here can't hold the message. An older copy of it denies nothing."""

    def sending_step(self, actor: ActorId, id: MessageId, message: Message) -> Step | None:
        """The step of the actor that sent the message, None if what is here of its history does not reach so far."""


def check_record(reader: Reader, record: Record, closure: Closure, *, came_out: bool = False) -> Problem | None:
    """Check the step against its parent and its messages, and every object that it brings.

    With `came_out`, a replay on the same parent gave the step's own id. Actor, height, time, what was sent and both
    mailboxes were computed for that, so they are not compared once more.
    Raises Missing, Corrupt, WrongKind for what can't be read; see `reading_problem`.
    """
    problem = None if came_out else _check_chain(record)
    problem = problem or _check_journal(record) or _check_consumed(reader, record, came_out=came_out)
    problem = problem or (None if came_out else _check_sent(reader, record))
    if problem is None:
        _check_objects(record, closure)
        if (fault := engine_fault(reader, record)) is not None:
            return mismatch(ENGINE, "data.engine", record.step.engine, None, fault)
    return problem


def check_senders(reader: Reader, record: Record, chains: Chains, own: OwnMessages) -> Problem | None:
    """Check that no consumed message is denied by the history of its sender, or was sent only because of this step."""
    for number, (id, message, _) in enumerate(record.consumed):
        if is_outside(message.sender):
            continue
        sender = actor_of(message.sender)
        if sender == record.before.id:
            if not own.hold(record.before.outbox, id, message):
                return _unsent(number, id, "this actor did not send it before the step")
            continue
        if chains.head(sender) is None:
            continue
        if chains.denies(sender, id, message):
            return _unsent(number, id, f"the history of {message.sender} did not send it")
        sent_in = chains.sending_step(sender, id, message)
        if sent_in is not None and knows_of(reader, sent_in, record):
            reason = f"message {id} was consumed before it was sent: its sender had heard from this step by then"
            return mismatch(ORDER, f"data.consumed[{number}]", str(id), None, reason)
    return None


def check_clock(record: Record, chains: Chains, *, now: int) -> Problem | None:
    """Check the step's time against `now` and against the steps that sent what it consumed, where they are here.

    Clocks differ and are put right, so an honest history can fail this: it is UNVERIFIABLE, not a MISMATCH.
    """
    step = record.step
    if step.time > now + MAX_AHEAD_US:
        reason = "the step says that it was made at a time that is still to come"
        return unverifiable(CLOCK, reason, Difference(path="data.time", recorded=step.time, replayed=now))
    for id, message, _ in record.consumed:
        if is_outside(message.sender) or (sender := actor_of(message.sender)) == record.before.id:
            continue
        sent_in = None if chains.head(sender) is None else chains.sending_step(sender, id, message)
        if sent_in is not None and sent_in.time > step.time:
            reason = f"the step says that it was made before message {id}, which it consumed, was sent"
            return unverifiable(CLOCK, reason, Difference(path="data.time", recorded=step.time, replayed=sent_in.time))
    return None


def knows_of(reader: Reader, other: Step, record: Record) -> bool:
    """True if another actor's step had consumed a message that the recorded step, or a later one, sent: so it comes after it."""
    ours = record.before
    for lane in LANES:
        heard = mailbox_get(reader, other.inbox, mailbox_key(ours.text, lane))
        if heard is not None:
            said = mailbox_get(reader, ours.outbox, mailbox_key(str(other.actor), lane))
            if said is None or heard.seq > said.seq:
                return True
    return False


def _check_chain(record: Record) -> Problem | None:
    step, before = record.step, record.before.step
    checks = [
        ("data.actor", str(step.actor), record.before.text, "the step belongs to another actor than its parent"),
        ("data.height", step.height, record.before.height + 1, "the height is not the parent's and one"),
    ]
    if before is not None:
        checks.append(("data.time", step.time, max(step.time, before.time), "the time is before the parent's"))
        due = earliest(record.before, ring_of(record.consumed[0].message), step.time)
        checks.append(("data.time", step.time, due, "the time is before the one at which the timer is due"))
    for path, recorded, expected, reason in checks:
        if recorded != expected:
            return mismatch(INTEGRITY, path, recorded, expected, reason)
    return None


def _check_journal(record: Record) -> Problem | None:
    for entry in record.journal:
        if lacks_step(entry):
            reason = "only a step can have given this answer, and the journal names none"
            return mismatch(JOURNAL, f"data.journal.{entry.path}", None, None, reason)
    return None


def _check_consumed(reader: Reader, record: Record, *, came_out: bool) -> Problem | None:
    messages = [delivery.message for delivery in record.consumed]
    if len(messages) > 1 and any(goes_alone(message) for message in messages):
        reason = "a genesis, an update or a message from the clock goes alone"
        return mismatch(ORDER, "data.consumed", len(messages), 1, reason)
    if record.before.step is None and not is_genesis(messages[0]):
        return mismatch(ORDER, "data.consumed[0].type", messages[0].type, "genesis", "the first message is no genesis")
    cursors: dict[str, Cursor] = {}
    for number, (id, message, _) in enumerate(record.consumed):
        path = f"data.consumed[{number}]"
        if message.to != record.before.text:
            return mismatch(
                ORDER, f"{path}.to", message.to, record.before.text, "the message was sent to another actor"
            )
        key = sender_key(message)
        cursor = cursors.get(key) or mailbox_get(reader, record.before.inbox, key)
        judgement = judge(id, message, cursor)
        if judgement is not Judgement.NEXT:
            return _out_of_order(path, Delivery(id, message), cursor, judgement)
        cursors[key] = Cursor(message.seq, id)
    return None if came_out else _check_mailbox(reader, "inbox", record.before.inbox, cursors, record.step.inbox)


def _out_of_order(path: str, delivery: Delivery, cursor: Cursor | None, judgement: Judgement) -> Problem:
    seq, last = (0, None) if cursor is None else cursor
    what = {
        Judgement.DUPLICATE: "it was consumed before",
        Judgement.EARLY: "messages between the last one and this one were left out",
        Judgement.EVIDENCE: "it does not follow the last one",
    }[judgement]
    message = delivery.message
    reason = f"message {message.seq} from {message.sender} was consumed after number {seq}: {what}"
    expected = [seq + 1, None if last is None else str(Id(last))]
    return mismatch(ORDER, path, [message.seq, message.previous], expected, reason)


def _check_sent(reader: Reader, record: Record) -> Problem | None:
    cursors: dict[str, Cursor] = {}
    for number, (id, message, _) in enumerate(record.sent):
        key = mailbox_key(message.to, message.lane)
        cursor = cursors.get(key) or mailbox_get(reader, record.before.outbox, key)
        checks = [
            ("from", message.sender, record.before.text),
            ("after", message.after, record.before.head_text),
            ("seq", message.seq, 1 if cursor is None else cursor.seq + 1),
            ("previous", message.previous, None if cursor is None else str(Id(cursor.message))),
        ]
        for name, recorded, expected in checks:
            if recorded != expected:
                reason = "a sent message does not follow the one before it to the same recipient"
                return mismatch(ORDER, f"data.sent[{number}].{name}", recorded, expected, reason)
        cursors[key] = Cursor(message.seq, id)
    return _check_mailbox(reader, "outbox", record.before.outbox, cursors, record.step.outbox)


def _check_mailbox(
    reader: Reader, name: str, before: Mailbox, cursors: dict[str, Cursor], after: Mailbox
) -> Problem | None:
    expected = mailbox_set(Staging(reader), before, cursors) if cursors else before
    if mailbox_node(expected) == mailbox_node(after):
        return None
    for key, cursor in cursors.items():
        found = mailbox_get(reader, after, key)
        if found != cursor:
            reason = f"the {name} names another message"
            return mismatch(ORDER, f"data.{name}.{key}", _shown(found), _shown(cursor), reason)
    return mismatch(ORDER, f"data.{name}", None, None, f"the {name} does not follow from the messages")


def _unsent(number: int, id: MessageId, reason: str) -> Problem:
    return Problem(
        verdict=MISMATCH,
        cause=UNSENT,
        path=f"data.consumed[{number}]",
        recorded=str(Id(id)),
        reason=f"message {id} was consumed, but {reason}",
    )


def _check_objects(record: Record, closure: Closure) -> None:
    step, before, owner = record.step, record.before, record.id
    # Who was born of something else than a tree never lives: all steps of such an actor are refused.
    core = TREE if step.outcome is None else ANY
    closure.check(step.core, core, old=before.core if before.step is not None else None, owner=owner)
    for mailbox, old in ((step.inbox, before.inbox), (step.outbox, before.outbox)):
        if isinstance(mailbox, bytes):
            closure.check(mailbox, MAILBOX, old=old if isinstance(old, bytes) else None, owner=owner)
    # The messages themselves were read with the record.
    for id, message, _ in (*record.consumed, *record.sent):
        closure.check(message.content, owner=id)
    first = step.actor if before.step is None else None
    for link, kind in ((first, core), (step.journal, JOURNAL_KIND), (step.log, BLOB)):
        if link is not None:
            closure.check(link, kind, owner=owner)


def _shown(cursor: Cursor | None) -> JSON:
    return None if cursor is None else [cursor.seq, str(Id(cursor.message))]
