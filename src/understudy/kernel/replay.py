"""Replay: one step made again from its record, without the world.

The law: the same record and the same code give the same step id. In two halves around the engine, like a step itself:
`prepare_replay`, run the plan's program, `finish_replay`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.calls import Calls
from understudy.actors.contract import Delivery, Engine, Outgoing, StepResult
from understudy.kernel.actor import Actor, actor_at, unborn
from understudy.kernel.advance import KERNEL_ENGINE, Plan, prepare
from understudy.kernel.core import Engines
from understudy.kernel.retries import exhausted
from understudy.kernel.seal import NO_SUCH_ACTOR, Sealed, seal
from understudy.objects.ids import MessageId, StepId
from understudy.objects.journal import Entry
from understudy.objects.step import Outcome, Step
from understudy.store.reader import Reader, Staging

_NOBODY_PATH = "send/"
_SOURCE = "source="
_ROOM = "room="
_KNOWN_TEXTS: Final = (
    1024  # engine texts whose parts are remembered: a history has a few, and each step asks five times
)
_INTERPRETER = ("optimize=", "python=")  # what runs the code, where the text says so


class Record(Struct, frozen=True, kw_only=True):
    """A step as it was recorded: the actor before it, the messages it took and gave, and what the world answered."""

    id: StepId
    step: Step
    before: Actor
    consumed: Sequence[Delivery]
    sent: Sequence[Delivery]
    journal: Sequence[Entry]

    @property
    def after(self) -> Actor:
        """The actor after the step."""
        return Actor(id=self.before.id, text=self.before.text, head=self.id, step=self.step)

    @property
    def answers(self) -> Sequence[Entry]:
        """The journal's entries of calls, in the order of completion."""
        return [entry for entry in self.journal if not _is_nobody(entry)]


def read_record(reader: Reader, id: StepId, *, step: Step | None = None, before: Actor | None = None) -> Record:
    """The record of a step; `step` and `before` save reading it and its parent. Raises Missing, Corrupt, WrongKind."""
    if step is None:
        step = reader.step(id)
    if before is None:
        before = unborn(step.actor) if step.parent is None else actor_at(reader, step.parent)
    return Record(
        id=id,
        step=step,
        before=before,
        consumed=_deliveries(reader, step.consumed),
        sent=_deliveries(reader, step.sent),
        journal=() if step.journal is None else reader.journal(step.journal),
    )


def prepare_replay(
    record: Record,
    *,
    staging: Staging,
    calls: Calls,
    engines: Engines | Mapping[str, Engine],
    owner: Callable[[], str],
) -> Plan:
    """Plan the step again, with time and seed as recorded. Raises StoreError."""
    return prepare(
        record.before,
        record.consumed,
        time=record.step.time,
        seed=record.step.seed,
        staging=staging,
        calls=calls,
        engines=engines,
        owner=owner,
        abi=engine_rules(record.step.engine),
    )


def finish_replay(record: Record, plan: Plan, result: StepResult) -> Sealed:
    """Make the step again out of what the engine returned; it has the record's id exactly if all came out the same."""
    if plan.program is None and record.step.engine == KERNEL_ENGINE:
        # Versions before this one gave the kernel's text also to steps whose code an engine refused to load.
        result = msgspec.structs.replace(result, engine=KERNEL_ENGINE)
    nobody = {entry.path for entry in record.journal if _is_nobody(entry)}

    def known(number: int, _: Outgoing) -> bool:
        return f"{_NOBODY_PATH}{number}" not in nobody

    return seal(plan, as_recorded(result, record.step), known=known)


def cut_again(record: Record) -> StepResult:
    """The result of a step that the host cut: nothing runs, and the outcome is taken as recorded."""
    step = record.step
    return StepResult(
        engine=step.engine, core=record.before.core, outcome=step.outcome, component_hash=step.component_hash
    )


def as_recorded(result: StepResult, step: Step) -> StepResult:
    """The result with what a replay takes from the record: the engine text, and the text of the outcome."""
    if result.retry is not None:
        result = exhausted(result)
    return StepResult(
        engine=step.engine if engine_name(result.engine) == engine_name(step.engine) else result.engine,
        core=result.core,
        sent=result.sent,
        log=result.log,
        outcome=_outcome_as_recorded(result.outcome, step.outcome),
        notes=result.notes,
        component_hash=result.component_hash,
    )


def engine_name(engine: str) -> str:
    """`python` of `python/1;source=…`."""
    return engine.partition("/")[0]


@lru_cache(maxsize=_KNOWN_TEXTS)
def engine_rules(engine: str) -> str:
    """What results depend on besides the code: `python/1` of `python/1;source=…`, all of `wasm/1;config=…`."""
    return ";".join(part for part in engine.split(";") if not part.startswith((_SOURCE, _ROOM, *_INTERPRETER)))


@lru_cache(maxsize=_KNOWN_TEXTS)
def engine_interpreter(engine: str) -> Mapping[str, str]:
    """What an engine text says of the interpreter that ran the code; nothing if it is silent, as it was in the beginning.

    `python` is its version. `optimize` is the level of `python -O`, absent for none.
    """
    parts = [part.partition("=") for part in engine.split(";")[1:] if part.startswith(_INTERPRETER)]
    return {key: value for key, _, value in parts}


@lru_cache(maxsize=_KNOWN_TEXTS)
def engine_keeps_room(engine: str) -> bool:
    """True if an engine text says how deep the code could call: then that is the same in a replay."""
    return any(part.startswith(_ROOM) for part in engine.split(";")[1:])


@lru_cache(maxsize=_KNOWN_TEXTS)
def engine_source(engine: str) -> str | None:
    """The digest of the source of external code in an engine text; None if no such code ran."""
    for part in engine.split(";")[1:]:
        if part.startswith(_SOURCE):
            return part.removeprefix(_SOURCE)
    return None


def _outcome_as_recorded(outcome: Outcome | None, recorded: Outcome | None) -> Outcome | None:
    if outcome is None or recorded is None or (outcome.kind, outcome.code) != (recorded.kind, recorded.code):
        return outcome
    return recorded


def _deliveries(reader: Reader, ids: Sequence[MessageId]) -> list[Delivery]:
    return [Delivery(id, reader.message(id)) for id in ids]


def _is_nobody(entry: Entry) -> bool:
    return entry.path.startswith(_NOBODY_PATH) and entry.error is not None and entry.error.code == NO_SUCH_ACTOR
