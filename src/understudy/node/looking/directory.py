"""The directory: actors as somebody looks for them. Those in trouble come first, then those that stepped last.

What decides here: an actor is in trouble if it does not work, or if its last step did not end well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from understudy.node.looking.lookup import READY, STALLED
from understudy.node.looking.roster import UNREADABLE, Roster, Seen
from understudy.objects.ids import ActorId
from understudy.objects.step import CUT, FAILED
from understudy.store.keys import WAITING, read_waiting_row
from understudy.store.port import Backend

MAX_WAITING: Final = 20_000  # rows of messages that wait which are counted: some ten milliseconds
MAX_KINDS: Final = 50  # engines and versions that a filter offers
STATES: Final = ("trouble", "failed", "held", "waiting")  # that actors can be filtered by
RUNNING: Final = "running"
States = Mapping[ActorId, tuple[str, str | None]]  # status and reason of the actors that do not work
_BAD: Final = (FAILED, CUT, UNREADABLE)
# The first is the worst. A status that is not here is between the two.
_RANKS: Final = {
    "held": 0,
    "stuck": 0,
    "suspect": 0,
    "paused": 2,
    STALLED: 2,
    "slowed": 2,
    "retry": 2,
    "running": 3,
    READY: 3,
}


class Wanted(Struct, frozen=True, kw_only=True):
    """What is looked for; None and an empty text leave nothing out. `state` is one of STATES.

    "failed": the last step did not end well; "held": it does not work, for whatever reason; "waiting": messages wait for
    it; "trouble": what comes first.
    """

    text: str = ""
    state: str | None = None
    engine: str | None = None
    code: str | None = None


class Listed(Struct, frozen=True, kw_only=True):
    """An actor in the directory. `waiting` is how many messages wait for it, as far as they were counted."""

    seen: Seen
    name: str | None
    status: str
    reason: str | None
    waiting: int


class Found(Struct, frozen=True, kw_only=True):
    """A page of actors. `known` is how many the roster has; `is_complete` is false while it is being read.

    `engines` and `codes` are those that there are, with how many actors have them.
    """

    items: list[Listed]
    count: int
    next: int | None
    known: int
    troubled: int
    is_complete: bool
    is_full: bool
    engines: Sequence[tuple[str, int]]
    codes: Sequence[tuple[str, int]]


class Directory:
    """Finds actors of one store."""

    def __init__(self, backend: Backend, roster: Roster, name_of: Callable[[ActorId], str | None]) -> None:
        self._backend = backend
        self._roster = roster
        self._name_of = name_of

    def find(self, wanted: Wanted, *, states: States, start: int, limit: int, seconds: float) -> Found:
        """The actors that are wanted, from `start` on. `states` are those of the actors that do not work."""
        seen = self._roster.refresh(seconds)
        waiting = self._waiting()
        matching = [one for one in seen if self._matches(one, wanted, states, waiting)]
        matching.sort(key=lambda one: (_rank(one, states), -one.time, one.actor))
        chosen = matching[start : start + limit]
        return Found(
            items=[self._listed(one, states, waiting) for one in chosen],
            count=len(matching),
            next=start + limit if start + limit < len(matching) else None,
            known=len(seen),
            troubled=sum(1 for one in seen if _rank(one, states) < _RANKS[READY]),
            is_complete=self._roster.is_complete,
            is_full=self._roster.is_full,
            engines=_counted(one.engine for one in seen),
            codes=_counted(one.code for one in seen),
        )

    def _matches(self, one: Seen, wanted: Wanted, states: States, waiting: Mapping[ActorId, int]) -> bool:
        if wanted.engine and one.engine != wanted.engine:
            return False
        if wanted.code and one.code != wanted.code:
            return False
        match wanted.state:
            case "failed" if one.outcome not in _BAD:
                return False
            case "held" if one.actor not in states or states[one.actor][0] == RUNNING:
                return False
            case "waiting" if one.actor not in waiting:
                return False
            case "trouble" if _rank(one, states) >= _RANKS[READY]:
                return False
        return not wanted.text or self._is_called(one.actor, wanted.text)

    def _is_called(self, actor: ActorId, text: str) -> bool:
        name = self._name_of(actor)
        return (name is not None and text.casefold() in name.casefold()) or text in str(actor)

    def _listed(self, one: Seen, states: States, waiting: Mapping[ActorId, int]) -> Listed:
        status, reason = states.get(one.actor, (READY, None))
        return Listed(
            seen=one,
            name=self._name_of(one.actor),
            status=status,
            reason=reason,
            waiting=waiting.get(one.actor, 0),
        )

    def _waiting(self) -> dict[ActorId, int]:
        found: dict[ActorId, int] = {}
        for key, _ in islice(self._backend.rows(WAITING), MAX_WAITING):
            actor = read_waiting_row(key).actor
            found[actor] = found.get(actor, 0) + 1
        return found


def _rank(one: Seen, states: States) -> int:
    status = _RANKS.get(states[one.actor][0], 1) if one.actor in states else _RANKS[READY]
    return min(status, 1 if one.outcome in _BAD else _RANKS[READY])


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    counts = Counter(value for value in values if value)
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MAX_KINDS]
