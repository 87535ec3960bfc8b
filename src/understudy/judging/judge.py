"""A judge: the fresh process that verifies. It gets blocks through its pipe and trusts none of them, and runs no wit.

`judging/judge_process.py` starts it under a fixed hash seed and with nothing of the user's environment.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from understudy.judging.asked_again import AskedAgain
from understudy.judging.chains import StoredChains
from understudy.judging.component_check import ComponentCheck
from understudy.judging.nursery import Nursery
from understudy.judging.performed import PerformedStage
from understudy.judging.performer import end_with_parent
from understudy.judging.pipe_store import PipeStore
from understudy.judging.replayer import Replayer
from understudy.judging.wire import At, Broken, Done, HungUp, Pipe, Preparing, Setup, Span, ToJudge
from understudy.kernel.own_messages import OwnMessages
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verify import (
    INTEGRITY,
    MISMATCH,
    MISSING,
    OUTPUT,
    UNVERIFIABLE,
    Problem,
    check_clock,
    check_record,
    check_senders,
    reading_problem,
    worse,
)
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.step import Step
from understudy.store.closure import Closure
from understudy.store.errors import Missing, StoreError
from understudy.store.port import Backend
from understudy.store.reader import Reader
from understudy.store.verified import Grit

BATCH: Final = 64  # steps whose objects are asked for at once

Chain = list[tuple[StepId, Step]]
Unread = StoreError | ObjectError


def main() -> None:
    """Judge spans that come through stdin, and say so on stdout, until the other side is gone."""
    pipe, fds = _take_pipe()
    nursery = Nursery(close=fds)
    end_with_parent()
    try:
        setup = pipe.receive()
        assert isinstance(setup, Setup)
        judge = Judge(pipe, setup, nursery)
        while True:
            span = pipe.receive()
            assert isinstance(span, Span)
            pipe.send(judge.judge(span))
    except HungUp:
        return
    except Exception:
        pipe.send(Broken(traceback.format_exc()))


class Judge:
    """Judges spans of histories, one after the other."""

    def __init__(self, pipe: Pipe[ToJudge], setup: Setup, nursery: Nursery) -> None:
        self._pipe = pipe
        self._store = PipeStore(pipe)
        # The door asks a backend for blocks only, and those are all that a pipe has.
        self._reader: Reader = Grit(cast(Backend, self._store))
        self._closure = Closure(self._reader)
        self._chains = StoredChains(self._store, self._reader)
        self._components = ComponentCheck(self._reader)
        self._replayer = None
        self._asked_again: AskedAgain | None = None
        if not setup.integrity_only:
            self._replayer = Replayer(
                self._reader, PerformedStage(nursery, setup), Path(setup.components), self._prepares
            )
        if setup.deep and self._replayer is not None:
            self._asked_again = AskedAgain(self._reader, self._chains, self._replayer.engines)

    def _prepares(self, text: str) -> None:
        """A component is being compiled: whoever waits for the step must not count that."""
        self._pipe.send(Preparing(text))

    def judge(self, span: Span) -> Done:
        """Judge the steps of a span from the lowest up, as far as the first MISMATCH."""
        if self._replayer is not None:
            self._replayer.begin()
        chain, problem = self._chain(span)
        below = chain[0][1].parent if chain and problem is None else None
        lowest = chain[0][0] if chain and problem is None else None
        replayed = 0
        own = OwnMessages(self._reader)
        for record in self._records(span, chain):
            if isinstance(record, Record):
                found = self._judge_step(span, record, own)
                replayed += self._replayer is not None
            else:
                found = record
            problem = worse(problem, found)
            if problem is not None and problem.verdict == MISMATCH:
                break
        return Done(lowest=lowest, below=below, replayed=replayed, problem=problem)

    def _chain(self, span: Span) -> tuple[Chain, Problem | None]:
        """The steps of a span from the lowest up, and what kept us from reaching the lowest."""
        actor = ActorId(TreeId(Id(span.actor)))
        self._store.fetch(self._store.steps(actor, low=span.low, high=span.high))
        found: Chain = []
        problem = None
        at: StepId | None = StepId(Id(span.top))
        for height in range(span.high, span.low - 1, -1):
            assert at is not None
            try:
                step = self._reader.step(at)
            except (StoreError, ObjectError) as error:
                problem = _at(_unreadable(error, span), at, height)
                break
            if step.height != height or step.actor != actor:
                problem = _at(_foreign(step, height, actor), at, height)
                break
            found.append((at, step))
            at = step.parent
        found.reverse()
        return found, problem

    def _records(self, span: Span, chain: Chain) -> Iterator[Record | Problem]:
        """The records of the steps, or why one can't be read."""
        before = None
        for number, (id, step) in enumerate(chain):
            if number % BATCH == 0:
                self._fetch(chain[number : number + BATCH])
            self._pipe.send(At(step.height))
            try:
                record = read_record(self._reader, id, step=step, before=before)
            except (StoreError, ObjectError) as error:
                before = None
                yield _at(_unreadable(error, span), id, step.height)
                continue
            before = record.after
            yield record

    def _judge_step(self, span: Span, record: Record, own: OwnMessages) -> Problem | None:
        self._store.missing.clear()
        try:
            found = check_record(self._reader, record, self._closure)
            found = found or self._components.judge(record)
            found = found or check_senders(self._reader, record, self._chains, own)
            # What another history lacks is not what the code asked for.
            self._store.missing.clear()
            if found is None and self._replayer is not None:
                found = self._replayer.judge(record, lambda: self._owner(span))
            if found is None and self._replayer is not None and self._asked_again is not None:
                found = self._asked_again.judge(record, self._replayer.requests)
            if found is None and self._replayer is not None:
                found = check_clock(record, self._chains, now=time.time_ns() // 1000)
        except (StoreError, ObjectError) as error:
            found = _unreadable(error, span)
        if found is not None and found.cause == OUTPUT and self._store.missing and not span.whole:
            some = Id(min(self._store.missing))
            found = Problem(verdict=UNVERIFIABLE, cause=MISSING, path=str(some), reason=f"the code asks for {some}")
        return None if found is None else _at(found, record.id, record.step.height)

    def _owner(self, span: Span) -> str:
        """The sender of the genesis. That `span.genesis` is the first step of this history, our caller checks."""
        genesis = StepId(Id(span.genesis))
        step = self._reader.step(genesis)
        if step.height != 0 or step.actor != span.actor:
            raise Missing(genesis)
        return self._reader.message(step.consumed[0]).sender

    def _fetch(self, chain: Chain) -> None:
        """Ask for what the steps need, in two rounds: what they link to, then what that links to."""
        first = [*_direct(chain), *(step.parent for _, step in chain[:1] if step.parent is not None)]
        self._store.fetch(first)
        self._store.fetch(self._second(chain))

    def _second(self, chain: Chain) -> Iterator[bytes]:
        for _, step in chain:
            for id in (*step.consumed, *step.sent):
                try:
                    fields = self._reader.node(id)["message"]
                    yield fields["content"]
                    if "after" in fields and id in step.consumed:
                        yield ids.parse(fields["after"])
                except (StoreError, ObjectError, KeyError, TypeError):
                    # It is wrong, and will be read once more, strictly.
                    continue
            try:
                tree = self._reader.node(step.core).get("tree", {})
                yield from tree.values()
            except (StoreError, ObjectError, AttributeError):
                continue


def _direct(chain: Chain) -> Iterator[bytes]:
    for _, step in chain:
        yield step.core
        yield from step.consumed
        yield from step.sent
        for link in (step.journal, step.log, step.inbox, step.outbox):
            if isinstance(link, bytes):
                yield link


def _unreadable(error: Unread, span: Span) -> Problem:
    return reading_problem(error, whole=span.whole)


def _foreign(step: Step, height: int, actor: ActorId) -> Problem:
    return Problem(
        verdict=MISMATCH,
        cause=INTEGRITY,
        path="data.height" if step.actor == actor else "data.actor",
        recorded=step.height if step.actor == actor else str(step.actor),
        replayed=height if step.actor == actor else str(actor),
        reason="the step that the chain leads to is not the one before",
    )


def _at(problem: Problem, step: StepId, height: int) -> Problem:
    return Problem(
        verdict=problem.verdict,
        cause=problem.cause,
        reason=problem.reason,
        step=str(step),
        height=height,
        path=problem.path,
        recorded=problem.recorded,
        replayed=problem.replayed,
    )


def _take_pipe() -> tuple[Pipe[ToJudge], list[int]]:
    """Take stdin and stdout for ourselves, and give the wits' `print` and `input` a place where they do no harm."""
    fds = [os.dup(0), os.dup(1)]
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return Pipe(fds[0], fds[1], ToJudge), fds
