"""Parking: messages that are tried again later, and actors that rest; each until a set time.

The law: a parked message delays only the messages of its own inbox key, and an update is never delayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from understudy.actors.contract import Delivery
from understudy.node.running.entry import ActorEntry


class Parking:
    """Keeps the times; the messages stay with their actors."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ActorEntry, str | None]] = []  # a key of its mail, or all but its updates
        self._count = count()

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def next(self) -> float | None:
        """The first moment."""
        return self._heap[0][0] if self._heap else None

    def park(self, entry: ActorEntry, taken: list[Delivery], key: str, until: float) -> None:
        """Put messages back, and set all those of their inbox key aside for a while."""
        entry.waiting.put_back(taken)
        entry.waiting.park(key)
        entry.parked[key] = until
        self._set(until, entry, key)

    def rest(self, entry: ActorEntry, reason: str, until: float) -> None:
        """Let an actor take nothing but updates for a while."""
        entry.slowed, entry.rests_until = reason, until
        self._set(until, entry, None)

    def end_at_once(self, entry: ActorEntry) -> None:
        """Try all parked messages at once, and count their attempts from the beginning: an update may have repaired the actor."""
        for key in list(entry.parked):
            self._unpark(entry, key)
        entry.attempts.clear()
        entry.host_errors.clear()

    def wake(self, now: float) -> Iterator[ActorEntry]:
        """The actors that may go on, as their time has come."""
        while self._heap and self._heap[0][0] <= now:
            moment, _, entry, key = heappop(self._heap)
            if key is None:
                # An update may have ended that rest, and another one begun since.
                if entry.rests_until == moment:
                    entry.slowed = None
            elif entry.parked.get(key) == moment:
                # Else an update let it go on before, and it may have been parked again since.
                self._unpark(entry, key)
            yield entry

    def _set(self, moment: float, entry: ActorEntry, key: str | None) -> None:
        heappush(self._heap, (moment, next(self._count), entry, key))

    def _unpark(self, entry: ActorEntry, key: str) -> None:
        del entry.parked[key]
        entry.waiting.unpark(key)
