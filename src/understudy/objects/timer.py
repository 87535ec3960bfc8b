"""Timers: what stands at `/timers/NAME` in a core, a JSON object that says when which message is due.

The law: what is read depends on the bytes alone, so a step that sets a timer comes out alike wherever it is replayed.
When a timer is due next is in `objects/schedule.py`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import UNSET, Struct, UnsetType, field

from understudy.objects.duration import LAST_US, SECOND_US, duration_us, shown
from understudy.objects.errors import BadName, BadTimer
from understudy.objects.message import check_type
from understudy.objects.names import check_name
from understudy.objects.zones import ZONES

TIMERS: Final = "timers"  # the tree in the core
MAX_BYTES: Final = 1024 * 1024  # of a timer's file: what one raw block holds
MAX_CRON: Final = 255  # characters of a cron line: the longest that people write have some fifty
MIN_EVERY_US: Final = SECOND_US // 10  # what comes more often is a loop and not a schedule: each time is a durable step
NO_CONTENT: Final = b"null"  # what the message holds without a content: JSON, as for every other message

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)(Z|[+-][0-9]{2}:[0-9]{2})?\Z"
)


class Timer(Struct, frozen=True, kw_only=True):
    """A timer whose file is right. Exactly one of `at`, `local`, `every` and `cron` is set.

    - `at`: an instant, in microseconds since 1970
    - `local`: a date and time of day in the place `zone`
    - `every`: microseconds; counted from `start`, in microseconds since 1970
    - `cron`: a cron line for the clocks of `zone`
    - `type`, `content`: of the message
    """

    type: str
    content: bytes = NO_CONTENT
    at: int | None = None
    local: datetime | None = None
    every: int | None = None
    start: int = 0
    cron: str | None = None
    zone: str = "UTC"

    @property
    def is_once(self) -> bool:
        """True if it fires once."""
        return self.at is not None or self.local is not None


class _File(Struct, forbid_unknown_fields=True):
    type: str
    at: str | None = None
    every: float | str | None = None
    cron: str | None = None
    zone: str | None = None
    start: str | None = field(default=None, name="from")
    content: msgspec.Raw | UnsetType = UNSET
    bytes: str | None = None


_decoder: Final = msgspec.json.Decoder(_File)


def read_timer(data: bytes) -> Timer:
    """The timer that a file describes. Raises BadTimer that says what is wrong."""
    if len(data) > MAX_BYTES:
        raise BadTimer(f"it has {len(data):,} bytes; a timer has at most 1 MiB")
    try:
        file = _decoder.decode(data)
        check_type(file.type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadName) as error:
        raise BadTimer(f"it is not the JSON of a timer: {error}") from error
    given = [name for name in ("at", "every", "cron") if getattr(file, name) is not None]
    if len(given) != 1:
        what = " and ".join(given) if given else "none of them"
        raise BadTimer(f"it must say one of 'at', 'every' and 'cron', and says {what}")
    if file.start is not None and file.every is None:
        raise BadTimer("'from' goes with 'every' alone")
    if file.zone is not None and file.every is not None:
        raise BadTimer("'zone' goes with 'at' and 'cron': 'every' counts seconds, which are the same everywhere")
    content = _content(file)
    if file.every is not None:
        start = 0 if file.start is None else instant_us(file.start, what="'from'")
        return Timer(type=file.type, content=content, every=period_us(file.every), start=start)
    zone = "UTC" if file.zone is None else check_zone(file.zone)
    if file.cron is not None:
        return Timer(type=file.type, content=content, cron=check_cron(file.cron), zone=zone)
    assert file.at is not None
    if file.zone is None:
        return Timer(type=file.type, content=content, at=instant_us(file.at, what="'at'"))
    return Timer(type=file.type, content=content, local=local_time(file.at), zone=zone)


def write_timer(timer: Timer) -> bytes:
    """The file of a timer: always the same bytes for the same timer. Raises BadTimer for a type or a size that can't be."""
    try:
        check_type(timer.type)
    except BadName as error:
        raise BadTimer(str(error)) from error
    file: dict[str, object] = {}
    if timer.at is not None:
        file["at"] = instant_text(timer.at)
    elif timer.local is not None:
        file |= {"at": timer.local.isoformat(), "zone": timer.zone}
    elif timer.every is not None:
        seconds = timer.every / SECOND_US
        file["every"] = int(seconds) if seconds.is_integer() else seconds
        if timer.start:
            file["from"] = instant_text(timer.start)
    else:
        file |= {"cron": timer.cron, "zone": timer.zone}
    file["type"] = timer.type
    if timer.content != NO_CONTENT:
        file |= _content_field(timer.content)
    data = msgspec.json.encode(file)
    if len(data) > MAX_BYTES:
        raise BadTimer(
            f"the timer would have {len(data):,} bytes; at most 1 MiB is allowed: keep large data in the core"
        )
    return data


