"""Retry: the messages of a step that failed, run again by an order that stands in the chain.

An order is a message of the update lane whose content is not a patch but a blob: the failed step's id as text. The step
that consumes it gives the wit the messages of that step, with the code and the state of today.

The law: what failed can be retried until a retry succeeds, and then never again. The core says so at `/retried/STEP`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from understudy.actors.contract import Delivery, StepInput, StepResult
from understudy.actors.errors import WitError
from understudy.objects import ids
from understudy.objects.errors import BadId, ObjectError
from understudy.objects.ids import Id, StepId, TreeId
from understudy.objects.mailbox import UPDATE
from understudy.objects.message import Message
from understudy.objects.step import FAILED, NOOP, Outcome, Step
from understudy.store.errors import Missing
from understudy.store.maps import patch_tree
from understudy.store.reader import Reader, Staging

FOLDER: Final = "retried"
# Steps back from the newest one. A judge walks them one by one; an older message had better be sent again.
MAX_STEPS_BACK: Final = 65_536


def read_order(reader: Reader, message: Message) -> StepId | None:
    """The step that a message orders to retry, None if it is no such order. Raises Missing."""
    if message.lane != UPDATE or not ids.is_raw(message.content):
        return None
    data = reader.block(message.content)
    if len(data) != ids.TEXT_LENGTH:
        return None
    try:
        return StepId(ids.node_from_bytes(ids.parse(data.decode("ascii"))))
    except (BadId, UnicodeDecodeError):
        return None


def messages_to_retry(reader: Reader, given: StepInput, order: StepId) -> list[Delivery]:
    """The messages of the step that is to be retried. Raises WitError that says why it can't be."""
    messages = check_retryable(reader, order, _find(reader, given, order))
    check_not_retried(reader, order, given.core)
    return messages


def check_not_retried(reader: Reader, order: StepId, core: TreeId) -> None:
    """Raise WitError("AlreadyRetried") if the core says that a retry of the step went well."""
    if reader.find(core, f"{FOLDER}/{order}") is not None:
        raise WitError("AlreadyRetried", f"the step {order} was retried before, and that went well")


def check_retryable(reader: Reader, order: StepId, step: Step) -> list[Delivery]:
    """The messages of a step that failed. Raises WitError("NothingToRetry") for a step that can never be retried."""
    if step.outcome is None or step.outcome.kind == NOOP:
        raise WitError("NothingToRetry", f"the step {order} went well: there is nothing to retry")
    if step.height == 0:
        text = "is the birth of this actor, which happens once: push an update, or create another actor"
        raise WitError("NothingToRetry", f"the step {order} {text}")
    messages = [Delivery(id, reader.message(id)) for id in step.consumed]
    first = messages[0].message
    if first.lane == UPDATE:
        before = read_order(reader, first)
        what = "was an update: send it again" if before is None else f"was a retry of {before}: retry that one again"
        raise WitError("NothingToRetry", f"the step {order} {what}")
    return messages


def note_retry(given: StepInput, order: Delivery, retried: StepId, result: StepResult) -> StepResult:
    """The result of a retry, with the note in its core that the step was retried; or the failure that it ends in."""
    if result.outcome is not None or result.retry is not None:
        return result
    try:
        return msgspec.structs.replace(result, core=_noted(given.store, result.core, order, retried))
    except (ObjectError, Missing) as error:
        text = f"the step leaves a core in which /{FOLDER} can't say that it was retried: {error}"
        return msgspec.structs.replace(result, sent=(), notes=(), outcome=Outcome(FAILED, "InvalidCore", text))


def _noted(store: Staging, core: TreeId, order: Delivery, retried: StepId) -> TreeId:
    return patch_tree(store, core, {f"{FOLDER}/{retried}": store.put_blob(str(order.id).encode())})


def _find(reader: Reader, given: StepInput, order: StepId) -> Step:
    """The step, if it is in the history that the step in hand goes on. Raises Missing where that can't be told."""
    wrong = WitError(
        "NotThatStep", f"{order} is none of the newest {MAX_STEPS_BACK:,} steps of this actor, so it can't be retried"
    )
    at: Id | None = given.parent
    for _ in range(_steps_back(reader, given, order) - 1):
        if at is None or at == order:
            break
        at = reader.step(at).parent
    if at != order:
        raise wrong
    return reader.step(order)


def _steps_back(reader: Reader, given: StepInput, order: StepId) -> int:
    """How far back to look. What the step says of itself spares looking further, and decides nothing."""
    try:
        step = reader.step(order)
    except (Missing, ObjectError):
        return MAX_STEPS_BACK
    return min(given.height - step.height, MAX_STEPS_BACK) if step.actor == given.actor else 1
