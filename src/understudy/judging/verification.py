"""Verification: histories judged by fresh processes, many spans at once.

The law: nothing that comes from the store or from its index is believed before a judge has checked it. The steps of
a span are tied together by their hashes, and the spans of a history are tied together here.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from understudy.engines.wasm.cache import default_folder
from understudy.judging.judge_process import JudgeLost, JudgeProcess
from understudy.judging.wire import (
    Blocks,
    Done,
    GetBlocks,
    GetHead,
    Question,
    Setup,
    Span,
    Value,
    Values,
)
from understudy.kernel.verify import (
    INTACT,
    INTEGRITY,
    MATCH,
    MISMATCH,
    UNVERIFIABLE,
    Problem,
    Verdict,
    reading_problem,
    worse,
)
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId
from understudy.store.errors import StoreClosed, StoreError
from understudy.store.keys import head_ref, height_row, heights_of
from understudy.store.port import Backend
from understudy.store.reader import Reader
from understudy.store.verified import Grit

SPAN: Final = 256  # steps judged in one go: small enough to share among processes, large enough to ask in bulk
STEP_SECONDS: Final = 60.0  # a step that replays longer is given up; live steps that compute so long are rare
MAX_LOST: Final = 3  # judges that one history may wear out before the rest of it is left unjudged
_REPORT_SECONDS: Final = 0.1

Progress = Callable[[int, int], None]


class Target(NamedTuple):
    """A history: an actor up to one of its steps."""

    actor: ActorId
    head: StepId


def verify_targets(
    backend: Backend,
    targets: Sequence[Target],
    *,
    integrity_only: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
    modules: Sequence[str] = (),
    paths: Sequence[str] | None = None,
    processes: int | None = None,
    step_seconds: float = STEP_SECONDS,
) -> list[Verdict]:
    """Judge histories that a store, or a memory backend filled from a CAR, holds; one verdict for each, in order.

    Blocks until done; `progress(done, total)` counts steps and is called on the calling thread. With `integrity_only`
    nothing is replayed, and what is right is INTACT; with `deep`, what other actors answered is asked again at the steps
    that the journals name.
    `paths` and `modules` are where code behind `external:` is found, by default where this process finds it. A history
    whose head the backend does not know (a CAR) is UNVERIFIABLE where a block is missing; where it does know it, a
    missing block is a MISMATCH. Raises StoreError if the store fails as a whole.
    """
    reader = Grit(backend)
    right = INTACT if integrity_only else MATCH
    cases = [_Case(backend, reader, target, right) for target in targets]
    setup = Setup(modules=modules, components=str(default_folder()), integrity_only=integrity_only, deep=deep)
    court = _Court(backend, setup, list(sys.path) if paths is None else [*sys.path, *paths], step_seconds)
    for by_walking in (False, True):
        open_cases = [case for case in cases if case.is_open]
        for case in open_cases:
            case.plan(by_walking=by_walking)
        court.hear(open_cases, progress, processes or os.cpu_count() or 1)
    return [case.verdict() for case in cases]


class _Case:
    """One history on its way to a verdict."""

    def __init__(self, backend: Backend, reader: Reader, target: Target, right: str) -> None:
        self.target = target
        self.height = -1
        self.spans: list[Span] = []
        self.problem: Problem | None = None
        self.lost = 0
        self._backend = backend
        self._reader = reader
        self._whole = backend.ref(head_ref(target.actor)) is not None
        self._done: dict[int, tuple[Span, Done]] = {}
        self._tied = False
        self._right = right  # the word for a history that nothing is wrong with
        self._replayed = 0
        try:
            self.height = reader.step(target.head).height
        except (StoreError, ObjectError) as error:
            self.problem = reading_problem(error, whole=self._whole)

    @property
    def is_open(self) -> bool:
        """True if judging can still change the verdict."""
        return self.problem is None and not self._tied

    def plan(self, *, by_walking: bool) -> None:
        """Cut the history into spans: along the index of the store, or along the parents where that does not help."""
        self._done.clear()
        self._replayed = 0
        highs = range(self.height, -1, -SPAN)
        tops: dict[int, StepId] = {}
        if not by_walking and self._whole:
            tops = {high: id for high in (*highs[1:], 0) if (id := self._indexed(high)) is not None}
        # The index may be wrong about the head, too; what is judged is the one that was asked for.
        tops[self.height] = self.target.head
        if tops.keys() < {*highs, 0}:
            tops = self._walk({*highs, 0})
        self.spans = [
            Span(
                actor=self.target.actor,
                top=tops[high],
                high=high,
                low=max(0, high - SPAN + 1),
                genesis=tops.get(0, self.target.head),
                whole=self._whole,
            )
            for high in reversed(highs)
            if high in tops
        ]

    def take(self, span: Span, done: Done) -> None:
        """Take what a judge found."""
        self._done[span.high] = span, done
        self._replayed += done.replayed
        self.problem = worse(self.problem, done.problem)

    def tie(self) -> None:
        """See whether the spans make one chain; if not, the index is wrong, and walking will tell."""
        spans = [self._done.get(span.high) for span in self.spans]
        self._tied = all(
            found is not None and self._is_tied(*found, before)
            for before, found in zip([None, *self.spans], spans, strict=False)
        )

    def verdict(self) -> Verdict:
        """What was found."""
        problem = self.problem
        if problem is None and not self._tied:
            problem = Problem(verdict=MISMATCH, cause=INTEGRITY, reason="the steps do not make one chain")
        verdict = Verdict(
            verdict=self._right if problem is None else problem.verdict,
            actor=str(self.target.actor),
            head=str(self.target.head),
            height=self.height,
            steps=self._replayed,
        )
        if problem is None:
            return verdict
        return Verdict(
            verdict=problem.verdict,
            actor=verdict.actor,
            head=verdict.head,
            height=verdict.height,
            steps=verdict.steps,
            step=problem.step,
            at_height=problem.height,
            cause=problem.cause,
            path=problem.path,
            recorded=problem.recorded,
            replayed=problem.replayed,
            reason=problem.reason,
        )

    def _is_tied(self, span: Span, done: Done, below: Span | None) -> bool:
        if below is None:
            return done.lowest == span.genesis and done.below is None
        return done.below == below.top

    def _indexed(self, height: int) -> StepId | None:
        value = self._backend.row(height_row(self.target.actor, height))
        return None if value is None else StepId(Id(value))

    def _walk(self, heights: set[int]) -> dict[int, StepId]:
        """The steps at some heights, along the parents as far as they can be read; a judge will say why no further."""
        found: dict[int, StepId] = {}
        at: StepId | None = self.target.head
        height = self.height
        while at is not None and height >= 0:
            if height in heights:
                found[height] = at
            try:
                at = self._reader.step(at).parent
            except (StoreError, ObjectError):
                break
            height -= 1
        return found


class _Court:
    """Hands the spans of cases to judges, one process each, and answers their questions about the store."""

    def __init__(self, backend: Backend, setup: Setup, path: Sequence[str], step_seconds: float) -> None:
        self._backend = backend
        self._setup = setup
        self._path = [os.path.abspath(entry) for entry in path]
        self._step_seconds = step_seconds
        self._lock = threading.Condition()
        self._waiting: deque[tuple[_Case, Span]] = deque()
        self._heard = 0
        self._busy = 0
        self._failure: BaseException | None = None
        self._judges: set[JudgeProcess] = set()

    def hear(self, cases: Sequence[_Case], progress: Progress | None, processes: int) -> None:
        """Judge the spans of these cases. Raises StoreError."""
        self._waiting.extend((case, span) for case in cases for span in case.spans)
        if not self._waiting:
            return
        total = sum(case.height + 1 for case in cases)
        self._heard = 0
        count = min(processes, len(self._waiting))
        threads = [threading.Thread(target=self._work, name=f"understudy-court-{n}") for n in range(count)]
        self._busy = count
        for thread in threads:
            thread.start()
        try:
            self._report(progress, total)
        finally:
            with self._lock:
                self._waiting.clear()
                judges = list(self._judges) if self._busy else []
            for judge in judges:
                judge.kill()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        for case in cases:
            case.tie()

    def _report(self, progress: Progress | None, total: int) -> None:
        last = -1
        while True:
            with self._lock:
                over = self._busy == 0
                if not over:
                    self._lock.wait(_REPORT_SECONDS)
                heard = min(self._heard, total)
            if progress is not None and heard != last:
                progress(heard, total)
                last = heard
            if over:
                return

    def _work(self) -> None:
        judge: JudgeProcess | None = None
        try:
            while (taken := self._take()) is not None:
                case, span = taken
                if judge is None:
                    judge = self._start()
                try:
                    self._settle(case, span, judge.judge(span, self._answer, self._step))
                except JudgeLost as lost:
                    self._mourn(case, span, judge, lost)
                    judge = None
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error
                self._waiting.clear()
        finally:
            if judge is not None:
                self._end(judge)
            with self._lock:
                self._busy -= 1
                self._lock.notify_all()

    def _take(self) -> tuple[_Case, Span] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _start(self) -> JudgeProcess:
        judge = JudgeProcess(self._path, self._setup, self._step_seconds)
        with self._lock:
            self._judges.add(judge)
        return judge

    def _end(self, judge: JudgeProcess) -> None:
        judge.kill()
        with self._lock:
            self._judges.discard(judge)

    def _step(self) -> None:
        with self._lock:
            self._heard += 1

    def _settle(self, case: _Case, span: Span, done: Done) -> None:
        with self._lock:
            case.take(span, done)
            if done.problem is not None and done.problem.verdict == MISMATCH:
                # What is above a MISMATCH changes nothing any more.
                self._drop(case, above=span.high)

    def _mourn(self, case: _Case, span: Span, judge: JudgeProcess, lost: JudgeLost) -> None:
        """Note the step that a judge was lost at, and let another go on behind it."""
        self._end(judge)
        at = span.low if judge.at is None else judge.at
        problem = Problem(verdict=UNVERIFIABLE, cause=lost.cause, reason=str(lost), height=at)
        with self._lock:
            case.take(span, Done(lowest=None, below=None, replayed=max(0, at - span.low), problem=problem))
            case.lost += 1
            if case.lost >= MAX_LOST:
                self._drop(case, above=-1)
            elif at < span.high:
                rest = Span(
                    actor=span.actor, top=span.top, high=span.high, low=at + 1, genesis=span.genesis, whole=span.whole
                )
                self._waiting.appendleft((case, rest))

    def _drop(self, case: _Case, *, above: int) -> None:
        kept = deque(entry for entry in self._waiting if entry[0] is not case or entry[1].high <= above)
        self._heard += sum(span.high - span.low + 1 for _, span in self._waiting) - sum(
            span.high - span.low + 1 for _, span in kept
        )
        self._waiting = kept

    def _answer(self, question: Question) -> Blocks | Value | Values:
        if isinstance(question, GetBlocks):
            return self._blocks(question.ids)
        if isinstance(question, GetHead):
            return Value(self._backend.ref(head_ref(question.actor)))
        return Values(self._steps(question.actor, question.low, question.high))

    def _blocks(self, ids: Sequence[bytes]) -> Blocks:
        try:
            return Blocks(self._backend.get(ids))
        except StoreClosed:
            raise
        except StoreError:
            return self._blocks_one_by_one(ids)

    def _blocks_one_by_one(self, ids: Sequence[bytes]) -> Blocks:
        data: list[bytes | None] = []
        damaged: dict[int, str] = {}
        for number, id in enumerate(ids):
            try:
                data.append(self._backend.get([id])[0])
            except StoreClosed:
                raise
            except StoreError as error:
                data.append(None)
                damaged[number] = str(error)
        return Blocks(data, damaged)

    def _steps(self, actor: bytes, low: int, high: int) -> list[bytes]:
        found: list[bytes] = []
        for height, (key, value) in enumerate(self._backend.rows(heights_of(actor), height_row(actor, low)), low):
            if height > high or key != height_row(actor, height):
                break
            found.append(value)
        return found
