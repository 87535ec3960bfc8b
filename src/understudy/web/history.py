"""Actors, chains and steps in JSON, for routes and commands: what was consumed, what was sent, how the step ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from understudy.kernel.log import log_lines
from understudy.kernel.retry import read_order
from understudy.node.looking.look import Look
from understudy.node.looking.lookup import ActorInfo, Pending, Unborn
from understudy.node.looking.stopped_flows import StoppedFlow
from understudy.objects import ids
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.message import Message
from understudy.objects.step import Step
from understudy.objects.views import step_view
from understudy.store.reader import Reader

MAX_CONTENT_BYTES: Final = (
    1024  # of a message's content that is in a summary; 1,000 steps of 64 messages are then 64 MiB
)
MAX_SHOWN: Final = 32  # messages and log lines of one step that are spelt out; all are counted
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def actor_view(info: ActorInfo) -> dict[str, Any]:
    """An actor in JSON."""
    return {
        "id": str(info.id),
        "name": info.name,
        "head": str(info.head),
        "height": info.height,
        "engine": info.engine,
        "status": info.status,
        "reason": info.reason,
    }


def expected_view(about: ActorInfo | Unborn) -> dict[str, Any]:
    """The same, also for an actor that is not born yet."""
    if isinstance(about, ActorInfo):
        return actor_view(about)
    nothing = dict.fromkeys(("head", "height", "engine"))
    return {"id": str(about.id), "name": about.name, **nothing, "status": about.status, "reason": about.reason}


def pending_view(one: Pending) -> dict[str, Any]:
    """A message that waits, in JSON."""
    return {**msgspec.structs.asdict(one), "message": str(one.message)}


def stopped_flow_view(one: StoppedFlow) -> dict[str, Any]:
    """A flow that stands still, in JSON."""
    return {"actor": str(one.actor), "flow": one.flow, "why": one.why}


def chain_view(look: Look, actor: ActorId, *, before: int | None, limit: int) -> dict[str, Any]:
    """A page of a chain in JSON; `next` is the `before` of the next page."""
    head = look.newest(actor)  # read first: the tag of an answer is never newer than the answer
    page = look.steps(actor, before=before, limit=limit)
    entries = [step_view(id, step) for id, step in page.items]
    newest = str(head) if before is not None or not page.items else entries[0]["id"]
    return {"actor": str(actor), "head": newest, "entries": entries, "next": page.next}


def steps_view(look: Look, actor: ActorId, *, before: int | None, limit: int) -> dict[str, Any]:
    """A page of summaries in JSON, newest first; `next` is the `before` of the next page."""
    page = look.steps(actor, before=before, limit=limit)
    steps = [step_summary(look.reader, id, step) for id, step in page.items]
    return {"actor": str(actor), "steps": steps, "next": page.next}


def step_summary(reader: Reader, id: StepId, step: Step) -> dict[str, Any]:
    """The summary of a step as JSON values. Reads its first messages and its log."""
    log = [] if step.log is None else log_lines(reader.blob(step.log))
    return {
        "id": str(id),
        "height": step.height,
        "time": step.time,
        "at": time_text(step.time),
        "engine": step.engine,
        "outcome": "ok" if step.outcome is None else step.outcome.kind,
        **({} if step.outcome is None else {"error": {"code": step.outcome.code, "text": step.outcome.text}}),
        "core": str(step.core),
        "consumed_count": len(step.consumed),
        "consumed": _messages(reader, step.consumed),
        "sent_count": len(step.sent),
        "sent": _messages(reader, step.sent),
        "log_count": len(log),
        "log": log[:MAX_SHOWN],
    }


def time_text(microseconds: int) -> str:
    """A step's time in ISO 8601, UTC."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        # A history from elsewhere may claim a year that no calendar has.
        return f"{microseconds} µs after 1970"


def brief_content(reader: Reader, id: Id) -> Any:
    """A content: small JSON as it is, other small blobs as base64; of a patch its paths; anything else as a link."""
    if not ids.is_raw(id):
        link = {"/": str(id)}
        patch = reader.node(id).get("patch")
        return link if patch is None else {**link, "paths": sorted(patch)[:MAX_SHOWN]}
    data = reader.blob(id)
    if len(data) > MAX_CONTENT_BYTES:
        return {"/": str(id), "size": len(data)}
    try:
        msgspec.json.decode(data)
        # As it is: a number of twenty digits would not survive being read and written again.
        return msgspec.Raw(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"base64": data}


def _retried(reader: Reader, message: Message) -> dict[str, str]:
    """The step that a message orders to retry."""
    order = read_order(reader, message)
    return {} if order is None else {"retries": str(order)}


def _messages(reader: Reader, messages: Sequence[MessageId]) -> list[dict[str, Any]]:
    shown = []
    for id in messages[:MAX_SHOWN]:
        message = reader.message(id)
        shown.append(
            {
                "id": str(id),
                "type": message.type,
                "lane": message.lane,
                "from": message.sender,
                "to": message.to,
                "content": brief_content(reader, message.content),
                **_retried(reader, message),
            }
        )
    return shown
