"""What a replay of a step says about its record: that it agrees, what is different, or what else may be the cause.

The law: what came out otherwise is a MISMATCH, unless the record itself says that another source, engine or interpreter
made it than the one that is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from understudy.kernel.compare import Difference, first_difference
from understudy.kernel.replay import Record, engine_interpreter, engine_name, engine_rules, engine_source
from understudy.kernel.seal import Sealed
from understudy.kernel.verdict import ENGINE, JOURNAL, OUTPUT, SOURCE, UNVERIFIABLE, Problem, mismatch, unverifiable
from understudy.objects.mailbox import UPDATE
from understudy.objects.step import FAILED, Step
from understudy.store.reader import Reader

_NO_SOURCE: Final = "none"
_CONFIGURED: Final = "wasm"  # the engine whose text names a configuration
_BY_CONFIGURATION: Final = ("BadComponent", "WrongWorld")  # what a component is depends on the engine's configuration


def judge_replay(
    reader: Reader,
    record: Record,
    sealed: Sealed,
    *,
    engine: str,
    call: Difference | None = None,
    stuck: bool = False,
) -> Problem | None:
    """Compare a step with its replay, whose own engine text was `engine`. `reader` also sees what the replay made.

    `call` is the first call that the replay made and the journal does not hold so; `stuck` says that the replay was
    given up, because the code waited for something that never comes.
    """
    unknown = _unknown_source(record.step.engine, engine)
    if unknown is not None:
        return unknown
    # Other calls are a difference also where the ids are equal: no record shows a call that got no answer.
    difference = first_difference(reader, record, sealed) or call
    if difference is None:
        return _given_up(record.step) if stuck else None
    excuse = _other_code_here(record, engine) or _other_engine_here(record, engine)
    if excuse is not None:
        cause, reason = excuse
        return unverifiable(cause, reason, difference)
    if call is not None:
        return mismatch(
            JOURNAL, call.path, call.recorded, call.replayed, "the code makes other calls than are recorded"
        )
    return mismatch(
        OUTPUT,
        difference.path,
        difference.recorded,
        difference.replayed,
        "the code gives something else than what is recorded",
    )


def _unknown_source(recorded: str, engine: str) -> Problem | None:
    """That it is not known to be the same external code, whatever came out of it: engine texts of a step and of its replay."""
    digest, here = engine_source(recorded), engine_source(engine)
    if digest != here and (digest is not None or engine_name(recorded) == engine_name(engine)):
        where = "is not here" if here is None else f"is another one here (sha256 {here})"
        reason = f"the step ran external code with the source sha256 {digest}, which {where}"
        if digest is None:
            reason = f"the step does not say which external code it ran (sha256 {here} is here)"
    elif digest == _NO_SOURCE:
        # That neither side knows its source does not make it the same code.
        reason = "the step ran external code whose source was not known where it was made"
    else:
        return None
    return unverifiable(SOURCE, reason, Difference(path="data.engine", recorded=recorded, replayed=engine))


def _other_code_here(record: Record, engine: str) -> tuple[str, str] | None:
    """Cause and reason if a step that differs failed where its external code may not have been there."""
    if engine_source(engine) is None or not _failed_to_load(record):
        return None
    return (
        SOURCE,
        "the step ran external code whose source is not known, and the code that is here gives something else",
    )


def _other_engine_here(record: Record, engine: str) -> tuple[str, str] | None:
    """Cause and reason if a step that differs was made by an engine that may have given something else than the one here."""
    recorded = record.step.engine
    if engine_name(recorded) == engine_name(engine):
        reason = _other_rules(record, engine) or _other_interpreter(recorded, engine)
    elif engine_name(recorded) == "kernel" and _refused_by_configuration(record):
        reason = f"an engine that did not say its configuration refused the code, and {engine_rules(engine)} takes it"
    elif _lacked_engine(record):
        reason = "the node that made the step had no such engine"
    else:
        return None
    return None if reason is None else (ENGINE, reason)


def _other_rules(record: Record, engine: str) -> str | None:
    recorded = record.step.engine
    if engine_rules(recorded) == engine_rules(engine):
        return None
    # Earlier configurations of components that are run here gave the same results; one may have refused what is taken now.
    if engine_name(recorded) == _CONFIGURED and not _refused_by_configuration(record):
        return None
    return f"the step was made by {engine_rules(recorded)}; {engine_rules(engine)} is here and gives something else"


def _other_interpreter(recorded: str, engine: str) -> str | None:
    ran, runs = engine_interpreter(recorded), engine_interpreter(engine)
    if not ran or ran == runs:
        return None
    return (
        f"the step was made by {_interpreter(ran)}; {_interpreter(runs)} is here, where code and libraries "
        "may give something else, and this step does"
    )


def _refused_by_configuration(record: Record) -> bool:
    """True if the step says that its code could not be loaded, which another configuration of the engine may do.

    Not where the step before ran that very code.
    """
    step, before = record.step, record.before.step
    if step.outcome is None or step.outcome.code not in _BY_CONFIGURATION:
        return False
    ran = before is not None and before.outcome is None and engine_name(before.engine) != "kernel"
    return not ran or record.consumed[0].message.lane == UPDATE


def _given_up(step: Step) -> Problem:
    """A step that is recorded to have failed as the replay did would agree with every replay that is given up."""
    reason = "the replay waits for something that never comes: what the step got instead is not in its journal"
    code = None if step.outcome is None else step.outcome.code
    return Problem(verdict=UNVERIFIABLE, cause=JOURNAL, path="data.outcome.code", recorded=code, reason=reason)


def _failed_to_load(record: Record) -> bool:
    """True for a step that failed before an engine ran: where it was made, external code may not have been there."""
    step = record.step
    return engine_name(step.engine) == "kernel" and step.outcome is not None and step.outcome.kind == FAILED


def _lacked_engine(record: Record) -> bool:
    return _failed_to_load(record) and record.step.outcome is not None and record.step.outcome.code == "UnknownRuntime"


def _interpreter(parts: Mapping[str, str]) -> str:
    return "an interpreter with " + ", ".join(f"{key} {value}" for key, value in parts.items())
