"""The replayer: says what is wrong with recorded steps, many at a glance or one thoroughly."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from understudy.actors.contract import Program
from understudy.actors.errors import HostFailed, WitError
from understudy.engines.python.engine import NAME as PYTHON
from understudy.engines.wasm.settings import KNOWN_TEXTS
from understudy.judging.components import Components
from understudy.judging.explainer import Explainer
from understudy.judging.neighbours import Before, Neighbours
from understudy.judging.performed import refused_reason, shut_reason
from understudy.judging.performer_process import PerformerLost
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.replays import Engines, Owner, Planned, Replay, Replays
from understudy.judging.stage import Stage, Work, perform
from understudy.kernel.advance import KERNEL_ENGINE
from understudy.kernel.replay import (
    Record,
    cut_again,
    engine_keeps_room,
    engine_name,
    engine_rules,
    finish_replay,
    prepare_replay,
)
from understudy.kernel.verdict import (
    CUT,
    ENGINE,
    HOST,
    JOURNAL,
    MISMATCH,
    OUTPUT,
    THREADS,
    UNVERIFIABLE,
    WORLD,
    Problem,
)
from understudy.objects import step as steps
from understudy.objects.errors import ObjectError
from understudy.objects.ids import StepId
from understudy.objects.step import step_node
from understudy.store.errors import StoreError
from understudy.store.reader import Reader, Staging
from understudy.wit.abi import PYTHON_1, PYTHON_2

MAX_TIMERS_FIRST: Final = 8  # timers of a wit that may have gone off before each answer that it got

OTHER_ROOMS: Final = (32, -32)  # frames: a node and a replay differ by some ten

# Engine texts, without the digest of external code, under which results are the same as here.
_CAN_RUN: Final = frozenset({KERNEL_ENGINE, PYTHON_1.name, PYTHON_2.name, *KNOWN_TEXTS})

Say = Callable[[int], None]


class Replayer:
    """Replays steps: Python code on a stage, and components here.

    `components` is the folder with compiled components; `tell` hears every second that one is being compiled. `before`
    names steps of other actors that were made before a step, if it is known which.
    """

    def __init__(
        self,
        reader: Reader,
        stage: Stage,
        components: Path | None = None,
        tell: Callable[[str], None] = lambda text: None,
        before: Before = lambda step: (),
    ) -> None:
        self.requests: Mapping[str, bytes] = {}  # the calls of the step that was judged last, by their path
        self._reader = reader
        self._stage = stage
        others: Engines = {"wasm": Components(components, tell)}
        self._fresh: Engines = {**others, PYTHON: stage.fresh()}
        self._screening: Engines = {**others, PYTHON: stage.screening()}
        self._replays = Replays(reader, stage)
        neighbours = Neighbours(reader, stage, self._replays, others, before)
        self._explainer = Explainer(reader, stage, self._replays, others, neighbours)

    def begin(self, history: Hashable = None) -> None:
        """A span of a history comes, or, without one, a step that nothing may have run before."""
        self._stage.begin(history)

    @property
    def engines(self) -> Engines:
        """Engines that load all code anew."""
        return self._fresh

    def screen(self, records: Sequence[Record], owner: Owner, say: Say, *, anew: bool = False) -> Screening:
        """See which steps come out as recorded in modules that are kept from one to the next. Give them from the top down.

        With `anew`, each step has new modules. `say` is told the height of each step that is made here.
        """
        known = [record for record in records if self._foreign(record) is None and not _is_cut(record)]
        return Screening(self._replays, self._stage, self._fresh if anew else self._screening, known, owner, say)

    def judge(self, record: Record, owner: Owner, say: Callable[[], None] = lambda: None) -> Problem | None:
        """Replay a step where nothing ran before, and say what is wrong with it. Raises StoreError.

        `owner` gives the sender of the genesis; `say` is called before each time that the step is made again.
        """
        self.requests = {}
        self.begin()
        if _is_cut(record):
            return self._judge_cut(record, owner)
        if (foreign := self._foreign(record)) is not None:
            return foreign
        try:
            replay = self._replays.make(record, owner, self._fresh)
            self.requests = replay.calls.requests
            problem = self._replays.compare(record, replay)
            if replay.calls.tried:
                return _unverifiable(WORLD, shut_reason(replay.calls.tried), problem)
            if replay.calls.stuck and replay.calls.threads:
                return _unverifiable(THREADS, _left_to(replay.calls.threads), problem)
        except PerformerLost as lost:
            return Problem(verdict=UNVERIFIABLE, cause=lost.cause, reason=str(lost))
        except HostFailed as failed:
            return Problem(verdict=UNVERIFIABLE, cause=HOST, reason=str(failed))
        calls, problem = replay.calls, self._look_closer(record, owner, problem, replay, say)
        if problem is None or problem.cause in (OUTPUT, JOURNAL):
            if calls.refused:
                return _unverifiable(WORLD, refused_reason(calls.refused), problem)
            if calls.outlive:
                return _unverifiable(THREADS, _outlived(calls.outlive), problem)
        if problem is not None and problem.cause in (OUTPUT, JOURNAL) and calls.peeked:
            return _unverifiable(WORLD, shut_reason(calls.peeked), problem)
        return problem

    def _look_closer(
        self, record: Record, owner: Owner, problem: Problem | None, replay: Replay, say: Callable[[], None]
    ) -> Problem | None:
        """The problem with its cause; None if the step comes out in another of the ways that no record tells apart."""
        if problem is None or problem.cause not in (OUTPUT, JOURNAL):
            return problem
        try:
            if replay.calls.raced and self._comes_out_in_another_order(record, owner, say):
                return None
            if _is_too_deep(record, replay) and self._comes_out_in_another_room(record, owner, say):
                return None
            if problem.verdict != MISMATCH:
                return problem
            return self._explainer.explain(record, owner, problem, replay, say)
        except (PerformerLost, HostFailed):
            return problem

    def _foreign(self, record: Record) -> Problem | None:
        """Why a step can't be made again: it was made by an engine that is not here."""
        engine = record.step.engine
        name = engine_name(engine)
        if name != engine_name(KERNEL_ENGINE) and name not in self._fresh:
            return _no_engine(engine, "and there is no such engine here")
        if engine_rules(engine) not in _CAN_RUN:
            here = "; ".join(sorted(rules for rules in _CAN_RUN if engine_name(rules) == name))
            return _no_engine(engine, f"which can't be run here: {here} can")
        return None

    def _judge_cut(self, record: Record, owner: Owner) -> Problem | None:
        """Nothing runs, but what the kernel makes of a step that was cut is still compared."""
        calls = ReplayCalls(record.answers, self._reader)
        calls.entries.extend(record.answers)
        plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines={}, owner=owner)
        decided = plan.result
        # No host can have stopped what the kernel does not begin.
        is_noop = decided is not None and decided.outcome is not None and decided.outcome.kind == steps.NOOP
        sealed = finish_replay(record, plan, decided if decided is not None and is_noop else cut_again(record))
        # The log holds what the wit wrote before it was stopped: here it is an input.
        ours, theirs = (step_node(msgspec.structs.replace(step, log=None)) for step in (record.step, sealed.step))
        assert record.step.outcome is not None
        if ours != theirs:
            return self._replays.compare(record, Replay(sealed=sealed, engine=record.step.engine, calls=calls))
        reason = f"the host cut the step, and no replay can repeat that: {record.step.outcome.text}"
        return Problem(verdict=UNVERIFIABLE, cause=CUT, path="data.outcome.kind", recorded="cut", reason=reason)

    def _comes_out_in_another_order(self, record: Record, owner: Owner, say: Callable[[], None]) -> bool:
        """True if some order of the code's timers and of the answers that it got gives the record."""
        for timers in range(1, MAX_TIMERS_FIRST + 1):
            say()
            replay = self._replays.make(record, owner, self._fresh, timers_first=timers)
            if self._replays.compare(record, replay) is None:
                return True
        return False

    def _comes_out_in_another_room(self, record: Record, owner: Owner, say: Callable[[], None]) -> bool:
        """True if the record comes out with a few frames more or less: it does not say how many the code had."""
        for room in OTHER_ROOMS:
            say()
            replay = self._replays.make(record, owner, self._fresh, room=room)
            if self._replays.compare(record, replay) is None:
                return True
        return False


