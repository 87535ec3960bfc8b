"""Forms: what a person fills in is the message or the query that the actor wants, and nothing is done without asking."""

from __future__ import annotations

import html
import re
import shlex
from typing import Any

import pytest

from tests.web.conftest import Face
from tests.web.console.conftest import OWN, Visitor
from tests.web.console.stories import DESK
from tests.web.console.test_actor_pages import plain
from understudy.node.errors import BadRequest
from understudy.web.console.views.forms import filled, form_of, offers


@pytest.fixture
def desk(face: Face) -> Face:
    face.create({"wit": DESK}, name="desk")
    return face


def booked(face: Face) -> list[str]:
    found: list[str] = face.get("/actors/desk/query/seats").json()["booked"]
    return found


def test_a_form_has_a_field_for_each_part_of_a_message(visitor: Visitor, desk: Face) -> None:
    page = visitor.get("/console/actors/desk/messages/book")
    assert re.findall(r'name="(f\.[^"]+)"', page) == ["f.name", "f.row", "f.side", "f.window", "f.notes"]
    assert "who sits there" in page
    assert 'value="1"' in page


def test_what_is_filled_in_is_what_the_actor_gets(visitor: Visitor, desk: Face) -> None:
    fields = {"f.name": 'Ada "the first"', "f.row": "3", "f.side": '"right"', "f.window": "true", "f.notes": '["x"]'}
    answer = visitor.post("/console/actors/desk/messages/book", fields)
    assert answer.status_code == 303
    assert booked(desk) == ["Ada \"the first\" 3 right True ['x']"]
    said = plain(visitor.get(answer.headers["location"]))
    assert "reply to local 1" in said


def test_optional_fields_that_are_empty_are_left_out(visitor: Visitor, desk: Face) -> None:
    fields = {"f.name": "Bob", "f.row": "", "f.side": "", "f.window": "", "f.notes": ""}
    visitor.post("/console/actors/desk/messages/book", fields)
    assert booked(desk) == ["Bob 1 left False []"]


