"""The timetable: which timers wait, when each is due next, and what below `/timers` is none."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from understudy.objects.errors import BadTimer, ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id
from understudy.objects.schedule import next_due
from understudy.objects.timer import TIMERS, Timer
from understudy.store.errors import StoreError
from understudy.store.maps import tree_entry
from understudy.store.port import Backend
from understudy.store.reader import Reader
from understudy.store.timer_files import is_tree, read_file
from understudy.store.timer_rows import DUE, NEVER, due_row, read_due_row, read_timer_row, read_timer_value, timers_of
from understudy.store.timer_rows import TIMERS as ROWS

WAITS: Final = "waiting"
RANG: Final = "rang"  # its message is sent, and not consumed yet
ASLEEP: Final = "asleep"  # its actor came out of a file, and did not step here yet
WRONG: Final = "wrong"
_MOST_RANG: Final = 10_000  # timers that are searched for those that rang: they are in no order of time


class Scheduled(Struct, frozen=True, kw_only=True):
    """A file below `/timers`: `due` in microseconds since 1970 (None: never), and the timer, or why it is none."""

    actor: ActorId
    name: str
    state: str
    due: int | None = None
    timer: Timer | None = None
    error: str | None = None


class Timetable:
    """Looks into a store. What it says is durable."""

    def __init__(self, backend: Backend, reader: Reader) -> None:
        self._backend = backend
        self._reader = reader

    def all(self, *, limit: int) -> list[Scheduled]:
        """What is due first, of all actors, and what is no timer."""
        waiting = ((read_due_row(key), Id(value)) for key, value in self._backend.rows(DUE))
        found = [self._scheduled(at.actor, at.name, at.due, file) for at, file in islice(waiting, limit)]
        return [*self._rang(), *(one for one in found if one.state != WRONG), *self.wrong(limit=limit)]

    def _rang(self) -> Iterator[Scheduled]:
        """Those whose message waits: their actors are slow, or no node runs."""
        for key, value in islice(self._backend.rows(ROWS), _MOST_RANG):
            actor, name = read_timer_row(key)
            if name and (said := read_timer_value(value)).rang is not None:
                yield self._scheduled(actor, name, said.due, said.file, RANG)

    def wrong(self, *, limit: int) -> list[Scheduled]:
        """What stands below `/timers` and is no timer, of all actors."""
        never = DUE + NEVER.to_bytes(8, "big")
        rows = ((read_due_row(key), Id(value)) for key, value in self._backend.rows(never))
        return [self._scheduled(at.actor, at.name, NEVER, file) for at, file in islice(rows, limit)]

    def of(self, actor: ActorId, core: bytes, since: int, *, limit: int) -> list[Scheduled]:
        """The timers of one actor, what is due first before the others. `core` is that of its head, made at `since`."""
        try:
            link = tree_entry(self._reader, core, TIMERS)
        except WrongKind:
            # It was born of something else than a tree, and has none.
            return []
        if self._backend.row(timers_of(actor)) != link:
            return list(islice(self._asleep(actor, link, since), limit))
        return nsmallest(limit, self._indexed(actor, link), key=lambda one: NEVER if one.due is None else one.due)

    def _indexed(self, actor: ActorId, link: Id | None) -> Iterator[Scheduled]:
        if link is not None and self._backend.row(due_row(NEVER, actor, "")) is not None:
            yield self._scheduled(actor, "", NEVER, link)
        for key, value in self._backend.rows(timers_of(actor)):
            _, name = read_timer_row(key)
            if name:
                said = read_timer_value(value)
                yield self._scheduled(actor, name, said.due, said.file, RANG if said.rang else WAITS)

    def _asleep(self, actor: ActorId, link: Id | None, since: int) -> Iterator[Scheduled]:
        if link is None or not is_tree(self._reader, link):
            return
        for name, file in self._reader.tree(link).items():
            yield self._scheduled(actor, name, None, file, ASLEEP, since=since)

    def _scheduled(
        self, actor: ActorId, name: str, due: int | None, file: Id, state: str = WAITS, *, since: int = 0
    ) -> Scheduled:
        try:
            if not name:
                raise BadTimer(f"/{TIMERS} itself is {self._reader.kind(file)}: timers are files in a tree there")
            timer = read_file(self._reader, file)
            # Also where the machine did not know a zone, and does now.
            first = next_due(timer, since, ZoneInfo)
        except (StoreError, ObjectError) as error:
            return Scheduled(actor=actor, name=name, state=WRONG, error=str(error))
        due = first if due is None else due
        if due is None or due == NEVER:
            error_text = "it is not due any more, or was not understood when it was set: set it again"
            return Scheduled(actor=actor, name=name, state=WRONG, timer=timer, error=error_text)
        return Scheduled(actor=actor, name=name, state=state, due=due, timer=timer)
