"""Holds: why an actor does not work though messages wait for it. Rows of the store, so a restart and other processes see them.

The law: a hold keeps no update away, and an update that takes effect removes every hold but a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from understudy.objects.ids import NODE, ActorId, Id, TreeId
from understudy.store.keys import HOLDS, hold_row, holds_of
from understudy.store.port import Backend, Row, Unit

MAX_REASON: Final = 1000  # characters of why an actor is paused
PAUSED: Final = "paused"
SUSPECT: Final = "suspect"
HELD: Final = "held"


class Kind(IntEnum):
    """What a hold is about: an actor may have one of each. A CHECK is about a core that may never become an actor.

    A FAILURE is one of the author's code, where `/policy` says that it holds.
    """

    PAUSE = 0
    STEPS = 1
    QUERIES = 2
    CHECK = 3
    FAILURE = 4


class Hold(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reason not to work. `state` is "paused" (by an operator), "held" (it ended the process, or failed), or "suspect" (it
    may have ended the process).

    `since` is in microseconds since 1970. Of a suspect: `deaths` is how often the process ended while it ran, `messages`
    how many are tried alone before it is trusted again. `is_update` says that an update ran: once held, it is not run again.
    """

    state: str
    reason: str
    since: int
    deaths: int = 0
    messages: int = 0
    is_update: bool = False


Key = tuple[ActorId, Kind]
STOPS_STEPS: Final = (Kind.PAUSE, Kind.STEPS, Kind.FAILURE)  # the one to name first, first
CURED: Final = (Kind.STEPS, Kind.QUERIES, Kind.FAILURE)  # by an update that takes effect


class Holds:
    """The holds of a store, in memory. Read from any thread; whoever changes them also commits the rows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._holds: dict[Key, Hold] = {}

    def load(self) -> None:
        """Read them from the store."""
        self._holds = read_holds(self._backend)

    def get(self, actor: ActorId, kind: Kind) -> Hold | None:
        """The hold of a kind on an actor."""
        return self._holds.get((actor, kind)) if self._holds else None

    def known(self, key: Key) -> Hold | None:
        """The same, for who has the key."""
        return self._holds.get(key)

    def suspects(self) -> list[ActorId]:
        """The actors whose steps are to be tried alone."""
        return [actor for (actor, kind), hold in self._holds.items() if kind is Kind.STEPS and hold.state == SUSPECT]

    def put(self, holds: Mapping[Key, Hold]) -> None:
        """Set holds, durably. Blocks."""
        if holds:
            self._backend.commit([Unit(rows=self.remember(holds))])

    def remember(self, holds: Mapping[Key, Hold]) -> list[Row]:
        """Set holds; the rows that make them durable."""
        self._holds = {**self._holds, **holds}
        return [Row(hold_row(*key), msgspec.json.encode(hold)) for key, hold in holds.items()]

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


def rows_without(actor: ActorId, kinds: Iterable[Kind]) -> list[Row]:
    """The rows that remove holds."""
    return [Row(hold_row(actor, kind), None) for kind in kinds]


def read_holds(backend: Backend, actor: ActorId | None = None) -> dict[Key, Hold]:
    """The holds in a store, or those of one actor."""
    rows = backend.rows(HOLDS if actor is None else holds_of(actor))
    return {
        (ActorId(TreeId(Id(NODE + key[1:33]))), Kind(key[33])): msgspec.json.decode(value, type=Hold)
        for key, value in rows
    }


def foremost(holds: Mapping[Key, Hold], actor: ActorId) -> Hold | None:
    """The one hold to name where there is room for one: what stops steps, before what stops queries alone."""
    kinds = dict.fromkeys((*STOPS_STEPS, *Kind))
    found = [hold for kind in kinds if (hold := holds.get((actor, kind))) is not None]
    return min(found, key=lambda hold: hold.state == SUSPECT, default=None)
