"""`If-Match` on messages: of several requests that expect one head, one is taken, so no update of a value is lost."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.web.conftest import Face, problem_of

REGISTER = """
import asyncio
from understudy import Context, Wit

wit = Wit()


@wit.message("put")
async def put(value: int, state: dict) -> int:
    await asyncio.sleep(0)
    state["value"] = value
    return value


@wit.message("tell")
def tell(other: str, ctx: Context) -> None:
    ctx.send(other, 7, type="put")
"""


def tag(step: str) -> dict[str, str]:
    return {"If-Match": f'"{step}"'}


def together(face: Face, *requests: tuple[str, bytes, dict[str, str]]) -> list[httpx.Response]:
    """Answers to requests that are all under way at once."""

    async def all_of_them() -> list[httpx.Response]:
        sent = [face._http.post(path, content=body, headers=headers) for path, body, headers in requests]
        return await asyncio.gather(*sent)

    return face.runner.run(all_of_them())


@pytest.mark.parametrize("more", [{}, {"Prefer": "respond-async"}, {"Message-Lane": "signal"}])
def test_of_many_requests_that_expect_one_head_one_is_taken(face: Face, more: dict[str, str]) -> None:
    head = face.create({"wit": REGISTER}, name="ada")["head"]
    for _ in range(3):
        put = ("/actors/ada/messages/put", b"1", {**tag(head), **more})
        answers = together(face, *[put] * 12)
        taken = [answer for answer in answers if answer.status_code in (200, 202)]
        assert len(taken) == 1
        for answer in answers:
            if answer not in taken:
                assert problem_of(answer, 409)["code"] == "Conflict"
        # One without it, so that nothing waits: its step is a later one.
        head = face.send("ada", 0, "put").json()["head"]


def test_a_value_that_is_read_and_written_back_loses_nothing(face: Face) -> None:
    face.create({"wit": REGISTER}, name="ada")
    face.send("ada", 0, "put")

    async def add(times: int) -> None:
        while times:
            about = (await face._http.get("/actors/ada")).json()
            value = (await face._http.get(f"/steps/{about['head']}/core/state")).json()["value"]
            answer = await face._http.post(
                "/actors/ada/messages/put", content=json.dumps(value + 1), headers=tag(about["head"])
            )
            assert answer.status_code in (200, 409), answer.text
            times -= answer.status_code == 200

    async def all_of_them() -> None:
        await asyncio.gather(*(add(5) for _ in range(4)))

    face.runner.run(asyncio.wait_for(all_of_them(), 60))
    assert face.get("/actors/ada/core/state").json() == {"value": 20}


def test_a_message_that_waits_will_move_the_head(face: Face) -> None:
    head = face.create({"wit": REGISTER}, name="ada")["head"]
    face.post("/actors/ada/pause")
    assert face.send("ada", 1, "put", Prefer="respond-async").status_code == 202
    answer = face.send("ada", 2, "put", If_Match=f'"{head}"', Prefer="respond-async")
    assert "waits" in problem_of(answer, 409)["detail"]
    assert len(face.get("/actors/ada/pending").json()["pending"]) == 1


def test_a_step_that_is_not_the_head_is_a_conflict_and_nothing_is_sent(face: Face) -> None:
    first = face.create({"wit": REGISTER}, name="ada")["head"]
    head = face.send("ada", 1, "put").json()["head"]
    other = face.create(name="bob")["head"]
    nowhere = f"{head[:-8]}aaaaaaaa"
    for said in (f'"{first}"', f'"{other}"', f'"{nowhere}"', '"3"', "what"):
        problem_of(face.send("ada", 2, "put", If_Match=said), 409)
    assert face.get("/actors/ada").json()["head"] == head
    head = face.send("ada", 2, "put", If_Match="*").json()["head"]
    assert face.send("ada", 2, "put", If_Match=f'"{first}", "{head}"').status_code == 200


def test_a_key_that_was_used_gives_its_answer_though_the_head_has_moved(face: Face) -> None:
    head = face.create({"wit": REGISTER}, name="ada")["head"]
    answers = [face.send("ada", 1, "put", Idempotency_Key="k", **{"If_Match": f'"{head}"'}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_an_update_and_the_lead_take_it_too(face: Face) -> None:
    made = face.create({"wit": REGISTER}, name="ada")
    body = {"patch": {"data/a": "1"}}
    head = face.send("ada", body, "x", Message_Lane="update", If_Match=f'"{made["head"]}"').json()["head"]
    problem_of(face.send("ada", body, "x", Message_Lane="update", If_Match=f'"{made["head"]}"'), 409)
    lead = Face(face.runner, face.node, lead=face.node.resolve(made["id"]))
    problem_of(lead.post("/", json={}, headers=tag(made["head"])), 409)
    assert lead.post("/", json={}, headers=tag(head)).status_code == 422  # the actor takes no `message`
    assert face.get("/actors/ada").json()["height"] == 2


def test_messages_go_on_after_one_that_was_refused(face: Face) -> None:
    head = face.create({"wit": REGISTER}, name="ada")["head"]
    path = "/actors/ada/messages/put"
    requests = [(path, b"%d" % number, tag(head) if number % 2 else {}) for number in range(20)]
    answers = together(face, *requests)
    assert all(answer.status_code == 200 for answer in answers[::2])
    assert sum(answer.status_code == 200 for answer in answers[1::2]) <= 1
    assert face.send("ada", 99, "put").status_code == 200
