"""What pages compute: previews, charts and texts, of whatever bytes and numbers there may be."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from understudy.web.console.addresses import is_own_page
from understudy.web.console.views.amounts import number, size
from understudy.web.console.views.charts import HEIGHT, WIDTH, chart, edges_between
from understudy.web.console.views.moments import microseconds_of, moment
from understudy.web.console.views.previews import MAX_BYTES, MAX_LINES, preview_of
from understudy.web.console.views.texts import clip, visible

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\u061c]")
KINDS = {"json", "text", "html", "table", "binary", "empty"}
TYPES = st.sampled_from(["", "text/html", "text/csv", "text/tab-separated-values", "application/json", "image/png"])


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode), st.integers(0, 1000), TYPES)
@example("ä".encode()[:1], 5, "")
@example(b"\xff", 0, "text/csv")
@example(b'"a\n', 0, "text/csv")
def test_any_bytes_have_a_preview_that_can_be_looked_at(data: bytes, more: int, media_type: str) -> None:
    found = preview_of(data, size=len(data) + more, media_type=media_type)
    assert found.kind in KINDS
    assert not UNSEEN.search(found.text)
    assert not any(UNSEEN.search(cell) for row in found.rows for cell in row)
    assert found.is_cut or more == 0 or not data


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_is_shown_as_the_value_that_it_is(value: object) -> None:
    data = json.dumps(value).encode()
    found = preview_of(data, size=len(data))
    if found.kind == "json":
        assert json.loads(found.text) == value


@pytest.mark.parametrize(
    "data", [b"[" * 60_000 + b"]" * 60_000, b"[" * 31 + b"1," * 60_000 + b"1" + b"]" * 31, b"\n" * MAX_BYTES]
)
def test_what_is_made_to_be_large_stays_bounded(data: bytes) -> None:
    found = preview_of(data, size=len(data))
    assert len(found.lines) <= MAX_LINES
    assert sum(map(len, found.lines)) <= 4 * MAX_BYTES


def test_a_cut_through_a_character_leaves_text() -> None:
    found = preview_of("ää".encode()[:3], size=4)
    assert (found.kind, found.text, found.is_cut) == ("text", "ä", True)


@given(st.text(), st.integers(1, 50))
def test_a_clipped_text_is_short_and_can_be_seen(text: str, most: int) -> None:
    assert not UNSEEN.search(clip(text, most))
    assert len(visible(text)) >= len(text)
    if not UNSEEN.search(text):
        assert len(clip(text, most)) <= most


@given(st.integers(0, 2**53), st.integers(1, 2**50), st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_a_chart_stays_in_its_frame_and_hides_nothing(begin: int, span: int, counts: list[int]) -> None:
    edges = edges_between(begin, begin + span, len(counts))
    assert edges[0] == begin and edges[-1] == begin + span and edges == sorted(edges)
    found = chart(edges, counts)
    assert found.total == sum(counts)
    for bar, count in zip(found.bars, counts, strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.01
        assert bar.y >= 0 and bar.y + bar.height <= HEIGHT + 0.01
        assert (bar.height > 0) == (count > 0)


@given(st.integers(0, 2**63))
def test_any_time_can_be_shown(time: int) -> None:
    found = moment(time)
    assert found.machine is None or microseconds_of(found.machine) == time // 1000 * 1000


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/console", True),
        ("/", True),
        ("//evil", False),
        ("/\\evil", False),
        ("https://x", False),
        ("", False),
        ("/a\n", False),
        ("/a\r\nSet-Cookie: x=y", False),
        ("/\t/evil", False),
        ("\\\\evil", False),
        ("javascript:alert(1)", False),
        ("/" + "a" * 4000, False),
    ],
)
def test_only_addresses_of_this_node_are_led_to(path: str, own: bool) -> None:
    assert is_own_page(path) is own


def test_amounts_are_read_at_a_glance() -> None:
    assert [size(1), size(2), size(2048), size(3 * 1024**3)] == ["1 byte", "2 bytes", "2.0 KiB", "3.0 GiB"]
    assert number(1234567) == "1\u202f234\u202f567"
