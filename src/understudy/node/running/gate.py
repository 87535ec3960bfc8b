"""The gate: which messages each actor may take at this moment.

The law: updates of actors that are born always go through, except during the short time in which another actor is tried alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Final

from understudy.node.running.entry import ActorEntry
from understudy.objects.ids import ActorId

ALONE_SECONDS: Final = 2.0  # how long the others wait for a message that may end the process


class Allowed(Enum):
    """What an actor may take."""

    ALL = "all"
    UPDATES = "updates"
    BIRTH = "birth"  # its genesis, and updates
    NOTHING = "nothing"


class Gate:
    """Closed, it lets only updates and births through. Then suspects are tried, one after the other, then it is open.

    The thread with the step lock alone touches it; the watchdog asks `is_overdue`.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._suspects: deque[ActorId] = deque()
        self._alone: ActorEntry | None = None
        self._until = 0.0

    @property
    def alone(self) -> ActorEntry | None:
        """The actor that is being tried, while nothing else begins."""
        return self._alone

    @property
    def until(self) -> float | None:
        """When the others have waited long enough for a trial; None if there is none."""
        return None if self._alone is None else self._until

    @property
    def wants_suspect(self) -> bool:
        """True if the next trial may begin."""
        return not self.is_closed and self._alone is None and bool(self._suspects)

    def suspect(self, actors: Iterable[ActorId]) -> None:
        """These actors are to be tried."""
        self._suspects.extend(actors)

    def next_suspect(self) -> ActorId:
        """The actor to be tried next."""
        return self._suspects.popleft()

    def begin(self, entry: ActorEntry, now: float) -> None:
        """From now on only this actor steps."""
        self._alone, self._until = entry, now + ALONE_SECONDS

    def end(self) -> None:
        """The trial is over, or has taken too long."""
        self._alone = None

    def is_overdue(self, now: float) -> bool:
        """True if the others have waited long enough for a trial."""
        return self._alone is not None and now >= self._until

    def allows(self, entry: ActorEntry) -> Allowed:
        """What an actor may take now."""
        if self._alone is not None:
            return Allowed.ALL if entry is self._alone else Allowed.NOTHING
        if (
            entry.held is None
            and entry.slowed is None
            and not self.is_closed
            and (not entry.suspect or entry.actor.id not in self._suspects)
        ):
            return Allowed.ALL
        if entry.actor.step is not None:
            return Allowed.UPDATES
        is_let = not entry.suspect if entry.held is None else entry.held.is_replaced
        # Its birth goes before an update: who is not to be born takes nothing at all.
        return Allowed.BIRTH if is_let else Allowed.NOTHING
