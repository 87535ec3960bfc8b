"""Activity: how many steps there were in each part of a span of time.

The cost is that of some hundred reads, however long the history is: times only grow along a history, so the beginning of
each part is found by a binary search. In the order of a whole node they nearly do; where the clock was set back, or a
history was imported, the numbers there are rough.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId
from understudy.store.errors import StoreError
from understudy.store.keys import FEED, feed_row, height_row, heights_of
from understudy.store.port import Backend
from understudy.store.reader import Reader

MAX_PARTS: Final = 200


class Activity:
    """The steps of one actor, or of all, by the time when they happened."""

    def __init__(self, backend: Backend, reader: Reader, actor: ActorId | None) -> None:
        self._backend = backend
        self._reader = reader
        self._prefix = FEED if actor is None else heights_of(actor)
        self._actor = actor
        self._times: dict[int, int] = {}

    def counts(self, edges: Sequence[int]) -> list[int]:
        """The number of steps from each edge to before the next one; edges are microseconds since 1970 and ascend."""
        assert len(edges) <= MAX_PARTS + 1, "each edge costs a search"
        first, end = self._first(), self._last() + 1
        places = []
        for edge in edges:
            first = self._search(edge, first, end)
            places.append(first)
        return [max(0, later - earlier) for earlier, later in pairwise(places)]

    def number_at(self, time: int) -> int | None:
        """The number of the last step that is not later than a time: of an actor its height. None if all are later."""
        first, end = self._first(), self._last() + 1
        found = self._search(time + 1, first, end) - 1
        return found if found >= first else None

    def _search(self, edge: int, low: int, high: int) -> int:
        """The first number whose step is not before an edge."""
        while low < high:
            middle = (low + high) // 2
            if self._time(middle) < edge:
                low = middle + 1
            else:
                high = middle
        return low

    def _time(self, number: int) -> int:
        if number not in self._times:
            self._times[number] = self._read_time(number)
        return self._times[number]

    def _read_time(self, number: int) -> int:
        value = self._backend.row(self._row(number))
        try:
            # What is not there, or can't be read, counts as early: a history may begin late, and a count is no proof.
            return 0 if value is None else self._reader.step(value).time
        except (StoreError, ObjectError):
            return 0

    def _row(self, number: int) -> bytes:
        return feed_row(number) if self._actor is None else height_row(self._actor, number)

    def _first(self) -> int:
        row = next(iter(self._backend.rows(self._prefix)), None)
        return 0 if row is None else int.from_bytes(row[0][-8:], "big")

    def _last(self) -> int:
        end = self._prefix + b"\xff" * 8
        row = next(iter(self._backend.rows(self._prefix, end, reverse=True)), None)
        return -1 if row is None else int.from_bytes(row[0][-8:], "big")