def check_timer_name(name: str) -> str:
    """The name, if a timer may have it. Raises BadTimer."""
    try:
        return check_name(name, what="timer name")
    except BadName as error:
        raise BadTimer(str(error)) from error


def period_us(every: float | str | timedelta) -> int:
    """The period of a timer that fires again and again. Raises BadTimer."""
    found = duration_us(every, what="'every'")
    if found < MIN_EVERY_US:
        raise BadTimer(f"'every' is {shown(every)}: it must be 0.1 seconds or more")
    return found


def check_zone(zone: str) -> str:
    """The time zone, if there is one of this name. Raises BadTimer."""
    if zone not in ZONES:
        raise BadTimer(f'there is no time zone {zone[:80]!r}: write it as "Europe/Berlin", "America/New_York" or "UTC"')
    return zone


def check_cron(line: str) -> str:
    """The cron line, if it is one and some day fits it. Raises BadTimer."""
    if len(line) > MAX_CRON:
        raise BadTimer(f"a cron line of {len(line):,} characters: at most {MAX_CRON} are allowed")
    try:
        next(CronSim(line, _EPOCH))
    except (CronSimError, ValueError, AssertionError) as error:
        raise BadTimer(
            f"{line!r} is no cron line ({str(error).lower() or 'wrong field'}): write minute, hour, day of the month, "
            'month and day of the week, such as "30 9 * * MON-FRI"'
        ) from error
    except StopIteration:
        raise BadTimer(f"the cron line {line!r} fits no day") from None
    return line


def check_instant(instant: int, *, what: str) -> int:
    """The instant, if it is between 1970 and 9999. Raises BadTimer."""
    if not 0 <= instant <= LAST_US:
        raise BadTimer(f"{what} must be between the years 1970 and 9999")
    return instant


def instant_us(text: str, *, what: str) -> int:
    """An instant such as "2026-11-23T09:00:00Z" or "2026-11-23 09:00+01:00" in microseconds since 1970. Raises BadTimer."""
    date, time, offset = _parts(text, what)
    if offset is None:
        raise BadTimer(
            f"{what} is {text!r}, which is another instant in each place: end it with Z or an offset such as +01:00"
            + (', or add "zone": "Europe/Berlin"' if what == "'at'" else "")
        )
    return check_instant(
        (_datetime(f"{date}T{time}{offset}", text, what) - _EPOCH) // timedelta(microseconds=1), what=what
    )


def local_time(text: str) -> datetime:
    """A date and a time on the clocks of some place, such as "2026-11-23 09:00". Raises BadTimer."""
    date, time, offset = _parts(text, "'at'")
    if offset is not None:
        raise BadTimer(f"'at' is {text!r} and there is a 'zone': say the place with one of the two")
    found = _datetime(f"{date}T{time}", text, "'at'")
    check_instant((found.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1), what="'at'")
    return found


def instant_text(instant: int) -> str:
    """An instant as text, in UTC: always the same text for the same instant."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")


def _parts(text: str, what: str) -> tuple[str, str, str | None]:
    found = _INSTANT.match(text)
    if found is None:
        raise BadTimer(f'{what} is {text[:80]!r}: write a date and a time, such as "2026-11-23T09:00:00Z"')
    return found[1], found[2], found[3]


def _datetime(text: str, given: str, what: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadTimer(f"{what} is {given!r}: {error}") from error


def _content(file: _File) -> bytes:
    if file.bytes is None:
        return NO_CONTENT if file.content is UNSET else bytes(file.content)
    if file.content is not UNSET:
        raise BadTimer("it must not have both 'content' and 'bytes'")
    try:
        return b64decode(file.bytes, validate=True)
    except (Base64Error, ValueError) as error:
        raise BadTimer(f"'bytes' is not base64: {error}") from error


def _content_field(content: bytes) -> dict[str, object]:
    """JSON as it is, other bytes in base64."""
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"bytes": b64encode(content).decode()}
    # What is around it would not come back.
    stripped = content.strip()
    return {"content": msgspec.Raw(content)} if stripped == content else {"bytes": b64encode(content).decode()}