def test_json_goes_before_the_fields(visitor: Visitor, desk: Face) -> None:
    visitor.post("/console/actors/desk/messages/book", {"f.name": "no", "content": '{"name": "yes"}'})
    assert booked(desk) == ["yes 1 left False []"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"f.name": "x", "f.row": "three"}, "&#39;row&#39; is no JSON"),
        ({"f.name": "x", "f.notes": "["}, "&#39;notes&#39; is no JSON"),
        ({"content": "{"}, "the JSON is no JSON"),
    ],
)
def test_a_form_that_cannot_be_read_is_shown_again_as_it_was(
    visitor: Visitor, desk: Face, fields: dict[str, str], said: str
) -> None:
    answer = visitor.post("/console/actors/desk/messages/book", fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert all(html.escape(value) in answer.text for value in fields.values())
    assert booked(desk) == []


def test_what_the_actor_refuses_is_seen_at_its_step(visitor: Visitor, desk: Face) -> None:
    answer = visitor.post("/console/actors/desk/messages/book", {"f.name": "x", "f.row": "100"})
    assert "NoSuchRow there are 99 rows" in plain(visitor.get(answer.headers["location"]))


def test_a_form_that_is_sent_twice_is_one_message(visitor: Visitor, desk: Face) -> None:
    page = visitor.get("/console/actors/desk/messages/book")
    key = re.search(r'name="key" value="([0-9a-f]+)"', page)
    assert key is not None
    twice = [visitor.post("/console/actors/desk/messages/book", {"f.name": "x", "key": key[1]}) for _ in range(2)]
    assert len(booked(desk)) == 1
    assert twice[0].headers["location"] == twice[1].headers["location"]


def test_another_page_cannot_send_a_form(visitor: Visitor, desk: Face) -> None:
    fields = {"f.name": "x"}
    answer = visitor.post("/console/actors/desk/messages/book", fields, Origin="http://evil.example")
    assert answer.status_code == 403
    answer = visitor.post("/console/actors/desk/messages/book", fields, **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert booked(desk) == []


def test_bytes_are_sent_as_they_are_typed(visitor: Visitor, face: Face) -> None:
    face.create(name="ada")
    answer = visitor.post("/console/actors/ada/messages/echo", {"content": "häufig"})
    assert "häufig" in visitor.get(answer.headers["location"])


def test_a_query_is_asked_by_an_address_also_at_an_earlier_step(visitor: Visitor, desk: Face) -> None:
    for name in ("ann", "bob"):
        desk.send("desk", {"name": name}, "book")
    now = plain(visitor.get("/console/actors/desk/queries/seats?ask=1&f.row=7&f.tags=%5B%22a%22%5D"))
    assert "bob" in now and "&#34;row&#34;: 7" in now and "&#34;a&#34;" in now
    then = plain(visitor.get("/console/actors/desk/queries/seats?ask=1&at-step=1"))
    assert "ann" in then and "bob" not in then and "of step #1" in then


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [("f.row=x", 400, "is no JSON"), ("at-step=99", 404, "there is no step #99"), ("f.row=%22x%22", 422, "row")],
)
def test_a_query_that_goes_wrong_says_so_beside_its_form(
    visitor: Visitor, desk: Face, asked: str, status: int, said: str
) -> None:
    page = visitor.get(f"/console/actors/desk/queries/seats?ask=1&{asked}", status)
    assert said in page and 'name="f.row"' in page


def test_a_query_that_the_actor_does_not_name_is_not_there(visitor: Visitor, desk: Face) -> None:
    visitor.get("/console/actors/desk/queries/nothing", 404)


def test_the_commands_for_a_terminal_are_words_whatever_the_names_are(visitor: Visitor, face: Face) -> None:
    wit = DESK.replace('@wit.message("book")', '@wit.message("it\'s $(rm) `x`")')
    face.create({"wit": wit}, name="d'esk $(x)")
    page = visitor.get("/console/actors/d'esk%20$(x)/messages/it's%20$(rm)%20%60x%60")
    command, curl = (
        html.unescape(one) for one in re.findall(r'<pre class="wrap" tabindex="0">(.*?)</pre>', page, re.S)
    )
    words = shlex.split(command)
    assert words[:3] == ["understudy", "send", "d'esk $(x)"]
    assert words[-2:] == ["--type", "it's $(rm) `x`"]
    assert shlex.split(curl)[0] == "curl" and shlex.split(curl)[-1].endswith("it%27s%20%24%28rm%29%20%60x%60")


def test_pause_resume_and_retry_want_a_token_and_ask_first(visitor: Visitor, face: Face) -> None:
    face.create(name="ada")
    face.send("ada", {}, "fail")
    for path in ("pause", "resume", "steps/1/retry"):
        asked = visitor.get(f"/console/actors/ada/{path}", 401)
        assert f'name="next" value="/console/actors/ada/{path}"' in asked
        assert visitor.post(f"/console/actors/ada/{path}").status_code == 401
    visitor.sign_in()
    for path in ("pause", "resume", "steps/1/retry"):
        visitor.get(f"/console/actors/ada/{path}")
    assert face.get("/actors/ada").json()["status"] == "ready"
    visitor.post("/console/actors/ada/pause", {"reason": "lunch"})
    assert "lunch" in face.get("/actors/ada").json()["reason"]
    visitor.post("/console/actors/ada/resume")
    assert face.get("/actors/ada").json()["status"] == "ready"
    answer = visitor.post("/console/actors/ada/steps/1/retry")
    assert answer.status_code == 303
    assert "the wit is broken" in visitor.get(answer.headers["location"])


def test_a_form_of_another_kind_is_refused(visitor: Visitor, desk: Face) -> None:
    answer = desk.post("/console/actors/desk/messages/book", json={"name": "x"}, headers=OWN)
    assert answer.status_code == 415


def test_the_node_page_says_what_waits_and_why(visitor: Visitor, face: Face) -> None:
    face.create(name="ada")
    face.post("/actors/ada/pause", json={"reason": "lunch"})
    face.send("ada", {"name": "x"}, "greet", Prefer="respond-async")
    said = plain(visitor.get("/console/node"))
    assert "paused ada an operator paused it: lunch" in said
    assert "paused greet for ada from local" in said


def test_a_node_whose_store_failed_says_so(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor.face.node, "failure", OSError("the disk is gone"))
    assert "the disk is gone" in visitor.get("/console/node", 503)


LIES: list[Any] = [
    None,
    7,
    {"messages": 7},
    {"messages": {"m": 7}},
    {"messages": {"m": {"payload": {"$ref": "#/$defs/A"}}}, "$defs": {"A": {"$ref": "#/$defs/A"}}},
    {"messages": {"m": {"payload": {"properties": {"a": 7, "b": {"enum": 7}}, "required": 7}}}},
    {"messages": {"m": {"payload": {"anyOf": [7, None]}, "description": 7}}},
    {"messages": {"m": {"payload": {"type": ["object"], "properties": {str(n): {} for n in range(99)}}}}},
    {"messages": {"m": {"payload": {"type": "array", "items": {"type": {}}}}}},
]


@pytest.mark.parametrize("wut", LIES)
def test_an_actor_that_describes_itself_wrongly_gets_a_form_all_the_same(wut: Any) -> None:
    for offer in offers(wut, "messages", "payload"):
        form = form_of(offer, wut)
        try:
            filled(form, {"content": "[1]"})
            filled(form, {})
        except BadRequest:
            assert form.fields
