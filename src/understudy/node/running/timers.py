"""The index of timers: when each is due, in the order of time, as rows of the store.

What stands in the cores decides; the rows say of it when each timer is due next. They move in the unit of the step that
changed `/timers`, and in the unit of the message that is sent for a timer. So after a crash the store alone says what is
due, and each time is sent once.

The law: a step that changed nothing in `/timers` costs the look at one link. Like the scheduler, of which it is a part,
this has no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import structs

from understudy.actors.contract import Delivery
from understudy.kernel.accept import accept
from understudy.kernel.advance import Plan
from understudy.kernel.seal import Sealed
from understudy.node.running.entry import ActorEntry
from understudy.node.running.events import Rang
from understudy.node.running.undurable_rows import Rows, UndurableRows
from understudy.objects.clock import Ring, clock_of, ring_headers, ring_of
from understudy.objects.codec import Block, raw_block
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.mailbox import QUEUE, Cursor, mailbox_key
from understudy.objects.schedule import firing, next_due
from understudy.objects.timer import TIMERS, Timer
from understudy.store.errors import Corrupt, StoreError
from understudy.store.keys import cursor_value, meta_row, outside_row, read_cursor_value
from understudy.store.maps import tree_entry
from understudy.store.port import Backend, Row, Unit
from understudy.store.reader import Reader
from understudy.store.timer_files import differences, is_tree, read_file
from understudy.store.timer_rows import (
    DUE,
    NEVER,
    DueRow,
    due_row,
    read_due_row,
    read_timer_value,
    timer_row,
    timer_value,
)
from understudy.store.verified import InFlight

MAX_RUNG: Final = 256  # timers that ring between two bursts: some 20 ms, and others have their turn
MAX_SLEEP: Final = 10.0  # seconds, after which we notice that the clock was set or the machine slept
RETRY_US: Final = 60_000_000  # after a look at rows that can't be read
MAX_RINGING: Final = 1024  # messages of the clock that are not durable yet
NONE: Final = b""  # no `/timers`, as an entry and a row have it

_log = logging.getLogger("understudy.timers")


class Timers:
    """The timers of all actors."""

    def __init__(self, backend: Backend, reader: InFlight) -> None:
        self._backend = backend
        self._reader = reader
        self._rows = UndurableRows(backend)
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
        due: dict[ActorId, list[tuple[DueRow, Id]]] = {}
        try:
            for at, file in self._due():
                due.setdefault(at.actor, []).append((at, file))
        except Corrupt as error:
            # The timers behind it ring once the store was repaired: there is no way past a row that can't be read.
            _log.error("the timers can't be read: %s; run understudy fsck", error)
            self._first = self._ticked[1] + RETRY_US
        for timers in due.values():
            yield from self._ring(timers, self._ticked[1])

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

    def follow(self, entry: ActorEntry, plan: Plan, sealed: Sealed, unit: Unit) -> Unit:
        """The unit of a step, with what it changes of the index. `entry` is the actor before it."""
        core, message = sealed.step.core, sealed.consumed[0]
        ring = ring_of(message.message)
        if ring is None and core == entry.actor.core and entry.timers is not None:
            return unit
        known, link = self._known(entry), _timers_of(self._reader, core)
        entry.timers = link or NONE
        if ring is None and entry.timers == known:
            return unit
        if plan.ring is not None and self._is_all(plan, known, link):
            # Most steps of a timer: it is gone, and the others need not be compared.
            gone: Rows = {timer_row(sealed.actor.id, ""): link, timer_row(sealed.actor.id, plan.ring.name): None}
            return self._with_rows(unit, gone)
        rows = self._moved(sealed.actor.id, known, link, sealed.step.time)
        if ring is not None:
            rows |= self._rang(sealed.actor.id, ring, message.id, link, rows)
        return self._with_rows(unit, rows)

    def _is_all(self, plan: Plan, known: bytes, link: Id | None) -> bool:
        """True if a step changed nothing in `/timers` but that the timer which rang is gone, and the index knows it as rung."""
        assert plan.ring is not None
        if link is None or known == link or link != _timers_of(self._reader, plan.given.core):
            return False
        value = self._rows.get(timer_row(plan.actor.id, plan.ring.name))
        is_rung = value is not None and read_timer_value(value).rang == plan.given.messages[0].id
        return is_rung and known == (_timers_of(self._reader, plan.actor.core) or NONE)

    def wake(self, entry: ActorEntry) -> Unit | None:
        """What takes in an actor's timers as they stand in its newest core, None if they are: of one that came in a file."""
        step = entry.actor.step
        if step is None or entry.ahead:
            return None
        known, link = self._known(entry), _timers_of(self._reader, step.core)
        entry.timers = link or NONE
        rows = self._moved(entry.actor.id, known, link, step.time)
        return self._with_rows(Unit(), rows) if rows else None

    def committed(self, rang: Rang | None, unit: Unit, *, failed: bool) -> None:
        """A unit is durable, or failed its compare-and-set; `rang` says which messages of the clock it brought, if any."""
        for key, value in self._rows.settle(unit):
            if key[:1] == DUE and value is not None and not failed:
                due = read_due_row(key).due
                self._from = min(self._from, key)
                if due != NEVER:
                    self._first = due if self._first is None else min(self._first, due)
        if rang is not None:
            self._ringing -= len(rang.deliveries)

    def _ring(self, timers: Sequence[tuple[DueRow, Id]], now: int) -> Iterator[tuple[Rang | None, Unit]]:
        """The messages that are due for one actor. One row says that all of them wait, as for the messages of a step."""
        place = outside_row(self._sender, mailbox_key(str(timers[0][0].actor), QUEUE))
        value = self._rows.get(place)
        last = None if value is None else read_cursor_value(value)
        deliveries: list[Delivery] = []
        blocks: list[Block] = []
        rows: Rows = {}
        unit = Unit()
        for at, file in timers:
            try:
                timer = read_file(self._reader, file)
                fired = firing(timer, at.due, now, ZoneInfo)
            except (StoreError, ObjectError) as error:
                # Nothing else waits for it, and `understudy timers` names it.
                _log.error("the timer %s of %s can't ring: %s", at.name, at.actor, error)
                gone: Rows = {due_row(at.due, at.actor, at.name): None, **_row(at, NEVER, file)}
                yield None, self._with_rows(Unit(), gone)
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
            yield rang, self._with_rows(structs.replace(unit, blocks=blocks), rows)

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

    def _moved(self, actor: ActorId, known: bytes, link: Id | None, time: int) -> Rows:
        """How a change of `/timers` changes the index. New timers count from `time`."""
        if known == (link or NONE):
            return {}
        rows: Rows = {timer_row(actor, ""): link}
        before = Id(known) if known else None
        for tree, value in ((before, None), (link, link)):
            if tree is not None and not is_tree(self._reader, tree):
                # So that it is named: `/timers` itself is no timer.
                rows[due_row(NEVER, actor, "")] = value
        for name, file in differences(self._reader, before, link):
            old = self._rows.get(timer_row(actor, name))
            if old is not None and (was := read_timer_value(old)).rang is None:
                rows[due_row(was.due, actor, name)] = None
            if file is None:
                rows[timer_row(actor, name)] = None
            else:
                rows |= _row(DueRow(0, actor, name), self._next(file, time), file)
        return rows

    def _rang(self, actor: ActorId, ring: Ring, message: MessageId, link: Id | None, moved: Rows) -> Rows:
        """How a step that consumed a message of the clock changes the index: the same timer is due again, if it is still there."""
        key = timer_row(actor, ring.name)
        if key in moved or link is None or not is_tree(self._reader, link):
            return {}
        value = self._rows.get(key)
        if (
            value is None
            or read_timer_value(value).rang != message
            or tree_entry(self._reader, link, ring.name) is None
        ):
            return {}
        return _row(DueRow(0, actor, ring.name), self._next(ring.file, ring.due), ring.file)

    def _next(self, file: Id, after: int) -> int:
        """When a timer is due next after a moment; NEVER for a file that is no timer."""
        try:
            due = next_due(read_file(self._reader, file), after, ZoneInfo)
        except (StoreError, ObjectError):
            return NEVER
        return NEVER if due is None else due

    def _known(self, entry: ActorEntry) -> bytes:
        """The `/timers` for which the index was made."""
        if entry.timers is None:
            value = None if entry.actor.step is None else self._rows.get(timer_row(entry.actor.id, ""))
            entry.timers = value or NONE
        return entry.timers

    def _with_rows(self, unit: Unit, rows: Rows) -> Unit:
        own = [row for row in unit.rows if row.key not in rows]
        whole = structs.replace(unit, rows=[*own, *(Row(key, value) for key, value in rows.items())])
        self._rows.note(whole, rows)
        return whole

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


def _timers_of(reader: Reader, core: bytes) -> Id | None:
    try:
        return tree_entry(reader, core, TIMERS)
    except WrongKind:
        # The core of an actor that was born of something else.
        return None


def _row(at: DueRow, due: int, file: Id) -> Rows:
    """The two rows of a timer that waits."""
    return {timer_row(at.actor, at.name): timer_value(due, file), due_row(due, at.actor, at.name): file}
