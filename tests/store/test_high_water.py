"""The mark beside a store: read as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.store.high_water import NAME, HighWater, Mark, read_mark

MARKS = (Mark(feed=7, step="bafy", sequence=2**60), Mark(feed=0, step=None, sequence=0))


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_comes_back_and_takes_the_place_of_the_one_before(tmp_path: Path, mark: Mark):
    file = HighWater(tmp_path)
    file.write(Mark(feed=1, step="x" * 59, sequence=1))
    file.write(mark)
    file.close()
    file.close()
    assert read_mark(tmp_path) == mark
    assert (tmp_path / NAME).stat().st_size == 256
    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0


def test_a_mark_that_is_absent_says_nothing(tmp_path: Path):
    assert read_mark(tmp_path) is None
    assert read_mark(tmp_path / "no such place") is None


def test_a_mark_that_is_cut_or_has_any_other_byte_says_nothing(tmp_path: Path):
    file = HighWater(tmp_path)
    file.write(MARKS[0])
    file.close()
    data = (tmp_path / NAME).read_bytes()
    for length in range(len(data)):
        (tmp_path / NAME).write_bytes(data[:length])
        assert read_mark(tmp_path) is None
    for at in range(len(data.rstrip())):
        if at != 8:
            (tmp_path / NAME).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert read_mark(tmp_path) is None


def test_a_store_whose_mark_can_not_be_written_goes_on(tmp_path: Path):
    file = HighWater(tmp_path / "no such place")
    file.write(MARKS[0])
    file.close()
    assert read_mark(tmp_path / "no such place") is None
