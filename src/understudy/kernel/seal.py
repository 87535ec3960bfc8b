"""One step, second half: what the engine returned becomes a step and the unit that makes it durable.

The law: a step that is not ok leaves the core as it was, but for a timer that rang, and sends nothing but word of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from understudy.actors.addressing import place
from understudy.actors.contract import Delivery, Outgoing, StepResult
from understudy.actors.errors import WitError
from understudy.kernel.actor import Actor
from understudy.kernel.advance import Plan
from understudy.kernel.core import check_next_core
from understudy.kernel.deliver import sender_key
from understudy.kernel.log import log_text
from understudy.kernel.retry import note_retry
from understudy.kernel.timers import without_timer
from understudy.objects import ids
from understudy.objects.codec import Block
from understudy.objects.errors import ObjectError, TooLarge
from understudy.objects.ids import Id, MessageId, StepId, TreeId
from understudy.objects.journal import MAX_ENTRIES, CallError, Entry, journal_block
from understudy.objects.mailbox import UPDATE, Cursor, mailbox_key
from understudy.objects.message import ERROR, Message, message_block
from understudy.objects.names import actor_of, is_outside
from understudy.objects.step import CUT, FAILED, MAX_OUTCOME_BYTES, NOOP, REFUSED, Outcome, Step, step_block
from understudy.store.errors import Missing
from understudy.store.keys import head_ref, height_row, waiting_row
from understudy.store.maps import mailbox_get, mailbox_set
from understudy.store.nesting import check_nesting
from understudy.store.port import Move, Row, Unit
from understudy.store.reader import Staging

NO_SUCH_ACTOR: Final = "NoSuchActor"

Known = Callable[[int, Outgoing], bool]


class Unreached(NamedTuple):
    """A message that was not sent, as nobody is there to get it: the id that it would have had, and what it was to be."""

    id: MessageId
    draft: Outgoing


class Sealed(Struct, frozen=True, kw_only=True):
    """A step that is made but not yet durable: the actor after it, what it sent, and the unit to commit.

    `bounced` are the messages in which the node says that requests are among the `unreached`; they are in the unit.
    """

    actor: Actor
    id: StepId
    step: Step
    consumed: Sequence[Delivery]
    sent: Sequence[Delivery]
    unit: Unit
    is_retry: bool = False
    unreached: Sequence[Unreached] = ()
    bounced: Sequence[Delivery] = ()


def seal(plan: Plan, result: StepResult, *, known: Known, is_recordable: bool = False) -> Sealed:
    """Make the step.

    `known(number, outgoing)` says whether somebody is there to get the n-th message that is sent. It is asked only
    where the record does not show it. With `is_recordable` the result comes from `recordable`. What can't be recorded
    ends in a step that is not ok, and never in no step.
    """
    calls = plan.given.calls
    try:
        # The entries first: who seals while another thread still makes calls must not miss the reply of an entry.
        return _seal(plan, result if is_recordable else recordable(plan, result), calls.entries, calls.blocks, known)
    except TooLarge as error:
        # Without its answers no replay can repeat the step.
        outcome = Outcome(CUT, "TooLarge", f"what the step was answered can't be recorded: {error}")
        return _seal(plan, _without_effect(result, outcome), (), (), known)


def recordable(plan: Plan, result: StepResult) -> StepResult:
    """The result, or the failure that it ends in because of its calls, its messages or the core that it leaves behind.

    `seal` looks itself. This is for who has to know before, whether one message of several is to blame.
    """
    if plan.order is not None and plan.retried is not None:
        result = note_retry(plan.given, plan.order, plan.retried, result)
    return _with_valid_core(plan, _with_valid_contents(plan, _within_journal(plan, result)))


def _seal(plan: Plan, result: StepResult, answers: Sequence[Entry], replies: Sequence[Block], known: Known) -> Sealed:
    given, actor = plan.given, plan.actor
    messages = plan.consumed
    outcome = None if result.outcome is None else _bounded(result.outcome)
    # What a failed wit staged is not kept; what the kernel stages from here on is.
    staging = given.store if outcome is None else Staging(given.store.base)
    outgoing = result.sent if outcome is None else _word_of(outcome, messages, staging)
    for block in replies:
        staging.put(block)
    nobody: list[tuple[int, Outgoing]] = []
    sent, outbox_changes = _address(plan, outgoing, staging, known, nobody)
    entries = (*answers, *(_nobody_entry(number, message) for number, message in nobody))
    log = log_text(result.log, [*result.notes, *(_nobody_note(number, message) for number, message in nobody)])
    inbox_changes = {sender_key(delivery.message): Cursor(delivery.message.seq, delivery.id) for delivery in messages}
    step = Step(
        parent=actor.head,
        actor=actor.id,
        height=given.height,
        time=given.time,
        seed=given.seed,
        engine=result.engine,
        core=_unchanged(plan, staging) if outcome is not None else result.core,
        inbox=mailbox_set(staging, actor.inbox, inbox_changes),
        outbox=mailbox_set(staging, actor.outbox, outbox_changes) if outbox_changes else actor.outbox,
        consumed=[delivery.id for delivery in messages],
        sent=[delivery.id for delivery in sent],
        outcome=outcome,
        journal=staging.put(journal_block(entries)) if entries else None,
        log=staging.put_blob(log) if log else None,
        component_hash=result.component_hash,
    )
    step_bytes = step_block(step)
    step_id = StepId(step_bytes.id)
    after = Actor(id=actor.id, text=actor.text, head=step_id, step=step)
    unit = _unit(actor, after, messages, sent, [*staging.new.values(), step_bytes])
    return Sealed(
        actor=after,
        id=step_id,
        step=step,
        consumed=messages,
        sent=sent,
        unit=unit,
        is_retry=plan.retried is not None,
        unreached=_unreached(actor, staging, outgoing, nobody) if nobody else (),
    )


def _unchanged(plan: Plan, staging: Staging) -> TreeId:
    """The core after a step that is not ok. A timer fires once even so."""
    return plan.actor.core if plan.ring is None else without_timer(staging, plan.actor.core, plan.ring)


def _within_journal(plan: Plan, result: StepResult) -> StepResult:
    """The result, or a failure if its journal could have too many entries.

    Decided by what the record shows, not by who is there: a replay can't ask, and must come to the same end.
    """
    answered = len(plan.given.calls.entries)
    if result.outcome is not None or answered + len(result.sent) <= MAX_ENTRIES:
        return result
    strangers = sum(not _is_shown(plan.actor, draft, plan.given.store) for draft in result.sent)
    if answered + strangers <= MAX_ENTRIES:
        return result
    text = (
        f"the step made {answered:,} calls and sent {strangers:,} messages to actors that it had never met: "
        f"together at most {MAX_ENTRIES:,} are allowed"
    )
    return _without_effect(result, Outcome(FAILED, "TooManyCalls", text))


def _with_valid_contents(plan: Plan, result: StepResult) -> StepResult:
    """The result, or a failure if a message that it sends holds what no reader of the history would take."""
    if result.outcome is not None:
        return result
    for draft in result.sent:
        if ids.is_raw(draft.content):
            continue
        try:
            check_nesting(plan.given.store, draft.content)
        except (ObjectError, Missing) as error:
            text = f"the content of a message ({draft.type}) can't be: {error}"
            return _without_effect(result, Outcome(FAILED, "InvalidContent", text))
    return result


def _with_valid_core(plan: Plan, result: StepResult) -> StepResult:
    """The result, or a failure if it leaves a core that no engine can run; an update is refused."""
    if result.outcome is not None:
        return result
    try:
        check_next_core(plan.given.store, plan.given.core, result.core)
    except WitError as error:
        kind = REFUSED if plan.given.messages[0].message.lane == UPDATE else FAILED
        return _without_effect(result, Outcome(kind, error.code, f"the step would leave an invalid core: {error.text}"))
    return result


def _without_effect(result: StepResult, outcome: Outcome) -> StepResult:
    return msgspec.structs.replace(result, sent=(), notes=(), outcome=outcome)


def _bounded(outcome: Outcome) -> Outcome:
    text = outcome.text.encode("utf-8", "replace")
    if len(text) <= MAX_OUTCOME_BYTES:
        return Outcome(outcome.kind, outcome.code, text.decode())
    return Outcome(outcome.kind, outcome.code, text[: MAX_OUTCOME_BYTES - 3].decode("utf-8", "ignore") + "…")


def _word_of(outcome: Outcome, messages: Sequence[Delivery], staging: Staging) -> list[Outgoing]:
    """What the sender hears of a message that failed, if it is an actor. Nothing answers an error."""
    message_id, message, _ = messages[0]
    if outcome.kind == NOOP or message.type == ERROR or is_outside(message.sender):
        return []
    about = {
        "code": outcome.code,
        "kind": outcome.kind,
        "message": str(message_id),
        "text": outcome.text,
        "type": message.type,
    }
    content = staging.put_blob(msgspec.json.encode(about))
    return [Outgoing(to=message.sender, type=ERROR, content=content, re=str(message_id))]


def _address(
    plan: Plan, outgoing: Sequence[Outgoing], staging: Staging, known: Known, nobody: list[tuple[int, Outgoing]]
) -> tuple[list[Delivery], dict[str, Cursor]]:
    """Give each message its number in its conversation. Those whose recipient does not exist are put into `nobody`."""
    if not outgoing:
        return [], {}
    actor = plan.actor
    outbox = actor.outbox
    changes: dict[str, Cursor] = {}
    placed: list[tuple[MessageId, Message]] = []
    last: dict[str, int] = {}
    reached: set[str] = set()
    after = actor.head_text
    for number, draft in enumerate(outgoing):
        to = draft.to
        key = mailbox_key(to, draft.lane)
        cursor = changes.get(key) or mailbox_get(staging, outbox, key)
        if to not in reached:
            # What was sent to it before, in its queue, shows that it is there: that is most of what is sent.
            is_shown = (cursor is not None and key == to) or _is_shown(actor, draft, staging)
            if not is_shown and not known(number, draft):
                nobody.append((number, draft))
                continue
            reached.add(to)
        message = place(draft, sender=actor.text, last=cursor, after=after)
        id = MessageId(staging.put(message_block(message)))
        changes[key] = Cursor(message.seq, id)
        last[key] = len(placed)
        placed.append((id, message))
    # One row for the last of each conversation: those before it are found along `previous`.
    newest = {number for number in last.values() if not is_outside(placed[number][1].to)}
    return [
        Delivery(id, message, waiting_row_for(message) if number in newest else None)
        for number, (id, message) in enumerate(placed)
    ], changes


def _unreached(
    actor: Actor, staging: Staging, outgoing: Sequence[Outgoing], nobody: Sequence[tuple[int, Outgoing]]
) -> list[Unreached]:
    """The messages to nobody with the ids by which a wit knows them: those of a conversation that they would have begun."""
    numbers, keys = {number for number, _ in nobody}, {mailbox_key(draft.to, draft.lane) for _, draft in nobody}
    last: dict[str, Cursor | None] = {key: mailbox_get(staging, actor.outbox, key) for key in keys}
    found: list[Unreached] = []
    for number, draft in enumerate(outgoing):
        key = mailbox_key(draft.to, draft.lane)
        if key not in keys:
            continue
        message = place(draft, sender=actor.text, last=last[key], after=actor.head_text)
        id = MessageId(message_block(message).id)
        last[key] = Cursor(message.seq, id)
        if number in numbers:
            found.append(Unreached(id, draft))
    return found


def _is_shown(actor: Actor, draft: Outgoing, staging: Staging) -> bool:
    """True if the record shows that the recipient is there: a journal that denies it is a lie."""
    to = draft.to
    if mailbox_get(staging, actor.outbox, to) or mailbox_get(staging, actor.inbox, to):
        return True
    return is_outside(to) or to == actor.text or actor_of(to) == draft.content


def _nobody_entry(number: int, draft: Outgoing) -> Entry:
    request = sha256(f"{draft.to}\n{draft.type}\n{Id(draft.content)}".encode()).hexdigest()
    return Entry(
        path=f"send/{number}", request=request, error=CallError(NO_SUCH_ACTOR, f"there is no actor {draft.to}")
    )


def _nobody_note(number: int, draft: Outgoing) -> str:
    return f" message {number} ({draft.type}) was not sent: there is no actor {draft.to}"


def _unit(
    before: Actor, after: Actor, consumed: Sequence[Delivery], sent: Sequence[Delivery], blocks: Sequence[Block]
) -> Unit:
    assert after.head is not None and after.step is not None
    head, actor = after.head, after.id
    rows = [Row(height_row(actor, after.step.height), head)]
    for delivery in consumed:
        if delivery.row is not None:
            rows.append(Row(delivery.row, None))
    for delivery in sent:
        if delivery.row is not None:
            rows.append(Row(delivery.row, delivery.id))
    return Unit(blocks=blocks, moves=[Move(head_ref(actor), before.head, head)], rows=rows, feed=[head])


def waiting_row_for(message: Message) -> bytes:
    """The row of a message that goes to an actor."""
    return waiting_row(actor_of(message.to), message.lane, message.sender, message.seq)
