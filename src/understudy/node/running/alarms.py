"""Alarms: what has to be done at a later moment, though nothing happens until then."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from understudy.node.running.entry import ActorEntry


class Alarms:
    """Actors to look at again, each at its moment: for the messages of one inbox key, or (None) for all that it may do."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ActorEntry, str | None]] = []
        self._count = count()

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def next(self) -> float | None:
        """The moment of the first one."""
        return self._heap[0][0] if self._heap else None

    def set(self, moment: float, entry: ActorEntry, key: str | None) -> None:
        """Look at an actor again at this moment."""
        heappush(self._heap, (moment, next(self._count), entry, key))

    def due(self, now: float) -> Iterator[tuple[ActorEntry, str | None]]:
        """Those whose moment has come. They are gone then."""
        while self._heap and self._heap[0][0] <= now:
            _, _, entry, key = heappop(self._heap)
            yield entry, key
