"""Numbers of seven bits to a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects.varint import read_varint, write_varint


@given(st.integers(0, 2**80), st.binary(max_size=3), st.binary(max_size=3))
def test_what_is_written_is_read_and_says_where_it_ends(value, before, after):
    written = write_varint(value)
    assert read_varint(before + written + after, len(before)) == (value, len(before + written))


def test_the_smallest_and_the_first_of_two_bytes():
    assert [write_varint(value) for value in (0, 127, 128)] == [b"\x00", b"\x7f", b"\x80\x01"]


def test_a_number_that_is_cut_off_is_an_error():
    with pytest.raises(IndexError):
        read_varint(b"\x80", 0)
