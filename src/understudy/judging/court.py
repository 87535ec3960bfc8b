"""The court: hands the spans of histories to judges, one process each, and answers their questions about the store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from understudy.judging.case import Case
from understudy.judging.feed_before import steps_before
from understudy.judging.fork_server import ForkServer
from understudy.judging.judge_process import JudgeLost, JudgeProcess
from understudy.judging.wire import Blocks, Done, GetBefore, GetBlocks, GetRef, Question, Setup, Span, Value, Values
from understudy.kernel.verdict import MISMATCH, UNVERIFIABLE, Problem
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, StepId
from understudy.store.errors import StoreClosed, StoreError
from understudy.store.keys import height_row, heights_of
from understudy.store.port import Backend
from understudy.store.verified import Grit

MAX_LOST: Final = 3  # judges that one history may wear out before the rest of it is left unjudged
_REPORT_SECONDS: Final = 0.1

Progress = Callable[[int, int], None]


class Court:
    """Judges that work at once. `path` is where they find modules."""

    def __init__(self, backend: Backend, setup: Setup, path: Sequence[str]) -> None:
        self._backend = backend
        self._setup = setup
        self._path = path
        self._server: ForkServer | None = None
        self._lock = threading.Condition()
        self._waiting: deque[tuple[Case, Span]] = deque()
        self._heard = 0
        self._busy = 0
        self._failure: BaseException | None = None
        self._judges: set[JudgeProcess] = set()

    def hear(self, cases: Sequence[Case], progress: Progress | None, processes: int) -> None:
        """Judge the spans of these cases. Raises StoreError."""
        # From the top down: what a judge looks up on its way is what it needs next.
        self._waiting.extend((case, span) for case in cases for span in reversed(case.spans))
        if not self._waiting:
            return
        total = sum(case.height + 1 for case in cases)
        self._heard = 0
        if self._server is None:
            self._server = ForkServer(self._path)
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
                judge.end()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        for case in cases:
            case.tie()

    def close(self) -> None:
        """End all processes."""
        if self._server is not None:
            self._server.close()

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
                    self._settle(case, span, judge.judge(span, self._answer, self._pass))
                except JudgeLost as lost:
                    self._replace_lost(case, span, judge, lost)
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

    def _take(self) -> tuple[Case, Span] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _start(self) -> JudgeProcess:
        assert self._server is not None
        judge = JudgeProcess(self._server, self._setup)
        with self._lock:
            self._judges.add(judge)
        return judge

    def _end(self, judge: JudgeProcess) -> None:
        judge.end()
        with self._lock:
            self._judges.discard(judge)

    def _pass(self, steps: int) -> None:
        with self._lock:
            self._heard += steps

    def _settle(self, case: Case, span: Span, done: Done) -> None:
        with self._lock:
            case.take(span, done)
            if done.problem is not None and done.problem.verdict == MISMATCH:
                # What is above a MISMATCH changes nothing any more.
                self._drop(case, above=span.high)

    def _replace_lost(self, case: Case, span: Span, judge: JudgeProcess, lost: JudgeLost) -> None:
        """Have another judge go through the span: first to learn which step it is, then without replaying that."""
        self._end(judge)
        with self._lock:
            if judge.at is None and not span.each:
                self._waiting.appendleft((case, msgspec.structs.replace(span, each=True)))
                return
            at = span.low if judge.at is None else judge.at
            problem = Problem(verdict=UNVERIFIABLE, cause=lost.cause, reason=str(lost), height=at)
            case.take(span, Done(lowest=None, below=None, replayed=0, problem=problem))
            case.lost += 1
            if case.lost >= MAX_LOST:
                self._drop(case, above=-1)
            else:
                self._waiting.appendleft((case, msgspec.structs.replace(span, skip=[*span.skip, at])))

    def _drop(self, case: Case, *, above: int) -> None:
        kept = deque(entry for entry in self._waiting if entry[0] is not case or entry[1].high <= above)
        self._heard += sum(span.high - span.low + 1 for _, span in self._waiting) - sum(
            span.high - span.low + 1 for _, span in kept
        )
        self._waiting = kept

    def _answer(self, question: Question) -> Blocks | Value | Values:
        if isinstance(question, GetBlocks):
            return self._blocks(question.ids)
        if isinstance(question, GetRef):
            return Value(self._backend.ref(question.ref))
        if isinstance(question, GetBefore):
            return Values(self._before(StepId(Id(question.step))))
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

    def _before(self, step: StepId) -> Sequence[bytes]:
        try:
            return steps_before(self._backend, Grit(self._backend), step)
        except StoreClosed:
            raise
        except (StoreError, ObjectError):
            return ()

    def _steps(self, actor: bytes, low: int, high: int) -> list[bytes]:
        found: list[bytes] = []
        for height, (key, value) in enumerate(self._backend.rows(heights_of(actor), height_row(actor, low)), low):
            if height > high or key != height_row(actor, height):
                break
            found.append(value)
        return found
