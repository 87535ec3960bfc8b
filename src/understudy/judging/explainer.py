"""The explainer: why the code of a step gives something else than what is recorded. It changes no verdict's word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from understudy.judging.replays import Engines, Owner, Replays
from understudy.judging.stage import Stage
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verify import GLOBAL, Problem
from understudy.store.reader import Reader

MAX_KEPT_STEPS: Final = 1024  # how far back is looked for a global that shows in a step


class Explainer:
    """Runs the step in other ways: beside a witness, and in one namespace with those before it."""

    def __init__(self, reader: Reader, stage: Stage, replays: Replays, others: Engines) -> None:
        """`others` are engines beside Python."""
        self._reader = reader
        self._stage = stage
        self._replays = replays
        self._others = others

    def explain(self, record: Record, owner: Owner, problem: Problem) -> Problem:
        """The problem with its cause, as far as one is found."""
        self._replays.make(record, owner, {**self._others, "python": self._stage.watched()})
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
        kept: Engines = {**self._others, "python": self._stage.kept()}
        replay = None
        for record in records:
            replay = self._replays.make(record, owner, kept)
        return replay is not None and replay.sealed.id == records[-1].id

    def _earlier(self, record: Record) -> Iterator[Record]:
        while record.step.parent is not None:
            record = read_record(self._reader, record.step.parent)
            yield record
