"""The directory: actors as somebody looks for them. Those in trouble come first, then those that stepped last.

What decides here: an actor is in trouble if it does not work, or if its last step did not end well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from typing import Final

from msgspec import Struct

from understudy.node.looking.lookup import READY, STALLED
from understudy.node.looking.names import Names
from understudy.node.looking.roster import UNREADABLE, Roster, Seen
from understudy.objects.ids import ActorId
from understudy.objects.step import CUT, FAILED
from understudy.store.keys import WAITING, read_waiting_row
from understudy.store.port import Backend

MAX_WAITING: Final = 20_000  # rows of messages that wait which are counted: some ten milliseconds
MAX_KINDS: Final = 50  # engines and versions that a filter offers
STATES: Final = ("trouble", "failed", "held", "stalled", "waiting")  # that actors can be filtered by
RUNNING: Final = "running"
MAX_FIRST: Final = 1000  # actors that do not work, or have messages waiting, which are read before all others
_ID_PART: Final = re.compile("[a-z2-7]+")
_newest, _engine, _code = attrgetter("time"), attrgetter("engine"), attrgetter("code")
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

    "failed": the last step did not end well; "held": it does not work, for whatever reason; "stalled": it works, and a
    flow of it stands still; "waiting": messages wait for it; "trouble": what comes first.
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

    def __init__(self, backend: Backend, roster: Roster, names: Names) -> None:
        self._backend = backend
        self._roster = roster
        self._names = names

    def find(self, wanted: Wanted, *, states: States, start: int, limit: int, seconds: float) -> Found:
        """The actors that are wanted, from `start` on. `states` are those of the actors that do not work."""
        waiting = self._waiting()
        # Known by their rows, so these are found before the roster comes to them.
        seen = self._roster.refresh(seconds, first=list(islice({**states, **waiting}, MAX_FIRST)))
        states = {one.actor: (STALLED, one.stalled) for one in seen if one.stalled is not None} | dict(states)
        chosen = list(self._matching(seen, wanted, states, waiting))
        listed = _troubled(chosen, states)
        listed.sort(key=lambda one: (_rank(one, states), -one.time, one.actor))
        if start + limit > len(listed):
            ill = {one.actor for one in listed}
            others = [one for one in chosen if one.actor not in ill] if ill else chosen
            listed += nlargest(start + limit - len(listed), others, key=_newest)
        return Found(
            items=[self._listed(one, states, waiting) for one in listed[start : start + limit]],
            count=len(chosen),
            next=start + limit if start + limit < len(chosen) else None,
            known=len(seen),
            troubled=len(_troubled(seen, states)),
            is_complete=self._roster.is_complete,
            is_full=self._roster.is_full,
            engines=_counted(map(_engine, seen)),
            codes=_counted(map(_code, seen)),
        )

    def _matching(
        self, seen: Iterable[Seen], wanted: Wanted, states: States, waiting: Mapping[ActorId, int]
    ) -> Iterable[Seen]:
        if wanted.engine:
            seen = [one for one in seen if one.engine == wanted.engine]
        if wanted.code:
            seen = [one for one in seen if one.code == wanted.code]
        if wanted.state:
            seen = [one for one in seen if _is_in(wanted.state, one, states, waiting)]
        if wanted.text:
            named = self._names.containing(wanted.text)
            of_id = wanted.text if _ID_PART.fullmatch(wanted.text) else None
            seen = [one for one in seen if one.actor in named or (of_id is not None and of_id in str(one.actor))]
        return seen

    def _listed(self, one: Seen, states: States, waiting: Mapping[ActorId, int]) -> Listed:
        status, reason = states.get(one.actor, (READY, None))
        return Listed(
            seen=one,
            name=self._names.name_of(one.actor),
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


def _is_in(state: str, one: Seen, states: States, waiting: Mapping[ActorId, int]) -> bool:
    match state:
        case "failed":
            return one.outcome in _BAD
        case "held":
            return one.actor in states and states[one.actor][0] not in (RUNNING, STALLED)
        case "stalled":
            return one.actor in states and states[one.actor][0] == STALLED
        case "waiting":
            return one.actor in waiting
    return _rank(one, states) < _RANKS[READY]


def _troubled(seen: Iterable[Seen], states: States) -> list[Seen]:
    # Nearly all are well, and a hundred thousand are looked at: only what may be ill is looked at closely.
    suspects = [one for one in seen if one.outcome != "ok" or one.actor in states]
    return [one for one in suspects if _rank(one, states) < _RANKS[READY]]


def _rank(one: Seen, states: States) -> int:
    status = _RANKS.get(states[one.actor][0], 1) if one.actor in states else _RANKS[READY]
    return min(status, 1 if one.outcome in _BAD else _RANKS[READY])


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    counts = Counter(values)
    counts.pop("", None)
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MAX_KINDS]
