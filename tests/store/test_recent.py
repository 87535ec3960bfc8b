"""A cache that is bounded by bytes, and forgets what was not used for the longest time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from understudy.store import recent
from understudy.store.recent import Recent, Remembered

ENTRY = recent._ENTRY


def test_what_was_used_last_stays():
    kept: Recent[str, int] = Recent(2 * (ENTRY + 10))
    kept.put("a", 1, 10)
    kept.put("b", 2, 10)
    assert kept.get("a") == 1
    kept.put("c", 3, 10)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)


def test_a_value_that_is_put_again_counts_once():
    kept: Recent[str, int] = Recent(2 * (ENTRY + 10))
    for number in range(5):
        kept.put("a", number, 10)
    kept.put("b", 2, 10)
    assert (kept.get("a"), kept.get("b")) == (4, 2)


def test_a_value_that_is_too_large_pushes_out_all_and_does_not_stay():
    kept: Recent[str, int] = Recent(ENTRY + 10)
    kept.put("a", 1, 10)
    kept.put("b", 2, 11)
    assert (kept.get("a"), kept.get("b")) == (None, None)
    kept.put("a", 1, 10)
    assert kept.get("a") == 1


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 400)), min_size=1))
def test_the_bytes_never_exceed_the_bound_and_what_was_put_last_is_there_if_it_fits(puts: list[tuple[str, int]]):
    most = 2 * (ENTRY + 100)
    kept: Recent[str, int] = Recent(most)
    sizes: dict[str, int] = {}
    for key, size in puts:
        kept.put_all([(key, size, size)])
        sizes[key] = size
        assert sum(sizes[each] + ENTRY for each in "abcde" if kept.get(each) is not None) <= most
        assert (kept.get(key) == size) == (size + ENTRY <= most)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 400)), min_size=1))
def test_one_that_forgets_everything_keeps_to_the_bound_too(puts: list[tuple[str, int]]):
    most = 2 * (ENTRY + 100)
    kept: Remembered[str, int] = Remembered(most)
    sizes: dict[str, int] = {}
    for key, size in puts:
        kept.put_all([(key, size, size)])
        sizes[key] = size
        assert sum(sizes[each] + ENTRY for each in "abcde" if kept.get(each) is not None) <= most
        assert (kept.get(key) == size) == (size + ENTRY <= most)


def test_one_that_forgets_everything_does_so_when_it_is_full():
    kept: Remembered[str, int] = Remembered(2 * (ENTRY + 10))
    for number, key in enumerate("abc"):
        kept.put(key, number, 10)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (None, None, 2)
