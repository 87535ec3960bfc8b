"""What became of a flow that is over. Nothing of it is left in the core, so it is found in the history."""

from __future__ import annotations

from msgspec import Struct

from understudy.kernel.retry import FOLDER as RETRIED
from understudy.node.errors import NotFound
from understudy.node.looking.lookup import Lookup
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ActorId, MessageId, StepId, parse
from understudy.objects.message import Message
from understudy.objects.step import Outcome, Step
from understudy.store.errors import Missing
from understudy.store.reader import Reader
from understudy.wit.flows.overview import has_flow


class FlowEnd(Struct, frozen=True, kw_only=True):
    """The end of a flow: the step, its outcome (None: ok), and what who began the flow was answered there, if anything.

    `began` and `ended` are the times of the first and the last step.
    """

    begin: Message
    began: int
    ended: int
    step: StepId
    outcome: Outcome | None
    answer: Message | None


def find_flow_end(lookup: Lookup, reader: Reader, actor: ActorId, flow: MessageId) -> FlowEnd:
    """The end of a flow that is not under way any more. Reads some steps for each doubling of the history.

    A message that began no flow is told what its own step answered. Raises NotFound.
    """
    message = _read_message(reader, flow)
    first = lookup.step_of(actor, message) if message is not None and message.to == str(actor) else None
    if message is None or first is None:
        raise NotFound(f"no flow {flow} is under way, and no step of the actor took such a message")
    first = _retry_of(lookup, reader, actor, first) or first
    began = reader.step(first)
    id = _last_step(lookup, reader, actor, began, str(flow)) or first
    step = reader.step(id)
    return FlowEnd(
        begin=message,
        began=began.time,
        ended=step.time,
        step=id,
        outcome=step.outcome,
        answer=_answer(reader, step, message.sender, str(flow)),
    )


def _retry_of(lookup: Lookup, reader: Reader, actor: ActorId, step: StepId) -> StepId | None:
    """The step in which a failed one was retried with success; None without one."""
    core = reader.step(lookup.newest(actor)).core
    note = reader.find(core, f"{RETRIED}/{step}")
    if note is None or reader.step(step).outcome is None:
        return None
    try:
        return lookup.step_of(actor, reader.message(MessageId(parse(reader.blob(note).decode()))))
    except (ObjectError, Missing, UnicodeDecodeError):
        # A file of the author's with such a name.
        return None


def _last_step(lookup: Lookup, reader: Reader, actor: ActorId, began: Step, flow: str) -> StepId | None:
    """The first step after which the flow is not there any more: a binary search. None if it did not outlast its first."""
    if not has_flow(reader, began.core, flow):
        return None
    low, high = began.height, reader.step(lookup.newest(actor)).height
    while high - low > 1:
        middle = (low + high) // 2
        step = lookup.step_at(actor, middle)
        if step is not None and has_flow(reader, reader.step(step).core, flow):
            low = middle
        else:
            high = middle
    return lookup.step_at(actor, high)


def _answer(reader: Reader, step: Step, to: str, flow: str) -> Message | None:
    sent = (reader.message(message) for message in step.sent)
    return next((message for message in sent if message.re == flow and message.to == to), None)


def _read_message(reader: Reader, id: MessageId) -> Message | None:
    try:
        return reader.message(id)
    except (Missing, WrongKind):
        return None
