"""Flows in JSON, for routes and commands: those under way, and what became of one that is over."""

from __future__ import annotations

from typing import Any, Final

from understudy.node.looking.flow_ends import FlowEnd
from understudy.store.reader import Reader
from understudy.web.content import content_view
from understudy.web.history import time_text
from understudy.wit.flows.overview import FlowView

UNDER_WAY: Final = "under way"
STALLED: Final = "stalled"
OVER: Final = "over"
MAX_WAITS: Final = 100  # that are spelt out of one flow, which may wait for thousands of things; all are counted


def flow_view(flow: FlowView) -> dict[str, Any]:
    """A flow that is under way, or stands still."""
    waits = [
        {"what": one.what, "at": one.at, "since": time_text(one.since), "due": _maybe(one.due), "lost": one.is_lost}
        for one in flow.waits[:MAX_WAITS]
    ]
    return {
        "id": flow.id,
        "state": UNDER_WAY if flow.stopped is None else STALLED,
        "type": flow.type,
        "sender": flow.sender,
        "begun": time_text(flow.begun),
        "asked": flow.asked,
        "waits": waits,
        "waiting": len(flow.waits),
        "stopped": flow.stopped,
        "cancelled": flow.cancelled,
    }


def flow_end_view(reader: Reader, id: str, end: FlowEnd) -> dict[str, Any]:
    """One that is over."""
    answer = end.answer
    outcome = end.outcome
    return {
        "id": id,
        "state": OVER,
        "type": end.begin.type,
        "sender": end.begin.sender,
        "begun": time_text(end.began),
        "ended": time_text(end.ended),
        "step": str(end.step),
        "outcome": "ok" if outcome is None else outcome.kind,
        "error": None if outcome is None else {"code": outcome.code, "text": outcome.text},
        "answer": None if answer is None else {"type": answer.type, "content": content_view(reader, answer.content)},
    }


def _maybe(time: int | None) -> str | None:
    return None if time is None else time_text(time)
