"""A judge: the clean process that verifies. It gets blocks through its pipe and trusts none of them, and runs no wit.

The law: a span is replayed from its top down in modules that are kept. What a step leaves behind flows upwards, so run
downwards it can't show itself again as it was. A step that does not come out so is judged alone, by a performer that
ran nothing before, and only that gives a verdict other than MATCH.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from understudy.judging.asked_again import AskedAgain, world_gave_up
from understudy.judging.chains import StoredChains
from understudy.judging.component_check import ComponentCheck
from understudy.judging.fork_server import Performers
from understudy.judging.histories import Histories, Link, ReadOnce, located
from understudy.judging.performed import PerformedStage
from understudy.judging.performer import end_with_parent
from understudy.judging.pipe import HungUp, Pipe
from understudy.judging.pipe_store import PipeStore
from understudy.judging.replayer import Replayer, Screening
from understudy.judging.wire import At, Broken, Done, Preparing, Setup, Span, ToJudge, said_by
from understudy.kernel.own_messages import OwnMessages
from understudy.kernel.replay import Record
from understudy.kernel.verdict import (
    DIED,
    GLOBAL,
    MISMATCH,
    MISSING,
    OUTPUT,
    TIMEOUT,
    UNVERIFIABLE,
    Problem,
    reading_problem,
    worse,
)
from understudy.kernel.verify import check_clock, check_record, check_senders
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, StepId
from understudy.store.closure import Closure
from understudy.store.errors import Missing, StoreError
from understudy.store.reader import Reader

BATCH: Final = 128  # steps to an exchange with the store, and with a performer
MAX_GIVEN_UP: Final = 3  # steps of a span that take too long; then the rest of it is left unjudged
_SAY_SECONDS: Final = 0.5  # how long we are silent while all goes well


def judge_for(pipe: Pipe[ToJudge], performers: Performers) -> None:
    """Judge spans until the other side is gone."""
    end_with_parent()
    try:
        setup = pipe.receive()
        assert isinstance(setup, Setup)
        tools = _tools(pipe, setup, performers)
        while True:
            span = pipe.receive()
            assert isinstance(span, Span)
            pipe.send(Sitting(tools, span).judge())
    except HungUp:
        return
    except Exception as error:
        pipe.send(Broken(said_by(error)))


class Tools(NamedTuple):
    """What a judge keeps from one span to the next."""

    pipe: Pipe[ToJudge]
    store: PipeStore
    reader: Reader
    histories: Histories
    closure: Closure
    components: ComponentCheck
    chains: StoredChains
    replayer: Replayer | None
    asked_again: AskedAgain | None


class Heard(NamedTuple):
    """Some steps, and those of them that came out as recorded with the calls that they made; None if none was to be made."""

    records: Sequence[Record]
    came_out: Mapping[StepId, Mapping[str, bytes]] | None


class Sitting:
    """The work on one span."""

    def __init__(self, tools: Tools, span: Span) -> None:
        self._tools = tools
        self._span = span
        self._own = OwnMessages(tools.reader)
        self._problem: Problem | None = None
        self._again: list[Link] = []  # steps that did not come out, from the highest down
        self._replayed = 0
        self._said = time.monotonic()
        self._replayer = None if span.again else tools.replayer
        self._sound = True

    def judge(self) -> Done:
        """Judge the steps: all from the top down, then those that did not come out, from the lowest up."""
        self._follow()
        if self._replayer is not None:
            # Spans come from the top down too, so what a performer ran before was above.
            self._replayer.begin((self._span.actor, self._span.top if self._span.each else None))
        links, self._problem = self._tools.histories.chain(self._span)
        self._sound = self._problem is None
        lowest = links[-1] if links and self._problem is None else None
        self._hear_all(links)
        self._judge_again(links)
        return Done(
            lowest=None if lowest is None else lowest.id,
            below=None if lowest is None else lowest.step.parent,
            replayed=0 if self._replayer is None else self._replayed,
            problem=self._problem,
            sound=self._sound,
        )

    def _hear_all(self, links: Sequence[Link]) -> None:
        """Check the steps, and see which of them come out as they are recorded, some at once.

        Those of the last exchange are checked while the performer makes the next.
        """
        heard: Heard | None = None
        for start in range(0, len(links), BATCH):
            some, below = links[start : start + BATCH], next(iter(links[start + BATCH :]), None)
            records = [*self._readable(self._tools.histories.records(self._span, some, below))]
            screening = self._screen(records)
            if heard is not None:
                self._settle(heard)
            heard = Heard(records, None if screening is None else screening.finish())
            self._say(some[-1].step.height, passed=len(some), now=True)
        if heard is not None:
            self._settle(heard)

    def _screen(self, records: Sequence[Record]) -> Screening | None:
        if self._replayer is None:
            return None
        wanted = [record for record in records if record.step.height not in self._span.skip]
        return self._replayer.screen(wanted, self._owner, self._say)

    def _settle(self, heard: Heard) -> None:
        """Check some steps, and note which of them have to be judged alone."""
        for record in heard.records:
            requests = None if heard.came_out is None else heard.came_out.get(record.id)
            look = self._check if requests is None else self._check_what_came_out
            if self._take(record, look) is not None:
                self._sound = False
                continue
            if heard.came_out is None:
                continue
            if record.step.height in self._span.skip:
                continue
            self._replayed += 1
            if requests is None:
                self._again.append(Link(record.id, record.step))
            else:
                self._take(record, partial(self._look_beyond, requests=requests))

    def _judge_again(self, links: Sequence[Link]) -> None:
        """Judge what did not come out, each alone, from the lowest up, as far as the first MISMATCH."""
        self._judge_apart(self._again)
        if self._problem is not None and self._problem.cause == GLOBAL:
            # Counted downwards, what code keeps may have met what is recorded: then the first step to differ is below.
            below = [link for link in links if link.step.height < (self._problem.height or 0)]
            self._judge_apart([link for link in below if link not in self._again and not self._comes_out_anew(link)])

    def _judge_apart(self, links: Sequence[Link]) -> None:
        given_up = 0
        for link in reversed(links):
            height = link.step.height
            if self._is_beyond_a_mismatch(height):
                return
            if given_up == MAX_GIVEN_UP:
                reason = f"from here on nothing was judged: {MAX_GIVEN_UP} steps below took too long"
                self._note(Problem(verdict=UNVERIFIABLE, cause=TIMEOUT, reason=reason), link.id, height)
                return
            self._say(height, now=True)
            for record in self._readable(self._tools.histories.records(self._span, [link], None)):
                found = self._take(record, self._judge_alone)
                cause = None if found is None else found.cause
                given_up += cause == TIMEOUT
                self._replayed -= cause in (TIMEOUT, DIED)

    def _comes_out_anew(self, link: Link) -> bool:
        replayer = self._replayer
        assert replayer is not None
        self._say(link.step.height)
        records = [*self._readable(self._tools.histories.records(self._span, [link], None))]
        return len(replayer.screen(records, self._owner, self._say, anew=True).finish()) == len(records)

    def _check_what_came_out(self, record: Record) -> Problem | None:
        return self._check(record, came_out=True)

    def _check(self, record: Record, *, came_out: bool = False) -> Problem | None:
        """Check what needs no replay, or what a step that came out as recorded does not show by that."""
        found = check_record(self._tools.reader, record, self._tools.closure, came_out=came_out)
        found = found or self._tools.components.judge(record)
        return found or check_senders(self._tools.reader, record, self._tools.chains, self._own)

    def _judge_alone(self, record: Record) -> Problem | None:
        """Replay the step where nothing ran before, and find out why it differs if it does."""
        replayer, store = self._replayer, self._tools.store
        assert replayer is not None
        store.missing.clear()
        found = replayer.judge(record, self._owner, lambda: self._say(record.step.height, now=True))
        if found is None:
            return self._look_beyond(record, replayer.requests)
        if found.cause == OUTPUT and store.missing and not self._span.whole:
            some = Id(min(store.missing))
            return Problem(verdict=UNVERIFIABLE, cause=MISSING, path=str(some), reason=f"the code asks for {some}")
        return found

    def _look_beyond(self, record: Record, requests: Mapping[str, bytes]) -> Problem | None:
        """The step came out as recorded; what of it do other histories and our clock deny?"""
        found = world_gave_up(record, requests)
        if self._tools.asked_again is not None:
            found = worse(self._tools.asked_again.judge(record, requests), found)
        return found or check_clock(record, self._tools.chains, now=time.time_ns() // 1000)

    def _take(self, record: Record, look: Callable[[Record], Problem | None]) -> Problem | None:
        """Take what looking at a step gives, whatever happens to whom looks."""
        try:
            found = look(record)
        except (StoreError, ObjectError) as error:
            found = reading_problem(error, whole=self._span.whole)
        except HungUp:
            raise
        except Exception as error:
            # What a history or a performer can do to us must not cost the verdict on all other steps.
            found = Problem(verdict=UNVERIFIABLE, cause=DIED, reason=f"the judge failed: {said_by(error)}")
        if found is not None:
            self._note(found, record.id, record.step.height)
        return found

    def _note(self, problem: Problem, id: StepId, height: int) -> None:
        self._problem = worse(self._problem, located(problem, id, height))

    def _readable(self, found: Iterator[Record | Problem]) -> Iterator[Record]:
        for record in found:
            if isinstance(record, Record):
                yield record
            else:
                self._sound = False
                self._problem = worse(self._problem, record)

    def _is_beyond_a_mismatch(self, height: int) -> bool:
        problem = self._problem
        return problem is not None and problem.verdict == MISMATCH and -1 < (problem.height or 0) < height

    def _follow(self) -> None:
        """Look up messages along the history to which this span belongs; the first time only."""
        head = None
        if not self._span.again:
            # Without its head each message is looked up by itself, and who can't read the head is told by its own span.
            with suppress(StoreError, ObjectError):
                head = self._tools.reader.step(self._span.head)
        self._tools.chains.follow(head)

    def _owner(self) -> str:
        """The sender of the genesis. That the span's `genesis` is the first step of this history, our caller checks."""
        genesis = StepId(Id(self._span.genesis))
        step = self._tools.reader.step(genesis)
        if step.height != 0 or step.actor != self._span.actor:
            raise Missing(genesis)
        return self._tools.reader.message(step.consumed[0]).sender

    def _say(self, height: int, *, passed: int = 0, now: bool = False) -> None:
        """Say that we live, from time to time; always if whoever waits has to know the step."""
        if now or self._span.each or time.monotonic() - self._said > _SAY_SECONDS:
            self._tools.pipe.send(At(height, passed))
            self._said = time.monotonic()


def _tools(pipe: Pipe[ToJudge], setup: Setup, performers: Performers) -> Tools:
    store = PipeStore(pipe)
    reader: Reader = ReadOnce(store)
    chains = StoredChains(store, reader)
    replayer, asked_again = None, None
    if not setup.integrity_only:
        replayer = Replayer(
            reader,
            PerformedStage(performers, setup),
            Path(setup.components),
            lambda text: pipe.send(Preparing(text)),
            store.before,
        )
        if setup.deep:
            asked_again = AskedAgain(reader, chains, replayer.engines)
    return Tools(
        pipe,
        store,
        reader,
        Histories(store, reader),
        Closure(reader),
        ComponentCheck(reader),
        chains,
        replayer,
        asked_again,
    )
