"""A performer: the process that runs the wits of one history and one version of its code for a judge.

It is not believed. What comes from it is what the code came out with; the judge makes the step of it and compares.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Final

from understudy.actors.contract import Delivery, Program, StepInput
from understudy.actors.errors import WitError
from understudy.actors.query import Blob, Error, QueryInput, QueryProgram, result_bytes
from understudy.engines.room import put_back, use_room
from understudy.judging.no_calls import NoCalls, ask_nobody
from understudy.judging.other_threads import OWN_THREAD
from understudy.judging.pipe import HungUp, Pipe
from understudy.judging.pipe_store import PipeReader, PipeStore
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.shut_world import ShutWorld
from understudy.judging.stage import LocalStage, perform
from understudy.judging.upwards import MAX_SECONDS, steps_of_long_flows
from understudy.judging.wire import (
    FRESH,
    KEPT,
    MINGLED,
    WATCHED,
    Answered,
    Broken,
    GetStaged,
    LoadedQuery,
    LoadQuery,
    Ran,
    Rans,
    Refused,
    Run,
    RunQuery,
    Runs,
    Setup,
    Staged,
    ToPerformer,
    Unreadable,
    said_by,
)
from understudy.objects.codec import decode
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.journal import CallError, journal_block, read_journal
from understudy.objects.mailbox import Cursor, Mailbox
from understudy.store.errors import Corrupt, Missing
from understudy.store.reader import Reader, Staging

HELD_SECONDS: Final = 0.02  # how long what came out may wait for more of it
PARENT_SECONDS: Final = 1.0  # how often a process looks whether it still has a parent


def perform_for(pipe: Pipe[ToPerformer]) -> None:
    """Do what a judge asks until it hangs up."""
    try:
        setup = pipe.receive()
        assert isinstance(setup, Setup)
        performer = _Performer(pipe, setup)
        performer.shut_the_world()
        # Not before: a thread that is there already would keep what the system takes away.
        end_with_parent()
        while True:
            performer.answer(pipe.receive())
    except HungUp:
        return
    except Exception as error:
        # Whatever it is, the judge has to hear of it: it can't see our stderr.
        pipe.send(Broken(said_by(error)))


def end_with_parent() -> None:
    """End when the process that started this one is gone, also in the middle of a step."""
    threading.Thread(target=_watch, args=(os.getppid(),), name=OWN_THREAD, daemon=True).start()


class _Performer:
    def __init__(self, pipe: Pipe[ToPerformer], setup: Setup) -> None:
        self._pipe = pipe
        self._store = PipeStore(pipe)
        self._reader: Reader = PipeReader(self._store)
        self._stage = LocalStage(setup.modules)
        self._world = ShutWorld(self._stage.path_of)
        self._fresh, self._kept = self._stage.fresh(), self._stage.kept()
        self._query: QueryProgram | None = None
        self._staging = Staging(self._reader)

    def shut_the_world(self) -> None:
        """From now on code that runs here reaches nothing outside. The judge hears what the system refuses it."""
        listener = self._world.shut(self._pipe.other_side())
        self._pipe.hand_over(listener)
        if listener is not None:
            os.close(listener)

    def answer(self, asked: ToPerformer) -> None:
        """Do one thing and say what came out."""
        self._world.begin()
        try:
            match asked:
                case Runs():
                    self._run_all(asked)
                case LoadQuery():
                    self._query = self._stage.fresh().load_query(TreeId(Id(asked.core)), self._reader)
                    self._pipe.send(LoadedQuery(self._query.is_external))
                case RunQuery():
                    self._answer_query(asked)
                case GetStaged():
                    blocks = {bytes(block.id): block.data for block in self._staging.new.values()}
                    self._pipe.send(Staged(blocks))
                case _:
                    raise AssertionError(f"not asked for: {asked}")
        except WitError as error:
            self._pipe.send(Refused(error.code, error.text, tried=self._tried()))
        except (Missing, Corrupt) as error:
            self._pipe.send(_unreadable(error))

    def _run_all(self, asked: Runs) -> None:
        self._store.hold(asked.ahead)
        found: list[Ran | Refused | Unreadable] = []
        sent = time.monotonic()
        known = self._run_upwards(asked.runs)
        for number, run in enumerate(asked.runs):
            found.append(known.get(number) or self._try(run))
            if time.monotonic() - sent > HELD_SECONDS:
                # Whatever takes the process down later does not cost what came out before.
                self._pipe.send(Rans(found))
                found, sent = [], time.monotonic()
        if found:
            self._pipe.send(Rans(found))

    def _run_upwards(self, runs: Sequence[Run]) -> dict[int, Ran]:
        """What came out of those in which long flows go on, as far as that can be had apart; by their number."""
        numbers = steps_of_long_flows(runs, self._reader)
        if len(numbers) < 2:
            return {}
        found: dict[int, Ran] = {}
        apart, until = self._stage.apart(), time.monotonic() + MAX_SECONDS
        try:
            for number in numbers:
                self._world.begin()
                program = apart.load(Id(runs[number].core), runs[number].entry, self._reader)
                if program is None or time.monotonic() > until:
                    break
                ran = self._run(runs[number], program)
                if not apart.is_as_it_was:
                    break
                found[number] = ran
        except (WitError, Missing, Corrupt):
            # It comes again where the step runs in its turn, and is told there.
            return found
        finally:
            apart.let_go()
        return found

    def _try(self, run: Run) -> Ran | Refused | Unreadable:
        self._world.begin()
        try:
            return self._run(run)
        except WitError as error:
            return Refused(error.code, error.text, tried=self._tried())
        except (Missing, Corrupt) as error:
            return _unreadable(error)

    def _run(self, run: Run, program: Program | None = None) -> Ran:
        use_room(is_kept=run.keeps_room, more=run.room)
        put_back()
        engine = {FRESH: self._fresh, KEPT: self._kept, MINGLED: self._kept}.get(run.way) or self._stage.watched()
        with self._stage.sharing(run.spot) if run.way == MINGLED else nullcontext():
            program = program or engine.load(TreeId(Id(run.core)), run.entry, self._reader)
            given = self._given(run)
            result = perform(program, given)
        outlive = self._world.let_threads_end()
        calls = given.calls
        assert isinstance(calls, ReplayCalls)
        return Ran(
            result=result,
            journal=journal_block(calls.entries).data if calls.entries else None,
            asked=calls.problem,
            stuck=calls.stuck,
            requests=calls.requests,
            noted=self._stage.noted() if run.way in (WATCHED, MINGLED) else (),
            raced=calls.raced,
            tried=self._tried(),
            threads=list(self._world.threads),
            outlive=outlive,
            peeked=[str(read) for read in self._world.peeked],
        )

    def _answer_query(self, asked: RunQuery) -> None:
        assert self._query is not None
        id, calls = StepId(Id(asked.step)), NoCalls()
        step = self._reader.step(id)
        context = Blob(asked.context, asked.media_type)
        given = QueryInput(
            actor=step.actor, step_id=id, step=step, name=asked.name, context=context, store=self._reader, calls=calls
        )
        try:
            result = ask_nobody(self._query, given)
        except WitError as error:
            self._pipe.send(Refused(error.code, error.text, calls.asked, self._tried()))
            return
        reply, failure = None, None
        if isinstance(result, Error):
            failure = CallError(result.code, result.text)
        else:
            reply = result_bytes(result)
        self._pipe.send(Answered(reply=reply, error=failure, asked=calls.asked, tried=self._tried()))

    def _tried(self) -> list[str]:
        return [str(tried) for tried in self._world.tried]

    def _given(self, asked: Run) -> StepInput:
        answers = () if asked.journal is None else read_journal(decode(asked.journal))
        self._staging = Staging(self._reader)
        return StepInput(
            actor=ActorId(TreeId(Id(asked.actor))),
            parent=None if asked.parent is None else StepId(Id(asked.parent)),
            height=asked.height,
            time=asked.time,
            seed=asked.seed,
            core=TreeId(Id(asked.core)),
            inbox=_mailbox(asked.inbox),
            outbox=_mailbox(asked.outbox),
            messages=[Delivery(MessageId(Id(id)), message) for id, message in asked.consumed],
            store=self._staging,
            abi=asked.abi,
            calls=ReplayCalls(answers, self._reader, exhausted=asked.exhausted, timers_first=asked.timers_first),
        )


def _mailbox(said: Mapping[str, Cursor] | bytes) -> Mailbox:
    return Id(said) if isinstance(said, bytes) else said


def _unreadable(error: Missing | Corrupt) -> Unreadable:
    return Unreadable(error.id or b"", str(error), isinstance(error, Missing))


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(PARENT_SECONDS)
    os._exit(1)