class Screening:
    """Steps that are made again, all at once. Only that one came out says anything: another may do so alone."""

    def __init__(
        self, replays: Replays, stage: Stage, engines: Engines, records: Sequence[Record], owner: Owner, say: Say
    ) -> None:
        """Begins at once with what others do for us."""
        self._replays = replays
        self._engines = engines
        self._owner = owner
        self._say = say
        self._planned = [(record, planned) for record in records if (planned := self._plan(record)) is not None]
        works = [
            Work(planned.plan.program, planned.plan.given, after=record.step.core)
            for record, planned in self._planned
            if planned.plan.program is not None and _is_python(planned.plan.program)
        ]
        self._performed = stage.perform_all(works)

    def finish(self) -> dict[StepId, Mapping[str, bytes]]:
        """The steps that came out as they are recorded, each with the calls that it made by their path."""
        return {
            record.id: planned.calls.requests for record, planned in self._planned if self._comes_out(record, planned)
        }

    def _plan(self, record: Record) -> Planned | None:
        try:
            return self._replays.plan(record, self._owner, self._engines)
        except (StoreError, ObjectError):
            return None

    def _comes_out(self, record: Record, planned: Planned) -> bool:
        try:
            replay = self._make(record, planned)
        except (StoreError, ObjectError, HostFailed, PerformerLost):
            return False
        return replay is not None and replay.sealed.id == record.id and self._is_equal(record, replay)

    def _make(self, record: Record, planned: Planned) -> Replay | None:
        program = planned.plan.program
        if program is None:
            result = planned.plan.result
            assert result is not None
        elif _is_python(program):
            found = next(self._performed)
            if isinstance(found, WitError):
                return self._replays.unloaded(record, planned, self._owner, self._engines, found)
            if isinstance(found, Exception):
                raise found
            result = found
        else:
            self._say(record.step.height)
            try:
                result = perform(program, planned.plan.given)
            except WitError as error:
                return self._replays.unloaded(record, planned, self._owner, self._engines, error)
        if result.outcome is None and result.core != record.step.core:
            return None
        return self._replays.finish(record, planned, result)

    def _is_equal(self, record: Record, replay: Replay) -> bool:
        return replay.calls.is_alone and self._replays.compare(record, replay) is None


