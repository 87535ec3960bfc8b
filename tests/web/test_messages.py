"""Messages over HTTP: answers once durable, failures with the step to look at, keys, preferences, updates."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.web.conftest import GREETER, Face, problem_of
from understudy.web.body import parse_json


def test_a_message_is_answered_with_head_step_and_replies(face: Face) -> None:
    face.create(name="ada")
    answer = face.send("ada", {"name": "Bob"}, "greet")
    assert answer.status_code == 200
    body = answer.json()
    assert body["outcome"] == "ok"
    assert body["head"] == body["step"] == face.get("/actors/ada").json()["head"]
    assert body["replies"] == [{"type": "reply", "content": "Hello Bob, number 1"}]


@pytest.mark.parametrize("content", [b"12345678901234567890123", b'{"b": 1, "a": [1.50]}', b"null"])
def test_a_reply_that_is_json_comes_as_it_is(face: Face, content: bytes) -> None:
    face.create(name="ada")
    answer = face.send("ada", content, "echo")
    assert answer.json()["outcome"] == "ok"
    assert b'"content":' + content in answer.content.replace(b'"content": ', b'"content":')


@pytest.mark.parametrize(("content", "shown"), [(b"", ""), (b"\xff\x00", "/wA="), (b"not json", "bm90IGpzb24=")])
def test_a_reply_of_any_bytes_comes_as_base64(face: Face, content: bytes, shown: str) -> None:
    face.create(name="ada")
    assert face.send("ada", content, "echo").json()["replies"][0]["content"] == {"base64": shown}


def test_a_message_that_fails_names_its_step_and_shows_no_traceback_of_ours(face: Face) -> None:
    face.create(name="ada")
    body = problem_of(face.send("ada", {}, "fail"), 500)
    assert body["outcome"] == "failed"
    assert body["code"]
    assert "the wit is broken" in body["detail"]
    assert face.get(f"/steps/{body['step']}").json()["data"]["outcome"]["kind"] == "failed"


def test_a_message_that_is_refused_says_why(face: Face) -> None:
    face.create(name="ada")
    body = problem_of(face.send("ada", {}, "refuse"), 422)
    assert (body["outcome"], body["code"], body["detail"]) == ("refused", "NotToday", "come back tomorrow")
    assert body["step"] == face.get("/actors/ada").json()["head"]


def test_a_message_to_nobody_is_not_found(face: Face) -> None:
    problem_of(face.send("nobody", {}, "greet"), 404)


def test_a_message_without_a_type_has_the_type_message(face: Face) -> None:
    face.create(name="ada")
    face.post("/actors/ada/messages", content=b"{}")
    assert face.get("/actors/ada/steps?limit=1").json()["steps"][0]["consumed"][0]["type"] == "message"


def test_the_type_may_be_any_unicode(face: Face) -> None:
    face.create(name="ada")
    face.post("/actors/ada/messages", content=b"{}", headers={"Message-Type": "grüße 🦊".encode()})
    assert face.get("/actors/ada/steps?limit=1").json()["steps"][0]["consumed"][0]["type"] == "grüße 🦊"


def test_a_type_that_is_no_utf8_is_a_bad_request(face: Face) -> None:
    face.create(name="ada")
    answer = face.post("/actors/ada/messages", content=b"{}", headers={"Message-Type": b"\xff"})
    assert "message-type" in problem_of(answer, 400)["detail"].lower()


def test_the_same_key_twice_is_one_message(face: Face) -> None:
    face.create(name="ada")
    first = face.send("ada", {"name": "Bob"}, "greet", Idempotency_Key="k1").json()
    again = face.send("ada", {"name": "Bob"}, "greet", Idempotency_Key="k1").json()
    assert first == again
    assert face.get("/actors/ada").json()["height"] == 1


def test_a_key_for_another_request_is_a_conflict(face: Face) -> None:
    face.create(name="ada")
    face.send("ada", {"name": "Bob"}, "greet", Idempotency_Key="k1")
    problem_of(face.send("ada", {"name": "Eve"}, "greet", Idempotency_Key="k1"), 409)


def test_who_does_not_want_to_wait_is_told_where_to_look(face: Face) -> None:
    face.create(name="ada")
    answer = face.send("ada", {"name": "Bob"}, "greet", Prefer="respond-async")
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    # A second message is behind it in the queue: once that is answered, the first has its step.
    face.send("ada", {"name": "Bob"}, "greet")
    [step] = face.get(answer.headers["location"]).json()["steps"]
    assert answer.json()["message"] in [message["id"] for message in step["consumed"]]


def test_when_the_wait_runs_out_the_message_is_accepted_all_the_same(face: Face, small_face: Face) -> None:
    face.create(name="ada")
    answer = small_face.send("ada", {"name": "Bob"}, "greet")
    assert answer.status_code == 202
    assert answer.json()["step"] is None
    face.send("ada", {"name": "Bob"}, "greet")
    assert face.get(answer.headers["location"]).json()["steps"] != []


def test_a_body_above_the_bound_is_refused_while_it_comes(small_face: Face, face: Face) -> None:
    face.create(name="ada")
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 100

    answer = small_face.post("/actors/ada/messages", content=pieces())
    problem_of(answer, 413)
    problem_of(small_face.send("ada", b"x" * 1001, "echo"), 413)
    assert face.get("/actors/ada").json()["height"] == 0


def test_an_update_patches_and_removes(face: Face) -> None:
    made = face.create({"wit": GREETER, "data/a": "1", "data/b": "2"}, name="ada")
    body = {"patch": {"data/a": None, "data/c": {"base64": "/w=="}}}
    answer = face.send("ada", body, "ignored", Message_Lane="update").json()
    assert answer["outcome"] == "ok"
    names = [entry["name"] for entry in face.get(f"/steps/{answer['step']}/core/data").json()["entries"]]
    assert names == ["b", "c"]
    assert face.get(f"/steps/{made['head']}/core/data/a").text == "1"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"patch": {}}, 422), ({"patch": {"a": "x", "a/b": "y"}}, 422), ({"patch": {"a": 1}}, 422), ({}, 422), ([], 422)],
)
def test_an_update_that_is_wrong_is_refused_before_it_is_a_message(face: Face, body: object, status: int) -> None:
    face.create(name="ada")
    problem_of(face.send("ada", body, "update", Message_Lane="update"), status)
    assert face.get("/actors/ada").json()["height"] == 0


def test_an_update_that_would_leave_no_wit_is_refused_with_its_step(face: Face) -> None:
    face.create(name="ada")
    body = problem_of(face.send("ada", {"patch": {"wit": None}}, "update", Message_Lane="update"), 422)
    assert body["step"] == face.get("/actors/ada").json()["head"]


def test_a_signal_is_a_message_too(face: Face) -> None:
    face.create(name="ada")
    assert face.send("ada", {"name": "Bob"}, "greet", Message_Lane="signal").status_code == 200


def test_there_are_three_lanes(face: Face) -> None:
    face.create(name="ada")
    assert "'fast'" in problem_of(face.send("ada", {}, "greet", Message_Lane="fast"), 422)["detail"]


def test_a_number_of_any_length_is_json() -> None:
    assert isinstance(parse_json(b'{"add": ' + b"9" * 5_000 + b"}"), dict)


@pytest.mark.parametrize("header", ["Message-Lane", "Message-Type"])
def test_an_empty_header_is_not_the_same_as_none(face: Face, header: str) -> None:
    head = face.create(name="ada")["head"]
    answer = face.post(
        "/actors/ada/messages", content=b'{"name": "Bob"}', headers={"Message-Type": "greet", header: ""}
    )
    problem_of(answer, 422)
    assert face.get("/actors/ada").json()["head"] == head


TYPED = """
from msgspec import Struct
from understudy import Wit

