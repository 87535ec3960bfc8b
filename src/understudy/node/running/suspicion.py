"""Suspicion: which actors may have ended the process, by what ran when it ended.

The law: nobody is held after the first death. A step that ran is tried once more, alone; a query when it is asked again.
If that ends the process too, the actor is held until an update takes effect, or an operator resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from understudy.node.holds import HELD, SUSPECT, Hold, Key, Kind
from understudy.node.running.marks import Flag, Mark, What
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE

MAX_DEATHS: Final = 3  # of a step that takes too long to be tried alone until its end
_CURE: Final = "push an update that repairs it, or resume it to try it once more"
_CURE_OF_BIRTH: Final = "push a core that is repaired, or resume it to try it once more"

Known = Callable[[Key], Hold | None]
IsBorn = Callable[[ActorId], bool]


def suspect(left: Iterable[Mark], known: Known, *, now: int, is_born: IsBorn) -> dict[Key, Hold]:
    """The holds that follow from the marks that a process left behind. `known` gives those before it."""
    # An asynchronous wit that only waited did nothing. A callback that a wit left on its event loop has no mark: if it ends
    # the process, nobody is suspected. It does not run again, unless its step was not durable and runs again.
    running = [mark for mark in left if mark.flag is not Flag.WAITING]
    queries = {key: hold for mark in _innermost(running) for key, hold in [_of_query(mark, known, now)]}
    # A step that asked the query which ended the process is not to blame for it.
    is_explained = any(hold.state == HELD for hold in queries.values())
    steps = {
        key: hold
        for mark in running
        if mark.what is What.STEP
        for key, hold in [_of_step(mark, known, now, is_explained=is_explained, is_born=is_born(mark.actor))]
    }
    checks = {key: hold for mark in running if mark.what is What.CHECK for key, hold in [_of_check(mark, known, now)]}
    return {**steps, **queries, **checks}


def _innermost(running: list[Mark]) -> list[Mark]:
    """Of queries that asked each other, the innermost ones."""
    found: dict[int, Mark] = {}
    for mark in running:
        if mark.what is What.QUERY and mark.depth >= found.get(mark.question, mark).depth:
            found[mark.question] = mark
    return list(found.values())


def _of_query(mark: Mark, known: Known, now: int) -> tuple[Key, Hold]:
    key = (mark.actor, Kind.QUERIES)
    deaths = _deaths(known(key))
    until = "until one of them succeeds, or an update repairs it"
    once = f"the process ended while its query {mark.name!r} ran; its queries run one at a time {until}"
    again = f"its query {mark.name!r} ended the process {deaths} times; {_CURE}"
    return key, _hold(deaths, once, again, now)


def _of_check(mark: Mark, known: Known, now: int) -> tuple[Key, Hold]:
    key = (mark.actor, Kind.CHECK)
    deaths = _deaths(known(key))
    what = "while this core was loaded to check it"
    cure = f"send one that is repaired, or resume {mark.actor} to try it once more"
    once = f"the process ended {what}; it may be sent once more"
    again = f"the process ended {deaths} times {what}; {cure}"
    return key, _hold(deaths, once, again, now)


def _deaths(before: Hold | None) -> int:
    return 1 if before is None else before.deaths + 1


def _hold(deaths: int, once: str, again: str, now: int) -> Hold:
    """A suspicion after the first death, a hold after another one."""
    if deaths == 1:
        return Hold(state=SUSPECT, reason=once, since=now, deaths=1)
    return Hold(state=HELD, reason=again, since=now, deaths=deaths)


def _of_step(mark: Mark, known: Known, now: int, *, is_explained: bool, is_born: bool) -> tuple[Key, Hold]:
    key = (mark.actor, Kind.STEPS)
    before = known(key)
    is_update = mark.name == UPDATE
    what = "an update" if is_update else "a message" if is_born else "the birth"
    cure = _CURE if is_born else _CURE_OF_BIRTH
    deaths = (0 if before is None else before.deaths) + (not is_explained)
    if not is_explained and (deaths >= MAX_DEATHS or (mark.flag is Flag.ALONE and deaths > 1)):
        how = "the last time it ran alone" if mark.flag is Flag.ALONE else "whatever else ran"
        reason = f"the process ended {deaths} times while {what} of it was being handled, {how}; {cure}"
        return key, Hold(state=HELD, reason=reason, since=now, deaths=deaths, is_update=is_update)
    reason = f"the process ended while {what} of it was being handled: it is tried once more, alone"
    messages = max(1, mark.messages)
    return key, Hold(state=SUSPECT, reason=reason, since=now, deaths=deaths, messages=messages, is_update=is_update)
