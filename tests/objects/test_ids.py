"""Ids: binary inside, text at the edge, one spelling each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.objects import ids
from understudy.objects.errors import BadId
from understudy.objects.ids import Id
from understudy.testing import strategies as some


@given(some.links)
def test_the_text_of_an_id_gives_the_id_back(id):
    assert ids.parse(str(id)) == id
    assert ids.from_bytes(bytes(id)) == id


@given(some.links)
def test_a_text_begins_with_what_says_blob_or_node(id):
    assert str(id).startswith("bafkrei" if ids.is_raw(id) else "bafyrei")
    assert len(str(id)) == ids.TEXT_LENGTH
    assert str(id)[ids.SHARED_PREFIX :].startswith(ids.short(id))


@given(some.links, st.data())
def test_an_id_has_one_spelling(id, data):
    text = str(id)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567ABC01= "))
    other = text[:place] + letter + text[place + 1 :]
    try:
        assert str(ids.parse(other)) == other
    except BadId:
        assert other != text


@given(st.text(max_size=70) | st.text("abcdefghij234567", min_size=58, max_size=58).map("b".__add__))
def test_a_text_that_is_no_id_is_refused_as_that(text):
    try:
        ids.parse(text)
    except BadId as error:
        assert "no id" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x71\x12\x20" + bytes(31),
        b"\x01\x71\x12\x20" + bytes(33),
        b"\x12\x20" + bytes(34),
        b"\x01\x70\x12\x20" + bytes(32),
        b"\x01\x71\x00\x20" + bytes(32),
        "text of 36 characters, not bytes ...",
        None,
        5,
        [1] * 36,
    ],
)
def test_what_is_no_id_is_refused_whatever_its_type(data):
    with pytest.raises(BadId):
        ids.from_bytes(data)


def test_a_blobs_id_is_refused_where_a_node_is_meant():
    with pytest.raises(BadId, match="raw block"):
        ids.node_from_bytes(ids.raw_id(b""))


def test_the_empty_blob_has_the_id_that_the_world_knows():
    assert str(ids.raw_id(b"")) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def test_an_id_shows_itself_in_an_error_message():
    assert repr(Id(ids.raw_id(b""))).startswith("Id('bafkrei")


@given(
    st.binary(max_size=40)
    | some.links
    | some.links.map(lambda id: bytes(id[:35]))
    | some.links.map(lambda id: bytes(id) + b"x")
)
def test_some_bytes_are_an_id_exactly_if_they_are_taken_as_one(data: bytes):
    try:
        taken = ids.from_bytes(data) == data
    except BadId:
        taken = False
    assert ids.is_id(data) == taken