def _no_engine(engine: str, why: str) -> Problem:
    reason = f"the step was made by {engine}, {why}"
    return Problem(verdict=UNVERIFIABLE, cause=ENGINE, path="data.engine", recorded=engine, reason=reason)


def _is_python(program: Program) -> bool:
    return engine_name(program.engine) == PYTHON


def _is_too_deep(record: Record, replay: Replay) -> bool:
    """True if the step may depend on how deep the code could call, and does not say it."""
    return not engine_keeps_room(record.step.engine) and any(
        step.outcome is not None and step.outcome.code == RecursionError.__name__
        for step in (record.step, replay.sealed.step)
    )


def _is_cut(record: Record) -> bool:
    return record.step.outcome is not None and record.step.outcome.kind == steps.CUT


def _left_to(places: Sequence[str]) -> str:
    """What the code waits for, a thread of its own would have handed over; a replay does not bring that about."""
    return f"{'; '.join(places)}: the code waits for what its own threads or processes hand over, which no record holds"


def _outlived(places: Sequence[str]) -> str:
    return (
        f"{'; '.join(places)}: a thread goes on after the step that started it, and what it does then is in no record: "
        "wait for it, or for its result, before the handler returns"
    )


def _unverifiable(cause: str, reason: str, problem: Problem | None) -> Problem:
    """What differs, if anything does, may do so only for this cause."""
    if problem is None:
        return Problem(verdict=UNVERIFIABLE, cause=cause, reason=reason)
    return msgspec.structs.replace(problem, verdict=UNVERIFIABLE, cause=cause, reason=reason)
