"""Queries over HTTP: arguments, media types, caching, pages; and whatever a new user does wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import GREETER, Face, problem_of
from understudy.objects.codec import decode
from understudy.objects.ids import from_bytes, parse

ASKED = (
    GREETER
    + '''
import understudy
from understudy import Blob, Error, Tree


@wit.query
def greeted(core: Core, plus: int = 0, tags: list[str] = ()) -> dict:
    """How many were greeted."""
    return {"count": int(core.get("count", b"0")) + plus, "tags": list(tags)}


@wit.query
def page(core: Core, name: str = "nobody") -> Blob:
    return Blob.html(f"<p>{name}")


@wit.query
def needs(what: int) -> int:
    return what


@wit.query
def raw(context: Blob) -> Blob:
    return Blob(context.data, context.media_type)


@wit.query
def files(step: understudy.StepId) -> Tree:
    return Tree({"wit": understudy.object_store.find(understudy.object_store.step(step).core, "wit")})


@wit.query
def refuses() -> Error:
    return Error("NotToday", "ask tomorrow")


@wit.query
def breaks() -> int:
    return 1 // 0


@wit.query
def ends_never() -> int:
    while True:
        pass


@wit.query
async def of_others(ctx, actor: str) -> Blob:
    return await ctx.query(actor, "greeted")
'''
)


@pytest.fixture
def ada(face: Face) -> dict[str, Any]:
    return face.create({"wit": ASKED}, name="ada")


def test_the_parameters_of_a_get_become_arguments_of_their_types(face: Face, ada: dict[str, Any]) -> None:
    answer = face.get("/actors/ada/query/greeted?plus=5&tags=a&tags=b")
    assert (answer.status_code, answer.json()) == (200, {"count": 5, "tags": ["a", "b"]})
    assert face.get("/actors/ada/query/page?name=42").text == "<p>42"


def test_the_body_of_a_post_is_the_context_as_it_is(face: Face, ada: dict[str, Any]) -> None:
    assert face.post("/actors/ada/query/greeted", json={"plus": 2}).json()["count"] == 2
    answer = face.post("/actors/ada/query/raw", content=b"\x00\xff", headers={"Content-Type": "image/png"})
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\xff", "image/png")
    problem_of(face.post("/actors/ada/query/greeted", json={"plus": "2"}), 422)


def test_an_answer_at_the_head_has_the_step_as_its_tag_until_the_head_moves(face: Face, ada: dict[str, Any]) -> None:
    answer = face.get("/actors/ada/query/greeted")
    assert (answer.headers["etag"], answer.headers["cache-control"]) == (f'"{ada["head"]}"', "no-cache")
    tag = {"If-None-Match": answer.headers["etag"]}
    assert face.get("/actors/ada/query/greeted", headers=tag).status_code == 304
    assert face.post("/actors/ada/query/greeted", json={}, headers=tag).status_code == 200
    face.send("ada", {"name": "Bob"}, "greet")
    assert face.get("/actors/ada/query/greeted", headers=tag).json()["count"] == 1


def test_an_answer_at_a_step_is_kept_for_ever(face: Face, ada: dict[str, Any]) -> None:
    face.send("ada", {"name": "Bob"}, "greet")
    for url in (f"/actors/ada/query/greeted?at={ada['head']}", f"/steps/{ada['head']}/query/greeted"):
        answer = face.get(url)
        assert (answer.json()["count"], answer.headers["cache-control"]) == (0, "max-age=31536000, immutable")
        assert face.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("at", ["0", "ada@0", "{id}@0"])
def test_a_height_names_a_step_too_and_its_answer_is_asked_for_again(face: Face, ada: dict[str, Any], at: str) -> None:
    face.send("ada", {"name": "Bob"}, "greet")
    answer = face.get(f"/actors/ada/query/greeted?at={at.format(**ada)}")
    assert (answer.json()["count"], answer.headers["etag"]) == (0, f'"{ada["head"]}"')
    assert answer.headers["cache-control"] == "no-cache"  # a name may come to mean another actor
    assert face.get(f"/actors/ada/wut?at={at.format(**ada)}").status_code == 200


def test_an_answer_that_depends_on_another_actor_is_never_immutable(face: Face, ada: dict[str, Any]) -> None:
    face.create({"wit": ASKED}, name="eve", nonce="eve")
    url = f"/steps/{ada['head']}/query/of_others?actor=eve"
    first = face.get(url)
    tag = {"If-None-Match": first.headers["etag"]}
    assert (first.json()["count"], first.headers["cache-control"]) == (0, "no-cache")
    assert face.get(url, headers=tag).status_code == 304
    face.send("eve", {"name": "Bob"}, "greet")
    assert face.get(url, headers=tag).json()["count"] == 1


def test_an_answer_of_code_outside_of_the_core_is_never_immutable(
    face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer.py").write_text(
        "asked = []\ndef wit_query():\n    asked.append(1)\n    return len(asked) // 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    head = face.create({"wit": GREETER, "wit_query": "external:outer:wit_query"}, name="out")["head"]
    first = face.get(f"/steps/{head}/query/any")
    assert (first.json(), first.headers["cache-control"]) == (0, "no-cache")
    tag = {"If-None-Match": first.headers["etag"]}
    assert [face.get(f"/steps/{head}/query/any", headers=tag).status_code for _ in range(2)] == [304, 200]


def test_a_tree_is_links_or_its_own_encoding(face: Face, ada: dict[str, Any]) -> None:
    [link] = face.get("/actors/ada/query/files").json().values()
    answer = face.get("/actors/ada/query/files", headers={"Accept": "application/vnd.ipld.dag-cbor"})
    assert answer.headers["content-type"] == "application/vnd.ipld.dag-cbor"
    assert from_bytes(decode(answer.content)["tree"]["wit"]) == parse(link["/"])
    assert answer.headers["etag"] != f'"{ada["head"]}"'
    assert answer.headers["vary"] == "Accept"


def test_a_blob_has_its_own_media_type_or_that_of_raw_objects(face: Face, ada: dict[str, Any]) -> None:
    raw = face.get("/actors/ada/query/page", headers={"Accept": "application/vnd.ipld.raw"})
    assert (raw.content, raw.headers["content-type"]) == (b"<p>nobody", "application/vnd.ipld.raw")
    problem = problem_of(face.get("/actors/ada/query/page", headers={"Accept": "image/png"}), 406)
    assert problem["available"] == ["text/html; charset=utf-8", "application/vnd.ipld.raw"]


def test_what_a_query_says_no_with_is_a_problem_or_its_own_encoding(face: Face, ada: dict[str, Any]) -> None:
    said = problem_of(face.get("/actors/ada/query/refuses"), 422)
    assert (said["code"], said["step"]) == ("NotToday", ada["head"])
    answer = face.get("/actors/ada/query/refuses", headers={"Accept": "application/vnd.ipld.dag-cbor"})
    assert decode(answer.content) == {"error": {"code": "NotToday", "text": "ask tomorrow"}}


def test_a_query_that_fails_names_its_step_and_its_place(face: Face, ada: dict[str, Any]) -> None:
    said = problem_of(face.get("/actors/ada/query/breaks"), 500)
    assert (said["code"], said["step"]) == ("ZeroDivisionError", ada["head"])
    assert "1 // 0" in said["detail"]


@pytest.mark.parametrize(
    ("path", "status", "says", "code"),
    [
        ("/actors/nobody/query/greeted", 404, "nobody", "NotFound"),
        ("/actors/ada/query/nothing", 404, "nothing", "UnknownQuery"),
        ("/actors/ada/query/needs", 422, "what", "BadArguments"),
        ("/actors/ada/query/needs?what=soon", 422, "what", "BadArguments"),
        ("/actors/ada/query/needs?what=1&why=2", 422, "why", "BadArguments"),
        ("/actors/ada/query/greeted?at=garbage", 400, "garbage", "BadId"),
        ("/actors/ada/query/greeted?at={eve}", 404, "step", "NotThatStep"),
        ("/actors/ada/query/greeted?at=7", 404, "newest is #0", "NotThatStep"),
        ("/actors/ada/query/greeted?at=99999999999999999999", 400, "9999", "BadId"),
        ("/actors/ada/query/greeted?at={other}@0", 404, "another actor", "NotThatStep"),
        ("/actors/ada/query/greeted?at=nobody@0", 404, "nobody", "NotFound"),
        ("/actors/ada/query/greeted?at={id}", 404, "step", "NotThatStep"),
        ("/actors/ada/query/greeted?at={head}&at={head}", 400, "at", "BadRequest"),
        ("/steps/{id}/query/greeted", 404, "tree", "NotFound"),
    ],
)
def test_what_cannot_be_asked_says_why(
    face: Face, ada: dict[str, Any], path: str, status: int, says: str, code: str
) -> None:
    eve = face.create({"wit": ASKED}, nonce="eve")
    said = problem_of(face.get(path.format(eve=eve["head"], other=eve["id"], id=ada["id"], head=ada["head"])), status)
    assert says in said["detail"]
    assert said["code"] == code


def test_a_query_that_ends_never_is_given_up_and_others_are_answered(face: Face, ada: dict[str, Any]) -> None:
    problem_of(face.get("/actors/ada/query/ends_never", headers={"Prefer": "wait=1"}), 504)
    assert face.get("/actors/ada/query/greeted").status_code == 200
    assert face.send("ada", {"name": "Bob"}, "greet").status_code == 200


def test_arguments_of_a_post_do_not_stand_in_its_query(face: Face, ada: dict[str, Any]) -> None:
    problem_of(face.post("/actors/ada/query/greeted?plus=1", json={}), 400)
    problem_of(face.post("/actors/ada/query/greeted", content=b"{}", headers={"Content-Type": "nonsense"}), 400)


def test_a_context_may_be_large_but_not_endless(face: Face, small_face: Face, ada: dict[str, Any]) -> None:
    problem_of(small_face.post("/actors/ada/query/raw", content=b"x" * 1001), 413)
    problem_of(face.post("/actors/ada/query/raw", content=b"x" * (16 * 1024 * 1024 + 1)), 413)


def test_a_page_may_use_what_is_of_its_own_actor_and_runs_no_script_of_its_text(
    face: Face, ada: dict[str, Any]
) -> None:
    policy = face.get("/actors/ada/query/page").headers["content-security-policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["script-src"] == rules["connect-src"] == "localhost:8321/actors/ada/"
    assert "'unsafe-inline'" not in rules["script-src"]
    at_step = face.get(f"/steps/{ada['head']}/query/page").headers["content-security-policy"]
    assert f"/steps/{ada['head']}/" in at_step


def test_the_path_of_a_page_cannot_write_into_its_policy(face: Face) -> None:
    face.create({"wit": ASKED}, name="a; script-src *,")
    policy = face.get("/actors/a; script-src *,/query/page").headers["content-security-policy"]
    assert "script-src *" not in policy
    assert "a%3B%20script-src%20%2A%2C/" in policy


def test_a_query_changes_nothing_that_can_be_seen(face: Face, ada: dict[str, Any]) -> None:
    before = json.dumps(face.get("/actors/ada/chain").json())
    for name in ("greeted", "page", "raw", "files", "refuses", "breaks", "nothing"):
        face.get(f"/actors/ada/query/{name}")
    assert json.dumps(face.get("/actors/ada/chain").json()) == before
