"""The replayer: makes recorded steps again in this process, compares them, and finds out why one differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Engine, Program, StepResult
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.externals import FreshResolver
from understudy.engines.python.failure import in_core, in_package
from understudy.engines.python.program import PythonProgram
from understudy.engines.python.resolver import default_resolver, home_of
from understudy.engines.wasm.engine import WasmEngine
from understudy.kernel.advance import KERNEL_ENGINE, Plan
from understudy.kernel.replay import (
    Record,
    cut_again,
    engine_name,
    finish_replay,
    prepare_replay,
    read_record,
)
from understudy.kernel.retries import RETRIES_EXHAUSTED
from understudy.kernel.seal import Sealed
from understudy.kernel.verify import CLOCK, CUT, ENGINE, GLOBAL, JOURNAL, OUTPUT, UNVERIFIABLE, Problem, judge_replay
from understudy.node.replay_calls import ReplayCalls
from understudy.node.virtual_loop import Stuck, run_virtually
from understudy.node.witness import Belongs, Witness
from understudy.objects import step as steps
from understudy.objects.step import FAILED, Outcome, step_node
from understudy.store.reader import Reader, Staging

MAX_KEPT_STEPS: Final = 1024  # how far back is looked for a global that shows in a step

Engines = Mapping[str, Engine]
Owner = Callable[[], str]


class _Replay(Struct, frozen=True, kw_only=True):
    plan: Plan
    sealed: Sealed
    engine: str
    calls: ReplayCalls


class Replayer:
    """Replays steps, each in new module namespaces.

    `modules` are those that register wits when they are imported; `components` is the folder with compiled components.
    """

    def __init__(self, reader: Reader, modules: Sequence[str] = (), components: Path | None = None) -> None:
        self.requests: Mapping[str, bytes] = {}  # the calls of the step that was replayed last, by their path
        self._reader = reader
        self._resolver = FreshResolver(modules)
        # A component leaves nothing behind from one step to the next, so one engine does for all of them.
        self._wasm = WasmEngine(components)
        self._fresh: Engines = {"python": PythonEngine(self._resolver, fresh=True), "wasm": self._wasm}

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
            reason = f"the step was made by {step.engine}, and there is no such engine here"
            return Problem(verdict=UNVERIFIABLE, cause=ENGINE, path="data.engine", recorded=step.engine, reason=reason)
        replay = self._replay(record, owner, self._fresh)
        self.requests = replay.calls.requests
        problem = self._compare(record, replay)
        if problem is None or problem.cause != OUTPUT:
            return problem
        return self._explain(record, owner, problem, replay.plan.program)

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

    def _replay(self, record: Record, owner: Owner, engines: Engines, witness: Witness | None = None) -> _Replay:
        calls = ReplayCalls(record.answers, self._reader, exhausted=_exhausted(record))
        with nullcontext() if witness is None else witness:
            plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines=engines, owner=owner)
            result = plan.result if plan.program is None else _run(plan, plan.program, calls)
        assert result is not None
        sealed = finish_replay(record, plan, result)
        return _Replay(plan=plan, sealed=sealed, engine=result.engine, calls=calls)

    def _compare(self, record: Record, replay: _Replay) -> Problem | None:
        both = Staging(self._reader)
        for block in replay.sealed.unit.blocks:
            both.put(block)
        problem = judge_replay(both, record, replay.sealed, engine=replay.engine)
        asked = replay.calls.problem
        if problem is None or problem.cause != OUTPUT or asked is None:
            return problem
        path, recorded, request = asked
        reason = f"the code makes a call {path} that the journal does not hold"
        return msgspec.structs.replace(
            problem, cause=JOURNAL, path=f"data.journal.{path}", recorded=recorded, replayed=request, reason=reason
        )

    def _explain(self, record: Record, owner: Owner, problem: Problem, program: Program | None) -> Problem:
        """Why the code gives something else: it asks the machine, or it keeps something between steps."""
        witness = Witness(_belongs(program))
        self._replay(record, owner, self._fresh, witness)
        if witness.noted:
            return msgspec.structs.replace(problem, cause=CLOCK, reason="; ".join(witness.noted))
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
        self._resolver.forget_all()
        kept: Engines = {"python": PythonEngine(default_resolver()), "wasm": self._wasm}
        replay = None
        for record in records:
            replay = self._replay(record, owner, kept)
        return replay is not None and replay.sealed.id == records[-1].id

    def _earlier(self, record: Record) -> Iterator[Record]:
        while record.step.parent is not None:
            record = read_record(self._reader, record.step.parent)
            yield record


def _run(plan: Plan, program: Program, calls: ReplayCalls) -> StepResult:
    result = program.run(plan.given)
    if isinstance(result, StepResult):
        return result
    try:
        return run_virtually(result, on_idle=calls.complete_next, on_stuck=calls.fail_one)
    except Stuck as error:
        return StepResult(engine=program.engine, core=plan.actor.core, outcome=Outcome(FAILED, "Stuck", str(error)))


def _exhausted(record: Record) -> str | None:
    outcome = record.step.outcome
    return outcome.text if outcome is not None and outcome.code == RETRIES_EXHAUSTED else None


def _belongs(program: Program | None) -> Belongs:
    if isinstance(program, PythonProgram) and program.version is None:
        return in_package(home_of(program.function))
    return in_core
