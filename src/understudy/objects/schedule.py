"""When a timer is due. The time zones' rules are handed in: they are the machine's, and change.

The law: each instant of a timer that repeats is either fired or counted as missed, once.

Where clocks are put forward or back (docs/FORMAT.md section 15):
- A local time that is skipped is taken by the clock of before: 02:30 becomes 03:30. One that comes twice is the first.
- A cron line that names its hour and minute fires once that day: after the gap if its time is skipped, and at the first
  of two. One with `*` in the hour or the minute follows the clock on the wall: what is skipped does not fire, what comes
  twice fires twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from cronsim import CronSim

from understudy.objects.duration import LAST_US
from understudy.objects.errors import BadTimer
from understudy.objects.timer import Timer, check_instant

MAX_COUNTED: Final = 1000  # missed times of a cron line that are counted one by one: some 20 ms
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Zones = Callable[[str], tzinfo]


class Firing(NamedTuple):
    """What fires now: the newest instant that is due, and how many before it are missed."""

    due: int
    missed: int


def next_due(timer: Timer, after: int, zones: Zones) -> int | None:
    """The first instant after the given one, None if there is none; for a timer that fires once, its instant.

    Instants are microseconds since 1970. Raises BadTimer if the machine does not know the zone.
    """
    if timer.at is not None:
        return timer.at
    if timer.local is not None:
        local = timer.local.replace(tzinfo=_zone(timer.zone, zones), fold=0)
        return check_instant((local - _EPOCH) // _MICROSECOND, what=f"'at' in {timer.zone}")
    if timer.every is not None:
        instant = timer.start + max(0, (after - timer.start) // timer.every + 1) * timer.every
        return instant if instant <= LAST_US else None
    return next(_cron_instants(timer, after, zones), None)


def firing(timer: Timer, due: int, now: int, zones: Zones) -> Firing:
    """What fires at `now` of a timer that has been due since `due`. Raises BadTimer."""
    if timer.is_once or now <= due:
        return Firing(due, 0)
    if timer.every is not None:
        missed = (now - due) // timer.every
        return Firing(due + missed * timer.every, missed)
    missed = 0
    for instant in _cron_instants(timer, due, zones):
        if instant > now:
            break
        if missed == MAX_COUNTED:
            # Who was away for that long hears of so many, and goes on from now.
            return Firing(now, missed)
        due, missed = instant, missed + 1
    return Firing(due, missed)


def _cron_instants(timer: Timer, after: int, zones: Zones) -> Iterator[int]:
    """The instants of a cron line after the given one, in order."""
    assert timer.cron is not None
    zone = _zone(timer.zone, zones)
    try:
        begin = (_EPOCH + timedelta(microseconds=after)).astimezone(zone)
        for local in CronSim(timer.cron, begin):
            instant = (local.astimezone(UTC) - _EPOCH) // _MICROSECOND
            if instant > LAST_US:
                return
            # Of an hour that comes twice, the library may give a time of the first while we are in the second.
            if instant > after:
                yield instant
                after = instant
    except (OverflowError, ValueError):
        # Beyond the end of the calendar.
        return


def _zone(name: str, zones: Zones) -> tzinfo:
    try:
        return zones(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadTimer(f"this machine does not know the time zone {name!r}: update its package tzdata") from error
