"""Neighbours: actors whose code ran in the process that made a step, and may have changed what both use.

The law: a neighbour is named only if the step comes out as recorded after the neighbour's own, and not without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from understudy.engines.python.engine import NAME as PYTHON
from understudy.judging.performer_process import PerformerLost
from understudy.judging.replays import Engines, Replays
from understudy.judging.stage import Stage
from understudy.kernel.replay import Record, engine_name, read_record
from understudy.objects.errors import ObjectError
from understudy.objects.ids import StepId
from understudy.objects.mailbox import UPDATE
from understudy.store.errors import StoreError
from understudy.store.reader import Reader

MAX_ALONE: Final = 8  # steps of neighbours that are tried each by itself
MAX_SECONDS: Final = 60.0  # for all of it: it explains, and decides nothing
MAX_NAMES: Final = 3  # of what was changed: the first is what to mend

Before = Callable[[StepId], Sequence[StepId]]
Say = Callable[[], None]


class _Changer(NamedTuple):
    """A step of a neighbour, and what it changed of what all code in a process shares."""

    record: Record
    names: Sequence[str]


class _Came(NamedTuple):
    """What came of steps in one process: whether the last came out as recorded, and what each of them changed."""

    came_out: bool
    changers: Sequence[_Changer]


class _TooLong(Exception):
    """There was no time for more."""


class Neighbours:
    """Looks for the neighbour that had a part in a step. `before` names the steps before one in its node's feed."""

    def __init__(self, reader: Reader, stage: Stage, replays: Replays, others: Engines, before: Before) -> None:
        """`others` are engines beside Python."""
        self._reader = reader
        self._stage = stage
        self._replays = replays
        self._others = others
        self._before = before
        self._until = 0.0
        self._say: Say = lambda: None

    def blame(self, record: Record, say: Say) -> str | None:
        """Whose code gave the step what is recorded, and where; None if no neighbour did as far as is known.

        `say` is called before each step that is made again. A neighbour whose objects can't be read explains nothing, and
        is no fault of this history.
        """
        if engine_name(record.step.engine) != PYTHON:
            return None
        self._until, self._say = time.monotonic() + MAX_SECONDS, say
        try:
            changer = self._find(record, self._read_before(record))
            return None if changer is None else self._told(changer, record)
        except (PerformerLost, StoreError, ObjectError, _TooLong):
            return None

    def _find(self, record: Record, earlier: Sequence[Record]) -> _Changer | None:
        """Try the last step before, the last two, the last four; then the one that did it is looked for among those.

        Where one of them can't be run, those that are with it show nothing: the last ones are tried alone as well.
        """
        count, all_ran = 1, True
        while earlier and count < 2 * len(earlier):
            came_out, changers = self._try([*reversed(earlier[:count]), record])
            all_ran = all_ran and bool(changers)
            if came_out:
                ordered = sorted(changers[:-1], key=lambda one: bool(one.names))
                return self._alone(record, ordered) or ordered[-1]
            count *= 2
        return None if all_ran else self._alone(record, [_Changer(one, ()) for one in reversed(earlier[:MAX_ALONE])])

    def _alone(self, record: Record, changers: Sequence[_Changer]) -> _Changer | None:
        """The last of the steps after which the step comes out as recorded without the others."""
        for one in changers[: -MAX_ALONE - 1 : -1]:
            if self._try([one.record, record]).came_out:
                return one
        return None

    def _try(self, records: Sequence[Record]) -> _Came:
        """As `_run`; what can't be run shows nothing."""
        try:
            return self._run(records)
        except (PerformerLost, StoreError, ObjectError):
            return _Came(False, ())

    def _run(self, records: Sequence[Record], spot: Sequence[str] = ()) -> _Came:
        """Make steps again in one process."""
        engines: Engines = {**self._others, PYTHON: self._stage.mingled(spot)}
        changers: list[_Changer] = []
        came_out = False
        for record in records:
            self._say()
            if time.monotonic() > self._until:
                raise _TooLong
            replay = self._replays.make(record, _no_owner, engines)
            changers.append(_Changer(record, [one.text for one in self._stage.noted()]))
            came_out = replay.sealed.id == record.id and replay.calls.problem is None
        return _Came(came_out, changers)

    def _told(self, changer: _Changer, record: Record) -> str:
        # The step goes first here, so that the libraries which it uses are loaded, and a change of them shows.
        steps = [record, changer.record]
        names = (self._run(steps).changers[-1].names or changer.names)[:MAX_NAMES]
        spotted = self._run(steps, spot=names).changers[-1].names if names else ()
        what = ", ".join(name for name in spotted if name.partition(" in ")[0] in names) or "something that both use"
        step = changer.record.step
        return (
            f"other code in the process that made the step had changed {what}: that of the actor {step.actor}, in its "
            f"step {step.height}; after that step this one comes out as recorded, and without it does not"
        )

    def _read_before(self, record: Record) -> list[Record]:
        found: list[Record] = []
        for id in self._before(record.id):
            try:
                one = read_record(self._reader, id)
            except (StoreError, ObjectError):
                continue
            # Whether an update was permitted takes its whole history.
            if one.consumed[0].message.lane != UPDATE:
                found.append(one)
        return found


def _no_owner() -> str:
    raise AssertionError("only an update asks for the owner")
