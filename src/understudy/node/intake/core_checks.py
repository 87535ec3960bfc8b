"""Checks of cores: code that comes in is loaded before anything is accepted, and loading may end the process.

The law: a core that ended the process twice while it was checked is refused, until an operator resumes it by its id.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from understudy.node.errors import Held
from understudy.node.holds import HELD, Holds, Kind
from understudy.node.running.forks import end_copy
from understudy.node.running.marks import Mark, Marks, What
from understudy.objects.ids import ActorId, TreeId


class CoreChecks:
    """Marks each check, so that one which ends the process is known at the next start. From any thread."""

    def __init__(self, holds: Holds, marks: Marks) -> None:
        self._holds = holds
        self._marks = marks
        # Suspects are checked one at a time, so that the next crash has one culprit.
        self._suspects = threading.Lock()

    @contextmanager
    def running(self, core: TreeId) -> Iterator[None]:
        """While the code of a core is loaded. Raises Held for one that ended the process twice."""
        # A core that is checked is no actor yet, or the next core of one: so its own id stands for it.
        actor = ActorId(core)
        hold = self._holds.get(actor, Kind.CHECK)
        if hold is not None and hold.state == HELD:
            raise Held(f"this core is not loaded: {hold.reason}")
        with self._suspects if hold is not None else nullcontext():
            slot = self._marks.enter(Mark(actor, What.CHECK))
            try:
                yield
            finally:
                end_copy()
                self._marks.leave(slot)
                if hold is not None:
                    self._holds.remove(actor, [Kind.CHECK])
