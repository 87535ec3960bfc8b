"""How a wit sets timers: `ctx.after`, `ctx.at`, `ctx.every`, `ctx.cron`, `ctx.cancel`, and `ctx.timer`.

They write and remove files below `/timers` in the core, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from msgspec import Struct

from understudy.actors.contract import Delivery, StepInput
from understudy.objects.clock import ring_of
from understudy.objects.duration import duration_us, shown
from understudy.objects.errors import BadTimer
from understudy.objects.ids import Id
from understudy.objects.timer import (
    NO_CONTENT,
    TIMERS,
    Timer,
    check_cron,
    check_instant,
    check_zone,
    instant_us,
    local_time,
    period_us,
)
from understudy.wit.abi import Abi
from understudy.wit.content import type_of
from understudy.wit.core import Core
from understudy.wit.timers import drop_timer, put_timer

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Rang(Struct, frozen=True, kw_only=True):
    """The timer that a message is from: its name, when it was due, and how many times before were missed. A time is missed
    while the node is down, and while the actor has not handled the last message of the timer.
    """

    name: str
    due: datetime
    missed: int


class _Step(Protocol):
    """The step that runs."""

    given: StepInput
    abi: Abi
    timers_named: int

    @property
    def core(self) -> Core: ...

    @property
    def delivery(self) -> Delivery: ...


class Scheduling:
    """Timers of the actor that steps. A timer replaces another one of the same name. Without a name it gets a new one,
    which is returned: the same in a replay. Its message is a type and a payload (JSON, or bytes as they are), or only a
    payload, whose class is the type. Raises BadTimer for a wrong time, zone, cron line or name, and TypeError or ValueError
    for what JSON can't hold.
    """

    __slots__ = ()

    def after(
        self: _Step, delay: float | str | timedelta, what: Any, payload: Any = None, *, name: str | None = None
    ) -> str:
        """Send the message once, after so many seconds or a time such as "3 days". With 0, as soon as the step is
        durable.
        """
        at = check_instant(self.given.time + duration_us(delay, what="the delay"), what="the time after the delay")
        return _put(self, name, what, payload, at=at)

    def at(
        self: _Step,
        when: datetime | str,
        what: Any,
        payload: Any = None,
        *,
        zone: str | None = None,
        name: str | None = None,
    ) -> str:
        """Send the message once, at a time: a datetime with a time zone, or a text such as "2026-11-23T09:00:00Z".

        With `zone`, e.g. "Europe/Berlin", it is a date and time without one, on the clocks of that place.
        """
        if zone is not None:
            text = when.isoformat() if isinstance(when, datetime) else _text(when, "the time")
            return _put(
                self, name, what, payload, local=local_time(text), zone=check_zone(_text(zone, "the time zone"))
            )
        return _put(self, name, what, payload, at=_instant(when))

    def every(
        self: _Step,
        period: float | str | timedelta,
        what: Any,
        payload: Any = None,
        *,
        start: datetime | str | None = None,
        name: str | None = None,
    ) -> str:
        """Send the message again and again, after so many seconds or a time such as "10 minutes", counted from now or from
        `start`.
        """
        begin = self.given.time if start is None else _instant(start)
        return _put(self, name, what, payload, every=period_us(period), start=begin)

    def cron(
        self: _Step, line: str, what: Any, payload: Any = None, *, zone: str = "UTC", name: str | None = None
    ) -> str:
        """Send the message whenever a cron line says so, e.g. "30 9 * * MON-FRI", on the clocks of a time zone."""
        return _put(
            self,
            name,
            what,
            payload,
            cron=check_cron(_text(line, "a cron line")),
            zone=check_zone(_text(zone, "the time zone")),
        )

    def cancel(self: _Step, name: str) -> bool:
        """Remove a timer; False if there is none of this name. After the step it does not fire any more."""
        return drop_timer(self.core, _text(name, "the name of a timer"))

    @property
    def timer(self: _Step) -> Rang | None:
        """The timer that the present message is from, None if it is not from a timer. Raises ValueError like `message`."""
        ring = ring_of(self.delivery.message)
        if ring is None:
            return None
        return Rang(name=ring.name, due=_EPOCH + timedelta(microseconds=ring.due), missed=ring.missed)


def _put(step: _Step, name: str | None, what: Any, payload: Any, **when: Any) -> str:
    type, payload = _message(what, payload)
    name = _free_name(step) if name is None else _text(name, "the name of a timer")
    put_timer(step.core, name, Timer(type=type, content=_content(step, payload), **when))
    return name


def _message(what: Any, payload: Any) -> tuple[str, Any]:
    if isinstance(what, str):
        return what, payload
    if isinstance(what, type):
        return what.__name__, payload
    if payload is not None or what.__class__.__module__ == "builtins":
        raise TypeError("say the message type and then the payload, or alone a payload whose class is the type")
    return type_of(what), what


def _content(step: _Step, payload: Any) -> bytes:
    if payload is None:
        return NO_CONTENT
    if isinstance(payload, Id):
        raise TypeError("a timer holds JSON or bytes, and no link: put the object into the core, and its path here")
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return step.abi.encode(payload)


def _free_name(step: _Step) -> str:
    while True:
        name = f"{step.given.height}-{step.timers_named}"
        step.timers_named += 1
        # An author may have given such a name.
        if f"{TIMERS}/{name}" not in step.core:
            return name


def _instant(when: datetime | str) -> int:
    if isinstance(when, str):
        return instant_us(when, what="the time")
    if not isinstance(when, datetime):
        raise TypeError(
            f'the time is {shown(when)}: it must be a datetime, or a text such as "2026-11-23T09:00:00Z"; '
            "ctx.after takes a number of seconds"
        )
    if when.tzinfo is None:
        raise BadTimer(
            f"the time is {when}, without a time zone: give it one, e.g. datetime(…, tzinfo=UTC), or say zone=…"
        )
    return check_instant((when - _EPOCH) // _MICROSECOND, what="the time")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, and is {shown(value)}")
    return value
