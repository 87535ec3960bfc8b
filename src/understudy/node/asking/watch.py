"""The watch over queries: a mark for each that runs, so that one which ends the process is known at the next start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from understudy.actors.errors import WitError
from understudy.node.holds import HELD, Hold, Holds, Kind
from understudy.node.running.marks import Flag, Mark, Marks, What
from understudy.objects.ids import ActorId

QUERIES_HELD: Final = "Held"  # the word in which a query fails whose actor ended the process
TURN_SECONDS: Final = 5.0  # how long one suspect waits for another


class QueryWatch:
    """Marks queries, and lets those of suspects run one at a time, so that the next death has one culprit. From any thread."""

    def __init__(self, holds: Holds, marks: Marks) -> None:
        self._holds = holds
        self._marks = marks
        self._questions = count(1)
        self._suspects = threading.RLock()

    def new_question(self) -> int:
        """A number for one question and all that it leads to."""
        return next(self._questions)

    def hold_on(self, actor: ActorId) -> Hold | None:
        """The hold on the queries of an actor now."""
        return self._holds.get(actor, Kind.QUERIES)

    @contextmanager
    def running(
        self, actor: ActorId, name: str, *, hold_before: Hold | None, question: int, depth: int
    ) -> Iterator[None]:
        """While a query runs, and its code is loaded. Raises WitError if the queries of this actor are held.

        `hold_before` is the hold from before the step was chosen: an update may have ended it since, and the step is older.
        """
        hold = hold_before or self.hold_on(actor)
        if hold is not None and hold.state == HELD:
            raise WitError(QUERIES_HELD, f"the queries of {actor} are held: {hold.reason}")
        if hold is not None and not self._suspects.acquire(timeout=TURN_SECONDS):
            raise WitError(QUERIES_HELD, f"{hold.reason}; another one runs now: ask again")
        mark = Mark(actor, What.QUERY, Flag.RUNNING, name, question=question, depth=depth)
        try:
            with self._marks.running(mark):
                yield
        finally:
            if hold is not None:
                self._suspects.release()
        if hold is not None:
            self._holds.remove(actor, [Kind.QUERIES])
