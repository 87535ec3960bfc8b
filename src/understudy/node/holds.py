"""Holds: why an actor does not work though messages wait for it. Rows of the store, so a restart and other processes see them.

The laws: a hold keeps no update away, and an update that takes effect removes every hold but a pause. An actor whose hold
can't be read is held, and no other is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from understudy.objects.ids import NODE, ActorId, Id, TreeId
from understudy.store.errors import Corrupt
from understudy.store.keys import HOLDS, hold_row
from understudy.store.port import Backend, Row, Unit

MAX_REASON: Final = 1000  # characters of why an actor is paused
PAUSED: Final = "paused"
SUSPECT: Final = "suspect"
HELD: Final = "held"
_FSCK: Final = "run understudy fsck"

_log = logging.getLogger("understudy.node")


class Kind(IntEnum):
    """What a hold is about: an actor may have one of each. A CHECK is about a core that may never become an actor.

    A FAILURE is one of the author's code, where `/policy` says that it holds.
    """

    PAUSE = 0
    STEPS = 1
    QUERIES = 2
    CHECK = 3
    FAILURE = 4


_KINDS: Final = frozenset(Kind)


class Hold(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reason not to work. `state` is "paused" (by an operator), "held" (it ended the process, or failed), or "suspect" (it
    may have ended the process).

    `since` is in microseconds since 1970. Of a suspect: `deaths` is how often the process ended while it ran, `messages`
    how many are tried alone before it is trusted again. `is_update` says that an update ran: once held, it is not run again.
    `is_replaced` says of a birth that another core has its name: it ends without being run.
    """

    state: str
    reason: str
    since: int
    deaths: int = 0
    messages: int = 0
    is_update: bool = False
    is_replaced: bool = False


Key = tuple[ActorId, Kind]
STOPS_STEPS: Final = (Kind.PAUSE, Kind.STEPS, Kind.FAILURE)  # the one to name first, first
CURED: Final = (Kind.STEPS, Kind.QUERIES, Kind.FAILURE)  # by an update that takes effect


class Holds:
    """The holds of a store, in memory. Read from any thread; whoever changes them also commits the rows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._holds: dict[Key, Hold] = {}
        self._looked_at: set[ActorId] | None = None  # actors asked for one by one, as all at once can't be read

    def load(self) -> None:
        """Read them from the store. Raises StoreError, but not Corrupt: then each actor's are read when they are asked for."""
        self._looked_at = None
        try:
            self._holds = read_holds(self._backend)
        except Corrupt as error:
            _log.error("the holds can't be read as a whole (%s); who is held is read one by one; %s", error, _FSCK)
            self._holds, self._looked_at = {}, set()

    def get(self, actor: ActorId, kind: Kind) -> Hold | None:
        """The hold of a kind on an actor."""
        if self._looked_at is not None:
            self._look_at(actor, self._looked_at)
        return self._holds.get((actor, kind)) if self._holds else None

    def known(self, key: Key) -> Hold | None:
        """The same, for who has the key."""
        return self.get(*key)

    def _look_at(self, actor: ActorId, looked_at: set[ActorId]) -> None:
        if actor not in looked_at:
            looked_at.add(actor)
            try:
                self._holds |= read_holds(self._backend, actor)
            except Corrupt as error:
                self._holds[actor, Kind.STEPS] = _unreadable(error)

    def suspects(self) -> list[ActorId]:
        """The actors whose steps are to be tried alone."""
        return [actor for (actor, kind), hold in self._holds.items() if kind is Kind.STEPS and hold.state == SUSPECT]

    def put(self, holds: Mapping[Key, Hold]) -> None:
        """Set holds, durably. Blocks."""
        if holds:
            self._backend.commit([Unit(rows=_rows_with(holds))])
            self._holds |= holds

    def remember(self, holds: Mapping[Key, Hold]) -> list[Row]:
        """Set holds; the rows that make them durable."""
        self._holds |= holds
        return _rows_with(holds)

    def remove(self, actor: ActorId, kinds: Iterable[Kind]) -> None:
        """Remove holds, durably. Blocks."""
        found = [kind for kind in kinds if (actor, kind) in self._holds]
        if found:
            self._backend.commit([Unit(rows=rows_without(actor, found))])
            self.forget(actor, found)

    def forget(self, actor: ActorId, kinds: Iterable[Kind]) -> None:
        """The rows of these holds are gone."""
        for kind in kinds:
            self._holds.pop((actor, kind), None)


def _rows_with(holds: Mapping[Key, Hold]) -> list[Row]:
    return [Row(hold_row(*key), msgspec.json.encode(hold)) for key, hold in holds.items()]


def rows_without(actor: ActorId, kinds: Iterable[Kind]) -> list[Row]:
    """The rows that remove holds."""
    return [Row(hold_row(actor, kind), None) for kind in kinds]


def read_holds(backend: Backend, actor: ActorId | None = None) -> dict[Key, Hold]:
    """The holds in a store, or those of one actor."""
    if actor is not None:
        # Five rows one by one: a scan looks through all that a commit under way has touched, which takes a millisecond.
        found = ((kind, backend.row(hold_row(actor, kind))) for kind in Kind)
        return {(actor, kind): _read_hold(value) for kind, value in found if value is not None}
    rows = backend.rows(HOLDS)
    return {key: _read_hold(value) for row, value in rows if (key := read_hold_key(row)) is not None}


def read_hold_key(row: bytes) -> Key | None:
    """Whose hold a row is, and of which kind; None for what this version does not know."""
    if len(row) != len(HOLDS) + 33 or row[33] not in _KINDS:
        return None
    return ActorId(TreeId(Id(NODE + row[1:33]))), Kind(row[33])


def _read_hold(value: bytes) -> Hold:
    try:
        return msgspec.json.decode(value, type=Hold)
    except msgspec.DecodeError as error:
        return _unreadable(error)


def _unreadable(error: Exception) -> Hold:
    """Not to know whether an actor is held is a reason to hold it: it may end the process."""
    return Hold(state=HELD, reason=f"whether it is held can't be read ({error}); {_FSCK}, then resume it", since=0)


def foremost(holds: Mapping[Key, Hold], actor: ActorId) -> Hold | None:
    """The one hold to name where there is room for one: what stops steps, before what stops queries alone."""
    kinds = dict.fromkeys((*STOPS_STEPS, *Kind))
    found = [hold for kind in kinds if (hold := holds.get((actor, kind))) is not None]
    return min(found, key=lambda hold: hold.state == SUSPECT, default=None)
