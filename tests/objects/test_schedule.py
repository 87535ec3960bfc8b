"""When a timer is due, also where clocks are put forward and back."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects.duration import LAST_US
from understudy.objects.errors import BadTimer
from understudy.objects.schedule import MAX_COUNTED, firing, next_due
from understudy.objects.timer import Timer, instant_text, instant_us, read_timer

NOVEMBER = 1_795_424_400_000_000  # 2026-11-23T09:00:00Z


def timer(file: str) -> Timer:
    return read_timer(file.encode())


def berlin(line: str) -> Timer:
    return Timer(type="x", cron=line, zone="Europe/Berlin")


def instants(of: Timer, after: str, count: int) -> list[str]:
    """The next instants in UTC, without the date."""
    at, found = instant_us(after, what="it"), []
    for _ in range(count):
        due = next_due(of, at, ZoneInfo)
        assert due is not None
        assert due > at
        at = due
        found.append(instant_text(at)[5:16])
    return found


# In Berlin, 02:00 became 03:00 on 29 March 2026 at 01:00 UTC, and 03:00 became 02:00 on 25 October at 01:00 UTC.


def test_a_time_that_is_skipped_fires_once_after_the_gap():
    assert instants(berlin("30 2 * * *"), "2026-03-28T12:00Z", 2) == ["03-29T01:00", "03-30T00:30"]
    assert instants(berlin("0,30 2 * * *"), "2026-03-28T12:00Z", 2) == ["03-29T01:00", "03-30T00:00"]


def test_a_time_that_comes_twice_fires_once_at_the_first():
    assert instants(berlin("30 2 * * *"), "2026-10-24T12:00Z", 2) == ["10-25T00:30", "10-26T01:30"]
    # Also for who asks between the two.
    assert instants(berlin("30 2 * * *"), "2026-10-25T01:10Z", 1) == ["10-26T01:30"]


def test_a_line_with_stars_follows_the_clock_on_the_wall():
    assert instants(berlin("30 * * * *"), "2026-03-29T00:00Z", 3) == ["03-29T00:30", "03-29T01:30", "03-29T02:30"]
    assert instants(berlin("*/30 2 * * *"), "2026-03-28T12:00Z", 1) == ["03-30T00:00"]
    assert instants(berlin("*/30 2 * * *"), "2026-10-24T12:00Z", 5) == [
        *("10-25T00:00", "10-25T00:30", "10-25T01:00", "10-25T01:30"),
        "10-26T01:00",
    ]


def test_a_local_time_that_is_skipped_is_taken_by_the_clock_of_before_and_one_that_comes_twice_is_the_first():
    gap = timer('{"at":"2026-03-29 02:30","zone":"Europe/Berlin","type":"x"}')
    fold = timer('{"at":"2026-10-25 02:30","zone":"Europe/Berlin","type":"x"}')
    assert [next_due(each, 0, ZoneInfo) for each in (gap, fold)] == [
        instant_us("2026-03-29T01:30Z", what="it"),
        instant_us("2026-10-25T00:30Z", what="it"),
    ]


def test_every_counts_seconds_and_no_days():
    assert instants(timer('{"every":"1 day","type":"x"}'), "2026-03-28T12:00Z", 2) == ["03-29T00:00", "03-30T00:00"]
    begun = timer('{"every":"1 day","from":"2026-03-28T12:00Z","type":"x"}')
    assert instants(begun, "2026-03-01T00:00Z", 2) == ["03-28T12:00", "03-29T12:00"]


def test_what_is_beyond_the_calendar_is_never_due():
    assert next_due(berlin("30 2 * * *"), LAST_US - 1, ZoneInfo) is None
    assert next_due(timer('{"every":10,"type":"x"}'), LAST_US, ZoneInfo) is None


def test_a_machine_that_does_not_know_the_zone_is_named():
    def none(name: str):
        raise KeyError(name)

    with pytest.raises(BadTimer, match="does not know the time zone 'Europe/Berlin'"):
        next_due(berlin("30 2 * * *"), 0, none)


@given(
    of=st.sampled_from(
        [
            berlin("*/7 * * * *"),
            berlin("30 2 * * *"),
            berlin("15 */3 * * MON"),
            timer('{"every":100,"type":"x"}'),
            timer('{"every":"7 hours","from":"2026-10-20T12:00Z","type":"x"}'),
        ]
    ),
    begin=st.integers(instant_us("2026-10-24T00:00Z", what="it"), instant_us("2026-10-26T00:00Z", what="it")),
    looks=st.lists(st.integers(0, 30_000), min_size=1, max_size=4),
)
def test_each_instant_is_fired_or_counted_as_missed_once(of: Timer, begin: int, looks: list[int]):
    """Whenever somebody looks, all instants up to then are accounted for, and none twice."""
    now, due, accounted = begin, next_due(of, begin, ZoneInfo), 0
    for seconds in looks:
        now += seconds * 1_000_000
        if due is not None and due <= now:
            fired = firing(of, due, now, ZoneInfo)
            assert fired.due <= now
            accounted += fired.missed + 1
            due = next_due(of, fired.due, ZoneInfo)
    expected, at = 0, begin
    while (following := next_due(of, at, ZoneInfo)) is not None and following <= now:
        expected, at = expected + 1, following
    assert accounted == expected


def test_a_timer_that_fires_once_misses_nothing():
    assert firing(Timer(type="x", at=5), 5, NOVEMBER, ZoneInfo) == (5, 0)


def test_who_was_away_for_long_hears_of_so_many_and_goes_on_from_now():
    fired = firing(Timer(type="x", cron="* * * * *"), NOVEMBER, NOVEMBER + 10**13, ZoneInfo)
    assert fired == (NOVEMBER + 10**13, MAX_COUNTED)
    # What counts seconds needs no bound.
    assert firing(Timer(type="x", every=10**6), NOVEMBER, NOVEMBER + 10**13, ZoneInfo).missed == 10**7
