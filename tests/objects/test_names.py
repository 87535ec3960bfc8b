"""Names of entries, parties and paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects.errors import BadName
from understudy.objects.ids import raw_id
from understudy.objects.names import check_name, check_names, check_party, check_text, is_outside, split_path
from understudy.testing import strategies as some


def refused(name: str) -> bool:
    try:
        check_name(name)
    except BadName:
        return True
    return False


@given(some.names)
def test_names_are_kept_as_they_are(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/", "a\x00", "a\nb", "\x7f", "\x85", "\ud800", "x" * 256, "é" * 128, "\ufeff", "\ufeffa"],
)
def test_a_name_that_is_not_allowed_is_refused(name):
    with pytest.raises(BadName):
        check_name(name)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "...", " ", "\u200b", "nonascii ü", "-", "a\ufeff"])
def test_a_name_at_the_edge_is_allowed(name):
    assert check_name(name) == name


@given(st.text(st.sampled_from("a./\n\x85é\ud800"), max_size=4) | some.names)
def test_the_shortcut_for_plain_names_refuses_nothing_else(name):
    try:
        check_text(name, what="name", most=255)
        good = "/" not in name and name not in (".", "..")
    except BadName:
        good = False
    assert refused(name) != good


@given(st.sets(st.text("ab./é", max_size=3), max_size=4))
def test_many_names_are_judged_like_each_of_them(names):
    try:
        check_names(names)
    except BadName:
        assert any(refused(name) for name in names)
    else:
        assert not any(refused(name) for name in names)


@given(some.parties)
def test_parties_are_actors_or_somebody_outside(party):
    assert check_party(party) == party
    assert is_outside(party) == party.startswith("out/")


@pytest.mark.parametrize(
    "party",
    [
        "",
        "out/",
        "out/a",
        "out/a/",
        "out//b",
        "out/a/b/c",
        "out/a/b\n",
        "out/a b/c",
        f"out/{'x' * 65}/y",
        str(raw_id(b"")),
        "b",
    ],
)
def test_what_is_no_party_is_refused(party):
    with pytest.raises(BadName):
        check_party(party)


@given(some.paths)
def test_a_path_is_its_names(path):
    assert "/".join(split_path(path)) == path


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "a/../b", "/".join("a" * 65), "/".join(["x" * 200] * 21), "a/\ud800"]
)
def test_a_path_that_is_not_allowed_is_refused(path):
    with pytest.raises(BadName):
        split_path(path)


def test_a_path_may_be_64_names_deep():
    assert len(split_path("/".join("a" * 64))) == 64
