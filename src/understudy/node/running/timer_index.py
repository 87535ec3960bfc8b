"""The index of timers: when each is due next, as rows of the store.

What stands in the cores decides; the rows follow. They move in the unit of the step that changed `/timers`. What changed
in more than MAX_AT_ONCE places is a backlog: a row that is in the unit of the step, and that says what is still to be
compared. It is worked off in pieces, so an actor that sets or takes back a million timers with one link holds up nobody.

The law: a step that changed nothing in `/timers` costs the look at one link.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import structs

from understudy.kernel.advance import Plan
from understudy.kernel.seal import Sealed
from understudy.node.running.entry import ActorEntry
from understudy.node.running.undurable_rows import Rows, UndurableRows
from understudy.objects.clock import Ring, ring_of
from understudy.objects.errors import ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.schedule import next_due
from understudy.objects.timer import TIMERS
from understudy.store.errors import StoreError
from understudy.store.maps import tree_entry
from understudy.store.port import Backend, Row, Unit
from understudy.store.reader import Reader
from understudy.store.timer_files import differences, is_tree, read_file
from understudy.store.timer_rows import (
    BACKLOG,
    NEVER,
    DueRow,
    TimerValue,
    backlog_row,
    backlog_value,
    due_row,
    read_backlog_row,
    read_backlog_value,
    read_timer_value,
    timer_row,
    timer_value,
)
from understudy.store.verified import InFlight

MAX_AT_ONCE: Final = 1000  # changed timers that a step takes along: some 20 ms
PIECE: Final = 256  # of a backlog, between two bursts: some 5 ms
NONE: Final = b""  # no `/timers`, as an entry and a row have it

CoreOf = Callable[[ActorId], bytes]

_log = logging.getLogger("understudy.timers")


class TimerIndex:
    """A part of the scheduler, like which it has no clock. `rows` is what is on its way to the disk."""

    def __init__(self, backend: Backend, reader: InFlight, rows: UndurableRows) -> None:
        self._backend = backend
        self._reader = reader
        self._rows = rows
        self._backlogs: deque[_Backlog] | None = None  # None: not looked for yet
        self._piece: Unit | None = None  # the one that is on its way to the disk

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
            return with_rows(self._rows, unit, gone)
        rows = self._moved(sealed.actor.id, known, link, sealed.id, sealed.step.height, sealed.step.time)
        if ring is not None:
            rows |= self._rang(sealed.actor.id, ring, message.id, link, rows)
        return with_rows(self._rows, unit, rows)

    def wake(self, entry: ActorEntry) -> Unit | None:
        """What takes in an actor's timers as they stand in its newest core, None if they are: of one that came in a file."""
        step, head = entry.actor.step, entry.actor.head
        if step is None or head is None or entry.ahead:
            return None
        known, link = self._known(entry), _timers_of(self._reader, step.core)
        entry.timers = link or NONE
        rows = self._moved(entry.actor.id, known, link, head, step.height, step.time)
        return with_rows(self._rows, Unit(), rows) if rows else None

    @property
    def is_behind(self) -> bool:
        """True if `next_piece` has something to do."""
        return self._piece is None and (self._backlogs is None or bool(self._backlogs))

    def next_piece(self, core_of: CoreOf) -> Unit | None:
        """The next piece of a backlog, None if there is none now. `core_of` gives the newest core of an actor."""
        if not self.is_behind:
            return None
        if self._backlogs is None:
            self._backlogs = deque(self._read(self._backend.rows(BACKLOG)))
        if not self._backlogs:
            return None
        rows = self._worked_off(self._backlogs, core_of)
        self._piece = with_rows(self._rows, Unit(), rows)
        return self._piece

    def settled(self, unit: Unit, rows: Sequence[tuple[bytes, bytes | None]], *, failed: bool) -> None:
        """A unit is durable, or failed; these are its rows of timers."""
        if unit is self._piece:
            self._piece = None
        if self._backlogs is not None and not failed:
            self._backlogs.extend(
                self._read((key, value) for key, value in rows if key[:1] == BACKLOG and value is not None)
            )

    def begin_again(self, actor: ActorId) -> None:
        """The head of an actor was moved by somebody else: what was left out for steps that are no more is compared again."""
        for backlog in self._backlogs or ():
            if backlog.actor == actor:
                backlog.names = None

    def _is_all(self, plan: Plan, known: bytes, link: Id | None) -> bool:
        """True if a step changed nothing in `/timers` but that the timer which rang is gone, and the index knows it as rung."""
        assert plan.ring is not None
        if link is None or known == link or link != _timers_of(self._reader, plan.given.core):
            return False
        value = self._rows.get(timer_row(plan.actor.id, plan.ring.name))
        is_rung = value is not None and read_timer_value(value).rang == plan.given.messages[0].id
        return is_rung and known == (_timers_of(self._reader, plan.actor.core) or NONE)

    def _moved(self, actor: ActorId, known: bytes, link: Id | None, step: StepId, height: int, time: int) -> Rows:
        """What a change of `/timers` moves in the index. What begins to count does so at `time`."""
        if known == (link or NONE):
            return {}
        rows: Rows = {timer_row(actor, ""): link}
        before = Id(known) if known else None
        for tree, value in ((before, None), (link, link)):
            if tree is not None and not is_tree(self._reader, tree):
                # So that it is named: `/timers` itself is no timer.
                rows[due_row(NEVER, actor, "")] = value
        changes = list(islice(differences(self._reader, before, link), MAX_AT_ONCE + 1))
        if len(changes) > MAX_AT_ONCE:
            return rows | {backlog_row(actor, height): backlog_value(step, before)}
        for name, file in changes:
            old = self._rows.get(timer_row(actor, name))
            if old is not None and (was := read_timer_value(old)).rang is None:
                rows[due_row(was.due, actor, name)] = None
            if file is None:
                rows[timer_row(actor, name)] = None
            else:
                rows |= rows_of(DueRow(0, actor, name), self._next(file, time), file)
        return rows

    def _rang(self, actor: ActorId, ring: Ring, message: MessageId, link: Id | None, moved: Rows) -> Rows:
        """What the step that consumed a message of the clock moves: the timer is due again, if it is still the same."""
        key = timer_row(actor, ring.name)
        if key in moved or link is None or not is_tree(self._reader, link):
            return {}
        value = self._rows.get(key)
        if (
            value is None
            or read_timer_value(value).rang != message
            or tree_entry(self._reader, link, ring.name) != ring.file
        ):
            return {}
        return rows_of(DueRow(0, actor, ring.name), self._next(ring.file, ring.due), ring.file)

    def _worked_off(self, backlogs: deque[_Backlog], core_of: CoreOf) -> Rows:
        """What the next piece of the first backlog moves."""
        backlog = backlogs[0]
        if backlog.names is None:
            backlog.names = differences(self._reader, backlog.before, backlog.after)
        rows: Rows = {}
        try:
            now = _timers_of(self._reader, core_of(backlog.actor))
            tree = now if now is not None and is_tree(self._reader, now) else None
            changes = list(islice(backlog.names, PIECE))
            for name, file in changes:
                # What is another one by now moved in the unit of the step that changed it, or is in a backlog of its own.
                if (None if tree is None else tree_entry(self._reader, tree, name)) == file:
                    rows |= self._caught_up(backlog, name, file)
        except (StoreError, ObjectError) as error:
            _log.error("the timers of %s can't be read: %s; run understudy fsck", backlog.actor, error)
            backlogs.popleft()
            return {}
        if len(changes) < PIECE:
            backlogs.popleft()
            rows[backlog.row] = None
        return rows

    def _caught_up(self, backlog: _Backlog, name: str, file: Id | None) -> Rows:
        at = DueRow(0, backlog.actor, name)
        value = self._rows.get(timer_row(at.actor, name))
        old = None if value is None else read_timer_value(value)
        if file is None:
            return {} if old is None else {timer_row(at.actor, name): None, **_no_due(at, old)}
        due = self._next(file, backlog.time)
        if old is None:
            return rows_of(at, due, file)
        if old.file == file and (old.rang is not None or old.due >= due):
            # A step after this one set it, or it was caught up with before a crash.
            return {}
        return {**_no_due(at, old), **rows_of(at, due, file)}

    def _read(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[_Backlog]:
        for key, value in rows:
            try:
                actor, (step_id, before) = read_backlog_row(key), read_backlog_value(value)
                step = self._reader.step(step_id)
                yield _Backlog(key, actor, before, _timers_of(self._reader, step.core), step.time)
            except (StoreError, ObjectError) as error:
                _log.error("a row of timers can't be read (%r): %s; run understudy fsck", key, error)

    def _next(self, file: Id, after: int) -> int:
        """When a timer is due first after a moment; NEVER for what is none."""
        try:
            due = next_due(read_file(self._reader, file), after, ZoneInfo)
        except (StoreError, ObjectError):
            return NEVER
        return NEVER if due is None else due

    def _known(self, entry: ActorEntry) -> bytes:
        """The `/timers` that the index stands for."""
        if entry.timers is None:
            value = None if entry.actor.step is None else self._rows.get(timer_row(entry.actor.id, ""))
            entry.timers = value or NONE
        return entry.timers


class _Backlog:
    """A change of `/timers` that is compared in pieces: between what stood there before and after a step, at its time."""

    def __init__(self, row: bytes, actor: ActorId, before: Id | None, after: Id | None, time: int) -> None:
        self.row = row
        self.actor = actor
        self.before = before
        self.after = after
        self.time = time
        self.names: Iterator[tuple[str, Id | None]] | None = None


def with_rows(undurable: UndurableRows, unit: Unit, rows: Rows) -> Unit:
    """A unit that moves these rows too; they are noted as on their way."""
    own = [row for row in unit.rows if row.key not in rows]
    whole = structs.replace(unit, rows=[*own, *(Row(key, value) for key, value in rows.items())])
    undurable.note(whole, rows)
    return whole


def rows_of(at: DueRow, due: int, file: Id) -> Rows:
    """The two rows of a timer that waits."""
    return {timer_row(at.actor, at.name): timer_value(due, file), due_row(due, at.actor, at.name): file}


def _no_due(at: DueRow, old: TimerValue) -> Rows:
    return {} if old.rang is not None else {due_row(old.due, at.actor, at.name): None}


def _timers_of(reader: Reader, core: bytes) -> Id | None:
    try:
        return tree_entry(reader, core, TIMERS)
    except WrongKind:
        # The core of an actor that was born of something else.
        return None
