"""Timers that are due: when the clock has to be looked at, and the messages that are sent for them.

The law: what is due gets one message for each time, after a crash too. The rows that say when each is due
(`timer_index.py`) move in the unit of the message. Like the scheduler, of which it is a part, this has no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import structs

from understudy.actors.contract import Delivery
from understudy.kernel.accept import accept
from understudy.node.running.events import Rang
from understudy.node.running.timer_index import TimerIndex, rows_of, with_rows
from understudy.node.running.undurable_rows import Rows, UndurableRows
from understudy.objects.clock import Ring, clock_of, ring_headers
from understudy.objects.codec import Block, raw_block
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id
from understudy.objects.mailbox import QUEUE, Cursor, mailbox_key
from understudy.objects.schedule import MAX_COUNTED, Firing, firing
from understudy.objects.timer import Timer
from understudy.store.errors import Corrupt, StoreError
from understudy.store.keys import cursor_value, meta_row, outside_row, read_cursor_value
from understudy.store.port import Backend, Unit
from understudy.store.timer_files import read_file
from understudy.store.timer_rows import (
    DUE,
    NEVER,
    DueRow,
    due_row,
    read_due_row,
    timer_row,
    timer_value,
)
from understudy.store.verified import InFlight

MAX_RUNG: Final = 256  # timers that ring between two bursts: some 20 ms, and others have their turn
MAX_SLEEP: Final = 10.0  # seconds, after which we notice that the clock was set or the machine slept
RETRY_US: Final = 60_000_000  # after a look at rows that can't be read
MAX_RINGING: Final = 1024  # messages of the clock that are not durable yet

_log = logging.getLogger("understudy.timers")


class _Due(NamedTuple):
    """A timer that is due, and what fires of it; nothing where its file is no timer any more."""

    at: DueRow
    file: Id
    timer: Timer | None = None
    fired: Firing | None = None

    @property
    def counted(self) -> int:
        """How many missed times were counted one by one."""
        return 0 if self.timer is None or self.fired is None or self.timer.cron is None else self.fired.missed


class Timers:
    """The timers of all actors."""

    def __init__(self, backend: Backend, reader: InFlight) -> None:
        self._backend = backend
        self._reader = reader
        self._rows = UndurableRows(backend)
        self.index = TimerIndex(backend, reader, self._rows)
        self._ringing = 0
        self._from = DUE  # rows before this one are gone, or going
        self._first: int | None = 0  # when the first of the others is due; None: there is none
        self._ticked = (0.0, 0)  # the seconds and the time of the last tick
        self._clock: str | None = None

    @property
    def first(self) -> int | None:
        """When the first timer is due, in microseconds since 1970; None if there is none. It may be gone by then."""
        return self._first

    def tick(self, now_us: int, now: float) -> None:
        """Set the time: `now_us` on the node's clock is `now` on the scheduler's."""
        self._ticked = now, now_us

    @property
    def is_due(self) -> bool:
        """True if `ring` has something to look at."""
        return self._first is not None and self._first <= self._ticked[1] and self._ringing < MAX_RINGING

    @property
    def has_work(self) -> bool:
        """True if somebody should come soon: for what is due, or for a piece of the index."""
        return self.is_due or self.index.is_behind

    @property
    def next_look(self) -> float | None:
        """When the next tick has to come, in the scheduler's seconds. From any thread."""
        first, (now, now_us) = self._first, self._ticked
        if first is None or self._ringing >= MAX_RINGING:
            return None
        return now + min(MAX_SLEEP, max(0, first - now_us) / 1_000_000)

    def ring(self) -> Iterator[tuple[Rang | None, Unit]]:
        """The messages for what is due, by actor, each with the unit that makes them durable; not more than fit into one turn.

        A unit without messages takes a timer out of the index that can't ring.
        """
        if not self.is_due:
            return
        due: dict[ActorId, list[_Due]] = {}
        counted = 0
        try:
            for at, file in self._due():
                found = self._look_at(at, file)
                due.setdefault(at.actor, []).append(found)
                counted += found.counted
                if counted >= MAX_COUNTED:
                    # Weeks of missed times take long to count. The rest is due still, and others have their turn first.
                    break
        except Corrupt as error:
            # The timers behind it ring once the store was repaired: there is no way past a row that can't be read.
            _log.error("the timers can't be read: %s; run understudy fsck", error)
            self._first = self._ticked[1] + RETRY_US
        for timers in due.values():
            yield from self._ring(timers)

    def _due(self) -> Iterator[tuple[DueRow, Id]]:
        """The rows that are due. They are not read again."""
        now, most = self._ticked[1], min(MAX_RUNG, MAX_RINGING - self._ringing)
        for key, value in self._backend.rows(DUE, self._from):
            at = _place(key)
            if at is None:
                self._from = key + b"\0"
                continue
            if at.due > now or most == 0:
                self._first, self._from = (None if at.due == NEVER else at.due), key
                return
            self._from = key + b"\0"
            if not self._rows.is_gone(key):
                most -= 1
                yield at, Id(value)
        self._first = None

    def committed(self, rang: Rang | None, unit: Unit, *, failed: bool) -> None:
        """A unit is durable, or failed its compare-and-set; `rang` says which messages of the clock it brought, if any."""
        settled = self._rows.settle(unit)
        self.index.settled(unit, settled, failed=failed)
        for key, value in settled:
            if key[:1] == DUE and value is not None and not failed:
                due = read_due_row(key).due
                self._from = min(self._from, key)
                if due != NEVER:
                    self._first = due if self._first is None else min(self._first, due)
        if rang is not None:
            self._ringing -= len(rang.deliveries)

    def _look_at(self, at: DueRow, file: Id) -> _Due:
        """What fires of a timer that is due."""
        try:
            timer = read_file(self._reader, file)
            return _Due(at, file, timer, firing(timer, at.due, self._ticked[1], ZoneInfo))
        except (StoreError, ObjectError) as error:
            # Nothing else waits for it, and `understudy timers` names it.
            _log.error("the timer %s of %s can't ring: %s", at.name, at.actor, error)
            return _Due(at, file)

    def _ring(self, timers: Sequence[_Due]) -> Iterator[tuple[Rang | None, Unit]]:
        """The messages that are due for one actor. One row says that all of them wait, as for the messages of a step."""
        place = outside_row(self._sender, mailbox_key(str(timers[0].at.actor), QUEUE))
        value = self._rows.get(place)
        last = None if value is None else read_cursor_value(value)
        deliveries: list[Delivery] = []
        blocks: list[Block] = []
        rows: Rows = {}
        unit = Unit()
        for at, file, timer, fired in timers:
            if timer is None or fired is None:
                gone: Rows = {due_row(at.due, at.actor, at.name): None, **rows_of(at, NEVER, file)}
                yield None, with_rows(self._rows, Unit(), gone)
                continue
            delivery, unit = self._message(at, Ring(at.name, file, fired.due, fired.missed, timer.is_once), timer, last)
            last = Cursor(delivery.message.seq, delivery.id)
            deliveries.append(delivery)
            blocks += unit.blocks
            rows[due_row(at.due, at.actor, at.name)] = None
            rows[timer_row(at.actor, at.name)] = timer_value(at.due, file, rang=delivery.id)
        if last is not None and deliveries:
            rows[place] = cursor_value(last)
            self._ringing += len(deliveries)
            rang = Rang([*(each._replace(row=None) for each in deliveries[:-1]), deliveries[-1]])
            yield rang, with_rows(self._rows, structs.replace(unit, blocks=blocks), rows)

    def _message(self, at: DueRow, ring: Ring, timer: Timer, last: Cursor | None) -> tuple[Delivery, Unit]:
        content = raw_block(timer.content)
        return accept(
            to=str(at.actor),
            sender=self._sender,
            type=timer.type,
            content=content.id,
            blocks=[content],
            last=last,
            headers=ring_headers(ring),
        )

    @property
    def _sender(self) -> str:
        if self._clock is None:
            self._clock = clock_of((self._backend.row(meta_row("node")) or b"").decode())
        return self._clock


def _place(key: bytes) -> DueRow | None:
    try:
        return read_due_row(key)
    except (ValueError, ObjectError) as error:
        _log.error("a row of timers has no key of ours (%r): %s; it is left alone; run understudy fsck", key, error)
        return None
