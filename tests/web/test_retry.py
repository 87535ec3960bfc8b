"""Retry over HTTP: who may order it, what it answers, and what is refused before anything is stored."""

from __future__ import annotations

from tests.web.conftest import TOKEN, Face, problem_of

BAD = """
from understudy import Wit
wit = Wit()

@wit.message("add")
def add(number: int) -> int:
    1 / (number > 9)
    return number
"""
GOOD = BAD.replace("    1 / (number > 9)\n", "")


def failed(face: Face) -> str:
    face.create({"wit": "/code:it:wit", "code/it.py": BAD}, name="ann")
    answer = face.send("ann", 1, "add")
    assert answer.status_code == 500
    return str(answer.json()["step"])


def mend(face: Face) -> None:
    patch = {"patch": {"code/it.py": GOOD}}
    assert face.post("/actors/ann/messages", json=patch, headers={"Message-Lane": "update"}).status_code == 200


def test_a_step_that_failed_is_retried_once_it_is_mended_and_then_never_again(face: Face) -> None:
    step = failed(face)
    again = face.post(f"/steps/{step}/retry")
    assert (again.status_code, again.json()["code"]) == (500, "ZeroDivisionError")
    mend(face)
    # Of a retry that failed, what it retried is meant.
    good = face.post(f"/steps/{again.json()['step']}/retry", headers={"Idempotency-Key": "k"})
    assert good.status_code == 200 and good.json()["outcome"] == "ok"
    same = face.post(f"/steps/{step}/retry", headers={"Idempotency-Key": "k"})
    assert same.json() == good.json()
    height = face.get("/actors/ann").json()["height"]
    third = face.post(f"/steps/{step}/retry")
    assert problem_of(third, 422)["detail"].startswith("AlreadyRetried")
    assert face.get("/actors/ann").json()["height"] == height
    order = face.get(f"/steps/{good.json()['step']}").json()["data"]["consumed"]
    assert good.json()["message"] in str(order) and len(order) == 1


def test_what_can_t_be_retried_is_refused_and_nothing_is_stored(face: Face) -> None:
    failed(face)
    good = face.send("ann", 10, "add").json()["step"]
    birth = face.get("/actors/ann/steps/0").json()["id"]
    for step, status, text in ((good, 422, "went well"), (birth, 422, "went well"), ("x", 400, "no id")):
        assert text in problem_of(face.post(f"/steps/{step}/retry"), status)["detail"]
    head = face.get("/actors/ann").json()["head"]
    assert face.post(f"/steps/{head[:-4]}aaaa/retry").status_code in (400, 404)
    assert face.get("/actors/ann").json()["head"] == head


def test_without_a_token_that_may_update_nobody_retries(face: Face) -> None:
    step = failed(face)
    assert face.as_somebody(None).post(f"/steps/{step}/retry").status_code == 401
    assert face.as_somebody(TOKEN).post(f"/steps/{step}/retry").status_code == 500


def test_who_waits_for_an_actor_that_is_held_hears_why(face: Face) -> None:
    face.create({"wit": "/code:it:wit", "code/it.py": BAD, "policy": '{"on_failure": "hold"}'}, name="ann")
    answer = face.send("ann", 1, "add")
    assert answer.status_code == 202 and answer.json()["status"] == "held"
    assert "ZeroDivisionError" in answer.json()["reason"]
    mend(face)
    assert face.get(answer.headers["Location"]).json()["steps"][0]["outcome"] == "ok"
