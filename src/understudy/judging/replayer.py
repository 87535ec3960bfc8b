"""The replayer: makes recorded steps again, compares them, and finds out why one differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from understudy.actors.contract import Engine
from understudy.actors.errors import HostFailed, WitError
from understudy.engines.python.engine import ABI as PYTHON_ABI
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.settings import KNOWN_TEXTS
from understudy.judging.performed import PerformerLost, shut_reason
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.stage import Stage, perform
from understudy.kernel.advance import KERNEL_ENGINE, Plan
from understudy.kernel.compare import Difference
from understudy.kernel.replay import (
    Record,
    cut_again,
    engine_name,
    engine_rules,
    finish_replay,
    prepare_replay,
    read_record,
)
from understudy.kernel.retries import RETRIES_EXHAUSTED
from understudy.kernel.seal import Sealed
from understudy.kernel.verify import (
    CUT,
    ENGINE,
    GLOBAL,
    HOST,
    JOURNAL,
    OUTPUT,
    UNVERIFIABLE,
    WORLD,
    Problem,
    judge_replay,
)
from understudy.objects import step as steps
from understudy.objects.ids import TreeId
from understudy.objects.step import step_node
from understudy.store.reader import Reader, Staging

MAX_TIMERS_FIRST: Final = 8  # timers of a wit that may have gone off before each answer that it got
MAX_KEPT_STEPS: Final = 1024  # how far back is looked for a global that shows in a step

# Engine texts, without the digest of external code, under which results are the same as here.
_CAN_RUN: Final = frozenset({KERNEL_ENGINE, PYTHON_ABI, *KNOWN_TEXTS})

Engines = Mapping[str, Engine]
Owner = Callable[[], str]


class _Replay(Struct, frozen=True, kw_only=True):
    plan: Plan
    sealed: Sealed
    engine: str
    calls: ReplayCalls


class Replayer:
    """Replays steps: Python code on a stage, each step in new module namespaces, and components here.

    `components` is the folder with compiled components; `tell` hears every second that one is being compiled.
    """

    def __init__(
        self,
        reader: Reader,
        stage: Stage,
        components: Path | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.requests: Mapping[str, bytes] = {}  # the calls of the step that was replayed last, by their path
        self._reader = reader
        self._stage = stage
        # A component leaves nothing behind from one step to the next, and can't reach out of its memory.
        self._wasm = WasmEngine(components, tell)
        self._fresh: Engines = {"python": stage.fresh(), "wasm": self._wasm}

    def begin(self) -> None:
        """Another history comes."""
        self._stage.begin()

    @property
    def engines(self) -> Engines:
        """Engines that load all code anew."""
        return self._fresh

    def judge(self, record: Record, owner: Owner) -> Problem | None:
        """Replay a step and say what is wrong with it. `owner` gives the sender of the genesis. Raises StoreError."""
        self.requests = {}
        step = record.step
        if step.outcome is not None and step.outcome.kind == steps.CUT:
            return self._judge_cut(record, owner)
        name = engine_name(step.engine)
        if name != engine_name(KERNEL_ENGINE) and name not in self._fresh:
            return _no_engine(step.engine, "and there is no such engine here")
        if engine_rules(step.engine) not in _CAN_RUN:
            here = "; ".join(sorted(rules for rules in _CAN_RUN if engine_name(rules) == name))
            return _no_engine(step.engine, f"which can't be run here: {here} can")
        try:
            replay = self._replay(record, owner, self._fresh)
            self.requests = replay.calls.requests
            problem = self._compare(record, replay)
            if replay.calls.tried:
                return _shut_out(replay.calls.tried, problem)
        except PerformerLost as lost:
            return Problem(verdict=UNVERIFIABLE, cause=lost.cause, reason=str(lost))
        except HostFailed as failed:
            return Problem(verdict=UNVERIFIABLE, cause=HOST, reason=str(failed))
        if problem is None or problem.cause not in (OUTPUT, JOURNAL):
            return problem
        try:
            if replay.calls.raced and self._comes_out_in_another_order(record, owner):
                return None
            return self._explain(record, owner, problem) if problem.cause == OUTPUT else problem
        except (PerformerLost, HostFailed):
            return problem

    def _judge_cut(self, record: Record, owner: Owner) -> Problem | None:
        """Nothing runs, but what the kernel makes of a step that was cut is still compared."""
        calls = ReplayCalls(record.answers, self._reader)
        calls.entries.extend(record.answers)
        plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines={}, owner=owner)
        sealed = finish_replay(record, plan, cut_again(record))
        # The log holds what the wit wrote before it was stopped: here it is an input.
        ours, theirs = (step_node(msgspec.structs.replace(step, log=None)) for step in (record.step, sealed.step))
        assert record.step.outcome is not None
        if ours != theirs:
            replay = _Replay(plan=plan, sealed=sealed, engine=record.step.engine, calls=calls)
            return self._compare(record, replay)
        reason = f"the host cut the step, and no replay can repeat that: {record.step.outcome.text}"
        return Problem(verdict=UNVERIFIABLE, cause=CUT, path="data.outcome.kind", recorded="cut", reason=reason)

    def _comes_out_in_another_order(self, record: Record, owner: Owner) -> bool:
        """True if the record comes out with some timers of the code before each answer: as it was, for all we can know."""
        return any(
            self._compare(record, self._replay(record, owner, self._fresh, timers_first=timers)) is None
            for timers in range(1, MAX_TIMERS_FIRST + 1)
        )

    def _replay(self, record: Record, owner: Owner, engines: Engines, *, timers_first: int = 0) -> _Replay:
        calls = ReplayCalls(record.answers, self._reader, exhausted=_exhausted(record), timers_first=timers_first)
        plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines=engines, owner=owner)
        try:
            result = plan.result if plan.program is None else perform(plan.program, plan.given)
        except WitError as error:
            # A stage loads code where it runs it; what can't be loaded is the kernel's to settle.
            unloaded = dict.fromkeys(engines, _Unloadable(error))
            plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines=unloaded, owner=owner)
            result = plan.result
        assert result is not None
        if result.outcome is None and result.core != record.step.core:
            # The kernel looks at a new core, and this one is where the code ran.
            self._stage.staged(plan.given.store)
        sealed = finish_replay(record, plan, result)
        return _Replay(plan=plan, sealed=sealed, engine=result.engine, calls=calls)

    def _compare(self, record: Record, replay: _Replay) -> Problem | None:
        both = Staging(self._reader)
        if replay.sealed.id != record.id:
            self._stage.staged(both)
        for block in replay.sealed.unit.blocks:
            both.put(block)
        calls = replay.calls
        call = None
        if calls.problem is not None:
            path, recorded, request = calls.problem
            call = Difference(path=f"data.journal.{path}", recorded=recorded, replayed=request)
        return judge_replay(both, record, replay.sealed, engine=replay.engine, call=call, stuck=calls.stuck)

    def _explain(self, record: Record, owner: Owner, problem: Problem) -> Problem:
        """Why the code gives something else: it asks the machine, or it keeps something between steps."""
        self._replay(record, owner, {"python": self._stage.watched(), "wasm": self._wasm})
        noted = self._stage.noted()
        if noted:
            return msgspec.structs.replace(problem, cause=noted[0].cause, reason="; ".join(one.text for one in noted))
        kept = self._kept_steps(record, owner)
        if kept is not None:
            reason = (
                f"the code keeps something between steps outside its core: in one namespace with the {kept} "
                "before it, the step comes out as recorded"
            )
            return msgspec.structs.replace(problem, cause=GLOBAL, reason=reason)
        return problem

    def _kept_steps(self, record: Record, owner: Owner) -> str | None:
        """After how many steps in one namespace the step comes out as recorded; None if it never does."""
        earlier: list[Record] = []
        source = self._earlier(record)
        count = 1
        while count <= MAX_KEPT_STEPS:
            for one in source:
                earlier.append(one)
                if len(earlier) == count:
                    break
            if not earlier or len(earlier) <= count // 2:
                return None
            if self._comes_out([*reversed(earlier), record], owner):
                return f"{len(earlier)} step{'s' if len(earlier) > 1 else ''}"
            count *= 2
        return None

    def _comes_out(self, records: Sequence[Record], owner: Owner) -> bool:
        kept: Engines = {"python": self._stage.kept(), "wasm": self._wasm}
        replay = None
        for record in records:
            replay = self._replay(record, owner, kept)
        return replay is not None and replay.sealed.id == records[-1].id

    def _earlier(self, record: Record) -> Iterator[Record]:
        while record.step.parent is not None:
            record = read_record(self._reader, record.step.parent)
            yield record


def _no_engine(engine: str, why: str) -> Problem:
    reason = f"the step was made by {engine}, {why}"
    return Problem(verdict=UNVERIFIABLE, cause=ENGINE, path="data.engine", recorded=engine, reason=reason)


class _Unloadable:
    """An engine whose code can't be loaded."""

    name = ""

    def __init__(self, error: WitError) -> None:
        self._error = error

    def load(self, core: TreeId, entry: str, store: Reader) -> NoReturn:
        raise self._error

    def load_query(self, core: TreeId, store: Reader) -> NoReturn:
        raise self._error

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> NoReturn:
        raise self._error


def _shut_out(tried: Sequence[str], problem: Problem | None) -> Problem:
    """What differs may do so only because the code was refused what it got when the step was made."""
    if problem is None:
        return Problem(verdict=UNVERIFIABLE, cause=WORLD, reason=shut_reason(tried))
    return msgspec.structs.replace(problem, verdict=UNVERIFIABLE, cause=WORLD, reason=shut_reason(tried))


def _exhausted(record: Record) -> str | None:
    outcome = record.step.outcome
    return outcome.text if outcome is not None and outcome.code == RETRIES_EXHAUSTED else None
