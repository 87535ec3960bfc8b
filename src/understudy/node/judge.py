"""A judge: the fresh process that replays steps. It gets blocks through its pipe and trusts none of them.

Run as `python -c` by `node/verification.py`, under a fixed hash seed and with nothing of the user's environment.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Iterator, Sequence
from typing import Final

from understudy.actors.contract import Engine, StepResult
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.externals import FreshResolver
from understudy.engines.python.failure import in_core, in_package
from understudy.engines.python.program import PythonProgram
from understudy.engines.python.resolver import default_resolver, home_of
from understudy.kernel.advance import Plan
from understudy.kernel.closure import Closure
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
from understudy.kernel.verify import (
    CLOCK,
    CUT,
    ENGINE,
    GLOBAL,
    JOURNAL,
    MISMATCH,
    OUTPUT,
    UNVERIFIABLE,
    Problem,
    check_record,
    check_senders,
    judge_replay,
    reading_problem,
    worse,
)
from understudy.node.pipe_store import PipeStore
from understudy.node.replay_calls import ReplayCalls
from understudy.node.virtual_loop import Stuck, run_virtually
from understudy.node.wire import At, Broken, Done, HungUp, Pipe, Setup, Span
from understudy.node.witness import Witness
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, StepId
from understudy.objects.step import CUT as CUT_KIND
from understudy.objects.step import FAILED, Outcome, Step
from understudy.store.errors import StoreError
from understudy.store.reader import Reader, Staging
from understudy.store.verified import Grit

MAX_KEPT_STEPS: Final = 1024  # how far back a global that shows in a step is looked for
_KERNEL: Final = "kernel"
_STUCK: Final = "Stuck"

Engines = dict[str, Engine]
Chain = list[tuple[StepId, Step]]


def main() -> None:
    """Judge spans from the pipe at stdin and stdout until the other side is gone."""
    pipe = _take_pipe()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        setup = pipe.receive_for_judge()
        assert isinstance(setup, Setup)
        judge = Judge(pipe, setup)
        while True:
            span = pipe.receive_for_judge()
            assert isinstance(span, Span)
            pipe.send(judge.judge(span))
    except HungUp:
        return
    except Exception:
        pipe.send(Broken(traceback.format_exc()))


class Judge:
    """Judges spans of histories one after the other."""

    def __init__(self, pipe: Pipe, setup: Setup) -> None:
        self._pipe = pipe
        self._integrity_only = setup.integrity_only
        self._store = PipeStore(pipe)
        self._reader = Grit(self._store)
        self._closure = Closure(self._reader)
        self._resolver = FreshResolver(setup.modules)
        self._fresh: Engines = {"python": PythonEngine(self._resolver, fresh=True)}

    def judge(self, span: Span) -> Done:
        """Judge a span from its lowest step up, and stop at a MISMATCH."""
        chain, below, problem = self._chain(span)
        replayed = 0
        before = None
        for id, step in chain:
            self._pipe.send(At(step.height))
            found = None
            try:
                record = read_record(self._reader, id, before)
                before = record.after
                found = self._check(record, span)
                if found is None and not self._integrity_only:
                    found = self._replay(record, span)
                    replayed += 1
            except (StoreError, ObjectError) as error:
                before = None
                found = reading_problem(error, whole=span.whole)
            problem = worse(problem, _at(found, id, step.height))
            if problem is not None and problem.verdict == MISMATCH:
                break
        return Done(below=below, replayed=replayed, problem=problem)

    def _chain(self, span: Span) -> tuple[Chain, StepId | None, Problem | None]:
        """The steps of a span from the lowest up, the parent of the lowest, and what kept us from going on, if anything."""
        found: Chain = []
        at: StepId | None = StepId(Id(span.top))
        height = span.high
        for near in self._near(span):
            self._store.fetch_steps(near)
            while at is not None and height >= span.low and (len(found) == 0 or height >= near.low):
                try:
                    step = self._reader.step(at)
                except (StoreError, ObjectError) as error:
                    found.reverse()
                    return found, None, _at(reading_problem(error, whole=span.whole), at, height)
                if step.height != height:
                    problem = Problem(
                        verdict=MISMATCH,
                        cause="integrity",
                        path="data.height",
                        recorded=step.height,
                        replayed=height,
                        reason="the height is not one less than that of the step after it",
                    )
                    found.reverse()
                    return found, None, _at(problem, at, height)
                found.append((at, step))
                at, height = step.parent, height - 1
        found.reverse()
        return found, at, None
