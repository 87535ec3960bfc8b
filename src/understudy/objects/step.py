"""Steps: the record of one transition, a link in an actor's hash chain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from understudy.objects import ids
from understudy.objects.codec import Block, node_block
from understudy.objects.engine_text import read_engine_text
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.mailbox import Mailbox, mailbox_node, read_mailbox

VERSION: Final = 1
MAX_CONSUMED: Final = 512  # keeps a step's node small and a failing batch cheap to run again one by one
MAX_SENT: Final = 10_000
MAX_OUTCOME_BYTES: Final = 8192
MAX_SEED: Final = 2**53 - 1  # so that every JSON reader sees the number as it is

FAILED: Final = "failed"
REFUSED: Final = "refused"
NOOP: Final = "noop"
CUT: Final = "cut"
_KINDS: Final = (FAILED, REFUSED, NOOP, CUT)
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Outcome(Struct, frozen=True):
    """How a step ended when it was not ok: its kind, the reason in a word, and for a person."""

    kind: str
    code: str
    text: str


class Step(Struct, frozen=True, kw_only=True):
    """One step. `time` in microseconds since 1970; `outcome` None means ok."""

    parent: StepId | None
    actor: ActorId
    height: int
    time: int
    seed: int
    engine: str
    core: TreeId
    inbox: Mailbox
    outbox: Mailbox
    consumed: Sequence[MessageId]
    sent: Sequence[MessageId]
    outcome: Outcome | None = None
    journal: Id | None = None
    log: Id | None = None
    component_hash: str | None = None


def step_node(step: Step) -> dict[str, Any]:
    """The node of a step; optional fields that are empty are absent."""
    data: dict[str, Any] = {
        "v": VERSION,
        "actor": step.actor,
        "height": step.height,
        "time": step.time,
        "seed": step.seed,
        "engine": step.engine,
        "core": step.core,
        "inbox": mailbox_node(step.inbox),
        "outbox": mailbox_node(step.outbox),
        "consumed": list(step.consumed),
        "sent": list(step.sent),
    }
    if step.outcome is not None:
        data["outcome"] = {"kind": step.outcome.kind, "code": step.outcome.code, "text": step.outcome.text}
    if step.journal is not None:
        data["journal"] = step.journal
    if step.log is not None:
        data["log"] = step.log
    if step.component_hash is not None:
        data["component-hash"] = step.component_hash
    return {"parent": step.parent, "data": data}


def step_block(step: Step) -> Block:
    """Encode a step."""
    return node_block(step_node(step))


def read_step(node: Any) -> Step:
    """A step out of its node, every rule of the format checked. Raises WrongKind."""
    try:
        step = _read(node["parent"], node["data"])
        problem = step_problem(step)
    except (KeyError, TypeError, AttributeError, ObjectError) as error:
        raise WrongKind(f"not a step: {error!r}") from error
    if problem is None and step_node(step) != node:
        problem = "a field is unknown, empty or of another version"
    if problem is not None:
        raise WrongKind(f"not a step: {problem}")
    return step


def step_problem(step: Step) -> str | None:
    """Which rule of the format the values of a step break, None if none. Raises WrongKind for its engine text."""
    if any(type(number) is not int for number in (step.height, step.time, step.seed)):
        return "height, time and seed are integers"
    if (step.parent is None) != (step.height == 0) or step.height < 0:
        return "the height is 0 exactly when there is no parent"
    if step.time < 0 or not 0 <= step.seed <= MAX_SEED:
        return "time or seed out of range"
    read_engine_text(step.engine)
    if not 1 <= len(step.consumed) <= MAX_CONSUMED or len(step.sent) > MAX_SENT:
        return f"1 to {MAX_CONSUMED} consumed and at most {MAX_SENT} sent messages are allowed"
    if step.outcome is not None and not _is_outcome(step.outcome):
        return "the outcome is kind, code and text"
    if step.component_hash is not None and not (
        isinstance(step.component_hash, str) and _HEX.match(step.component_hash)
    ):
        return "component-hash is 64 hexadecimal digits"
    return None


def _read(parent: Any, data: Any) -> Step:
    outcome, journal, log = data.get("outcome"), data.get("journal"), data.get("log")
    return Step(
        parent=None if parent is None else StepId(ids.node_from_bytes(parent)),
        actor=ActorId(TreeId(ids.node_from_bytes(data["actor"]))),
        height=data["height"],
        time=data["time"],
        seed=data["seed"],
        engine=data["engine"],
        core=TreeId(ids.node_from_bytes(data["core"])),
        inbox=read_mailbox(data["inbox"]),
        outbox=read_mailbox(data["outbox"]),
        consumed=tuple(MessageId(ids.node_from_bytes(id)) for id in data["consumed"]),
        sent=tuple(MessageId(ids.node_from_bytes(id)) for id in data["sent"]),
        outcome=None if outcome is None else Outcome(outcome["kind"], outcome["code"], outcome["text"]),
        journal=None if journal is None else ids.node_from_bytes(journal),
        log=None if log is None else ids.from_bytes(log),
        component_hash=data.get("component-hash"),
    )


def _is_outcome(outcome: Outcome) -> bool:
    if outcome.kind not in _KINDS or not isinstance(outcome.code, str) or not isinstance(outcome.text, str):
        return False
    return bool(outcome.code) and len(outcome.text.encode()) <= MAX_OUTCOME_BYTES
