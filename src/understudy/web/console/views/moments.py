"""Moments as pages show them: UTC in the page; a module in the browser says it in the reader's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(Struct, frozen=True):
    """A time as text, and as machines read it; None where no calendar has it."""

    text: str
    machine: str | None


def moment(microseconds: int | None) -> Moment:
    """A time in microseconds since 1970."""
    if microseconds is None:
        return Moment("never", None)
    try:
        at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        # A history from elsewhere may claim a year that no calendar has.
        return Moment(f"{microseconds} µs after 1970", None)
    return Moment(
        at.strftime("%Y-%m-%d %H:%M:%S") + f".{at.microsecond // 1000:03} UTC",
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def microseconds_of(text: str) -> int | None:
    """The time that a text in ISO 8601 says, UTC where it names no zone; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0, (at - _EPOCH) // timedelta(microseconds=1))
