"""Replays of steps: the two halves of the kernel around code that runs on a stage, and the comparison with the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from msgspec import Struct

from understudy.actors.contract import Engine, StepResult
from understudy.actors.errors import WitError
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.stage import Stage, perform
from understudy.kernel.advance import Plan
from understudy.kernel.compare import Difference
from understudy.kernel.replay import Record, engine_keeps_room, finish_replay, prepare_replay
from understudy.kernel.replay_verdict import judge_replay
from understudy.kernel.retries import RETRIES_EXHAUSTED
from understudy.kernel.seal import Sealed
from understudy.kernel.verdict import Problem
from understudy.objects.ids import TreeId
from understudy.store.reader import Reader, Staging

Engines = Mapping[str, Engine]
Owner = Callable[[], str]


class Planned(Struct, frozen=True, kw_only=True):
    """A step that is about to be made again, and the calls that it will make."""

    plan: Plan
    calls: ReplayCalls


class Replay(Struct, frozen=True, kw_only=True):
    """A step that was made again; `engine` is the text of what made it."""

    sealed: Sealed
    engine: str
    calls: ReplayCalls


class Replays:
    """Makes steps again."""

    def __init__(self, reader: Reader, stage: Stage) -> None:
        self._reader = reader
        self._stage = stage

    def make(self, record: Record, owner: Owner, engines: Engines, *, timers_first: int = 0, room: int = 0) -> Replay:
        """Make a step again. Raises StoreError, and what a stage raises."""
        planned = self.plan(record, owner, engines, timers_first=timers_first, room=room)
        plan = planned.plan
        try:
            result = plan.result if plan.program is None else perform(plan.program, plan.given)
        except WitError as error:
            return self.unloaded(record, planned, owner, engines, error)
        assert result is not None
        if result.outcome is None and result.core != record.step.core:
            # The kernel looks at a new core, and this one is where the code ran.
            self._stage.staged(plan.given.store)
        return self.finish(record, planned, result)

    def plan(self, record: Record, owner: Owner, engines: Engines, *, timers_first: int = 0, room: int = 0) -> Planned:
        """The first half. Raises StoreError."""
        calls = ReplayCalls(
            record.answers,
            self._reader,
            exhausted=_exhausted(record),
            timers_first=timers_first,
            room=room,
            keeps_room=engine_keeps_room(record.step.engine),
        )
        plan = prepare_replay(record, staging=Staging(self._reader), calls=calls, engines=engines, owner=owner)
        return Planned(plan=plan, calls=calls)

    def unloaded(self, record: Record, planned: Planned, owner: Owner, engines: Engines, error: WitError) -> Replay:
        """The step whose code can't be loaded. A stage loads code where it runs it; then it is the kernel's to settle."""
        unloadable = dict.fromkeys(engines, _Unloadable(error))
        again = self.plan(record, owner, unloadable)
        again.calls.tried, again.calls.refused = planned.calls.tried, planned.calls.refused
        assert again.plan.result is not None
        return self.finish(record, again, again.plan.result)

    def finish(self, record: Record, planned: Planned, result: StepResult) -> Replay:
        """The second half."""
        sealed = finish_replay(record, planned.plan, result)
        return Replay(sealed=sealed, engine=result.engine, calls=planned.calls)

    def compare(self, record: Record, replay: Replay) -> Problem | None:
        """What is wrong with a record, after its replay was the last thing that the stage did."""
        both = self._reader
        if replay.sealed.id != record.id:
            # Only then is what came out looked at.
            both = staging = Staging(self._reader)
            self._stage.staged(staging)
            for block in replay.sealed.unit.blocks:
                staging.put(block)
        calls = replay.calls
        call = None
        if calls.problem is not None:
            path, recorded, request = calls.problem
            call = Difference(path=f"data.journal.{path}", recorded=recorded, replayed=request)
        return judge_replay(both, record, replay.sealed, engine=replay.engine, call=call, stuck=calls.stuck)


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


def _exhausted(record: Record) -> str | None:
    outcome = record.step.outcome
    return outcome.text if outcome is not None and outcome.code == RETRIES_EXHAUSTED else None
