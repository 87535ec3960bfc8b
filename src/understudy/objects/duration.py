"""Durations: a number of seconds, or a text such as "30s", "3 days" or "1 hour 30 minutes"; in microseconds."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isfinite
from typing import Final

from understudy.objects.errors import BadTimer

SECOND_US: Final = 1_000_000
LAST_US: Final = 253_402_300_799_000_000  # the last second of the year 9999, where calendars end; no duration is longer
_NAMES: Final = {
    ("ms", "millisecond", "milliseconds"): 1_000,
    ("s", "sec", "secs", "second", "seconds"): SECOND_US,
    ("m", "min", "mins", "minute", "minutes"): 60 * SECOND_US,
    ("h", "hr", "hrs", "hour", "hours"): 3_600 * SECOND_US,
    ("d", "day", "days"): 86_400 * SECOND_US,
    ("w", "week", "weeks"): 7 * 86_400 * SECOND_US,
}
_UNITS: Final = {name: size for names, size in _NAMES.items() for name in names}
_PART: Final = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]{1,12})(?![a-z])", re.IGNORECASE)
_MAX_TEXT: Final = 100


def duration_us(duration: float | str | timedelta, *, what: str = "the duration") -> int:
    """A duration in microseconds, 0 or more. Raises BadTimer that says what is wrong with it.

    A day is 24 hours, whatever the clocks of a place do; a month and a year are none, since they differ in length.
    """
    if isinstance(duration, timedelta):
        found = duration // timedelta(microseconds=1)
    elif isinstance(duration, str):
        found = _read_text(duration, what)
    elif isinstance(duration, bool) or not isinstance(duration, int | float) or _is_no_number(duration):
        raise BadTimer(f'{what} is {shown(duration)}: it must be a number of seconds, or a text such as "3 days"')
    else:
        # Beyond the bound an int may be too large to become a float, and a float infinite when it is multiplied.
        found = round(max(-1, min(duration, LAST_US // SECOND_US + 1)) * SECOND_US)
    if found < 0:
        raise BadTimer(f"{what} is {shown(duration)}: it must not be negative")
    if found > LAST_US:
        raise BadTimer(f"{what} is {shown(duration)}: it must end before the year 10000")
    return found


def _is_no_number(value: float) -> bool:
    return isinstance(value, float) and not isfinite(value)


def shown(value: object) -> str:
    """A value for an error's text: not more than a line of it, also where Python would refuse to write it out."""
    try:
        text = repr(value)
    except Exception:
        # An int of more than 4,300 digits, or a class of the author's.
        text = f"a value of the type {type(value).__name__}"
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"


def _read_text(text: str, what: str) -> int:
    found, at = 0, 0
    rest = text.rstrip()
    while at < len(rest) <= _MAX_TEXT:
        part = _PART.match(rest, at)
        unit = None if part is None else _UNITS.get(part[2].lower())
        if part is None or unit is None:
            break
        found += round(float(part[1]) * unit)
        at = part.end()
    if not rest or at < len(rest):
        raise BadTimer(
            f"{what} is {shown(text)}: write a number of seconds, or numbers with their units, such as "
            '"30s", "1.5 hours" or "2 days 12 hours"; units are ms, s, min, h, days and weeks'
        )
    return found