class State(Struct):
    {field}: int = 0

wit = Wit()

@wit.message("add")
def add(number: int, state: State) -> None:
    state.{field} += number
"""


def test_a_strict_update_that_would_lose_state_or_does_not_load_is_refused(face: Face) -> None:
    face.create({"wit": TYPED.format(field="sum")}, name="ada")
    head = face.send("ada", 2, "add").json()["head"]
    strict = {"Message_Lane": "update", "Prefer": "handling=strict"}
    lost = problem_of(face.send("ada", {"patch": {"wit": TYPED.format(field="total")}}, "x", **strict), 422)
    assert lost["code"] == "StateLost" and lost["dropped"] == ["$.sum"]
    broken = problem_of(face.send("ada", {"patch": {"wit": "def"}}, "x", **strict), 422)
    assert "SyntaxError" in broken["detail"]
    problem_of(face.send("ada", {"patch": {"wit": None}}, "x", **strict), 422)
    assert face.get("/actors/ada").json()["head"] == head
    good = face.send("ada", {"patch": {"wit": TYPED.format(field="sum") + "\n# mended\n"}}, "x", **strict)
    assert good.status_code == 200
    assert good.headers["preference-applied"] == "handling=strict"
    # Without it, it is sent all the same.
    assert (
        face.send("ada", {"patch": {"wit": TYPED.format(field="total")}}, "x", Message_Lane="update").status_code == 200
    )


def test_strict_is_for_updates_alone(face: Face) -> None:
    face.create({"wit": GREETER}, name="ada")
    answer = face.send("ada", {"name": "Bob"}, "greet", Prefer="handling=strict, wait=5")
    assert answer.headers["preference-applied"] == "wait=5"
