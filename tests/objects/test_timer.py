"""The file of a timer: what it may say, and how what is wrong with it is said.

Of objects/timer.py, objects/duration.py and objects/zones.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.test_vectors import vectors
from understudy.objects.duration import LAST_US, duration_us
from understudy.objects.errors import BadTimer
from understudy.objects.timer import (
    MAX_BYTES,
    MIN_EVERY_US,
    NO_CONTENT,
    Timer,
    check_timer_name,
    instant_text,
    instant_us,
    read_timer,
    write_timer,
)
from understudy.objects.zones import ZONES

DAY = 86_400_000_000

CONTENTS = st.one_of(st.just(NO_CONTENT), st.binary(max_size=40), st.sampled_from([b'{"a": 1}', b" 1", b"[1, 2]", b""]))
TYPES = st.sampled_from(["tick", "due é", "x" * 255])
TIMERS = st.one_of(
    st.builds(Timer, type=TYPES, content=CONTENTS, at=st.integers(0, LAST_US)),
    st.builds(
        Timer,
        type=TYPES,
        content=CONTENTS,
        local=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)),
        zone=st.sampled_from(["Europe/Berlin", "UTC"]),
    ),
    st.builds(
        Timer, type=TYPES, content=CONTENTS, every=st.integers(MIN_EVERY_US, 10**15), start=st.integers(0, LAST_US)
    ),
    st.builds(
        Timer,
        type=TYPES,
        content=CONTENTS,
        cron=st.sampled_from(["*/5 * * * *", "30 9 * * MON-FRI", "0 0 L * *"]),
        zone=st.sampled_from(["America/New_York", "UTC"]),
    ),
)


@given(TIMERS)
def test_a_timer_that_is_written_is_read_back(timer: Timer):
    data = write_timer(timer)
    assert read_timer(data) == timer
    assert write_timer(read_timer(data)) == data


@pytest.mark.parametrize(
    ("file", "timer"),
    [
        ('{"at":"2026-11-23T09:00:00Z","type":"due"}', Timer(type="due", at=1_795_424_400_000_000)),
        ('{"at":"2026-11-23 10:00+01:00","type":"due"}', Timer(type="due", at=1_795_424_400_000_000)),
        (
            '{"at":"2026-11-23 10:00","zone":"Europe/Berlin","type":"due"}',
            Timer(type="due", local=datetime(2026, 11, 23, 10), zone="Europe/Berlin"),
        ),
        ('{"every":90,"type":"tick"}', Timer(type="tick", every=90_000_000)),
        (
            '{"every":"1 hour","from":"1970-01-01T00:10:00Z","type":"tick"}',
            Timer(type="tick", every=3_600_000_000, start=600_000_000),
        ),
        ('{"cron":"0 9 * * *","type":"tick"}', Timer(type="tick", cron="0 9 * * *")),
        (
            '{"type":"due","at":"1970-01-01T00:00Z","content":{ "a": [1] }}',
            Timer(type="due", at=0, content=b'{ "a": [1] }'),
        ),
        ('{"type":"due","at":"1970-01-01T00:00Z","bytes":"AAE="}', Timer(type="due", at=0, content=b"\x00\x01")),
    ],
)
def test_a_file_says_what_a_person_would_read_in_it(file: str, timer: Timer):
    assert read_timer(file.encode()) == timer


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("", "JSON"),
        ("[]", "JSON"),
        ('{"type":"x"}', "none of them"),
        ('{"at":"2026-11-23T09:00Z","every":5,"type":"x"}', "at and every"),
        ('{"at":"2026-11-23T09:00Z"}', "type"),
        ('{"at":"2026-11-23T09:00Z","type":""}', "type"),
        ('{"at":"2026-11-23T09:00Z","typ":"x","type":"x"}', "typ"),
        ('{"at":"2026-11-23T09:00","type":"x"}', "another instant in each place"),
        ('{"at":"2026-11-23T09:00Z","zone":"Europe/Berlin","type":"x"}', "one of the two"),
        ('{"at":"2026-02-30T09:00Z","type":"x"}', "day"),
        ('{"at":"tomorrow","type":"x"}', "a date and a time"),
        ('{"at":"1969-12-31T09:00Z","type":"x"}', "1970"),
        ('{"at":"0001-01-01 00:00","zone":"UTC","type":"x"}', "1970"),
        ('{"at":"2026-11-23T09:00+25:00","type":"x"}', "'at'"),
        ('{"every":0,"type":"x"}', "0.1 seconds"),
        ('{"every":-5,"type":"x"}', "negative"),
        ('{"every":"3 months","type":"x"}', "units are"),
        ('{"every":true,"type":"x"}', "JSON"),
        ('{"every":1e400,"type":"x"}', "JSON"),
        ('{"every":5,"zone":"UTC","type":"x"}', "zone"),
        ('{"cron":"* * * *","type":"x"}', "no cron line"),
        ('{"cron":"61 * * * *","type":"x"}', "no cron line"),
        ('{"cron":"0 0 31 2 *","type":"x"}', "no cron line"),
        ('{"cron":"0 0 30 2 MON#5L","type":"x"}', "no cron line"),
        ('{"cron":"@daily","type":"x"}', "no cron line"),
        ('{"cron":"0 9 * * *","zone":"Europe/Berln","type":"x"}', "Europe/Berln"),
        ('{"cron":"0 9 * * *","zone":"../../etc/passwd","type":"x"}', "no time zone"),
        ('{"cron":"0 9 * * *","from":"2026-11-23T09:00Z","type":"x"}', "from"),
        ('{"at":"2026-11-23T09:00Z","type":"x","content":1,"bytes":"AA=="}', "both"),
        ('{"at":"2026-11-23T09:00Z","type":"x","bytes":"?"}', "base64"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_timer_is_named(file: str, why: str):
    with pytest.raises(BadTimer, match=why):
        read_timer(file.encode())


@pytest.mark.parametrize("vector", [pytest.param(each, id=each["name"]) for each in vectors("timers.json")])
def test_each_vector_is_a_timer_or_none(vector):
    # When they are due, the test of all vectors compares with what our code makes.
    if vector["due"] is None:
        with pytest.raises(BadTimer):
            read_timer(vector["file"].encode())
    else:
        timer = read_timer(vector["file"].encode())
        assert read_timer(write_timer(timer)) == timer


def test_a_timer_has_a_bound():
    content = b'"' + b"a" * (MAX_BYTES - 60) + b'"'
    assert read_timer(write_timer(Timer(type="x", at=0, content=content))).content == content
    with pytest.raises(BadTimer, match="1 MiB"):
        write_timer(Timer(type="x", at=0, content=b'"' + b"a" * MAX_BYTES + b'"'))
    with pytest.raises(BadTimer, match="1 MiB"):
        read_timer(b" " * (MAX_BYTES + 1))
    with pytest.raises(BadTimer, match="cron line"):
        read_timer(b'{"cron":"' + b"0," * 200 + b'0 * * * *","type":"x"}')


@pytest.mark.parametrize("name", ["", ".", "a/b", "a\nb", "x" * 256])
def test_a_name_is_one_that_a_tree_can_have(name: str):
    with pytest.raises(BadTimer, match="timer name"):
        check_timer_name(name)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        (3.5, 3_500_000),
        (0, 0),
        ("30s", 30_000_000),
        ("3 days", 3 * DAY),
        ("1h30m", 5_400_000_000),
        ("1 hour 30 minutes", 5_400_000_000),
        ("0.5 weeks", 3 * DAY + DAY // 2),
        (" 250ms ", 250_000),
        (timedelta(days=1), DAY),
    ],
)
def test_a_duration_is_what_people_write(text, microseconds):
    assert duration_us(text) == microseconds


@pytest.mark.parametrize(
    "text", ["", " ", "3", "days", "3 fortnights", "-1 s", "1s2", "1e3 s", "٣ days", -1, float("nan"), True, None]
)
def test_what_is_no_duration_is_named(text):
    with pytest.raises(BadTimer):
        duration_us(text)


@given(st.integers(0, LAST_US))
def test_an_instant_is_read_back(instant: int):
    assert instant_us(instant_text(instant), what="it") == instant


def test_the_list_of_time_zones_holds_all_that_there_are():
    """A zone that is new in tzdata is added to objects/zones.py; none is ever taken out."""
    assert set(files("tzdata").joinpath("zones").read_text().split()) <= ZONES
