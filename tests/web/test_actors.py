"""Actors over HTTP: made from a core, listed, looked at; and everything that a new user gets wrong."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.store.forged_maps import FORGED, good_map
from tests.web.conftest import GREETER, Face, problem_of
from understudy.objects.ids import parse
from understudy.store.car import write_car
from understudy.store.maps import build_tree
from understudy.store.reader import Staging
from understudy.store.walk import walk

CAR = {"Content-Type": "application/vnd.ipld.car"}


def test_a_core_becomes_an_actor_with_a_name_and_a_head(face: Face) -> None:
    made = face.create(name="ada")
    assert made["name"] == "ada"
    assert made["outcome"] == "ok"
    actor = face.get("/actors/ada").json()
    about = {"id": made["id"], "name": "ada", "head": made["head"], "height": 0, "engine": actor["engine"]}
    assert actor == {**about, "status": "ready", "reason": None}
    assert face.get("/actors").json() == {"actors": [actor], "next": None}


def test_the_same_core_twice_is_one_actor(face: Face) -> None:
    assert face.create()["id"] == face.create()["id"]
    assert len(face.get("/actors").json()["actors"]) == 1


def test_a_nonce_makes_another_actor_of_the_same_core(face: Face) -> None:
    assert face.create(nonce="1")["id"] != face.create(nonce="2")["id"]


def test_a_file_that_is_no_text_comes_as_base64(face: Face) -> None:
    made = face.create({"wit": GREETER, "data/logo": {"base64": "/wAB"}})
    assert face.get(f"/steps/{made['head']}/core/data/logo").content == b"\xff\x00\x01"


def test_a_name_may_be_an_emoji(face: Face) -> None:
    face.create(name="🦊 fox")
    assert face.get("/actors/%F0%9F%A6%8A%20fox").json()["name"] == "🦊 fox"


def test_an_actor_is_found_by_the_beginning_of_its_id(face: Face) -> None:
    id = face.create()["id"]
    assert face.get(f"/actors/{id[7:15]}").json()["id"] == id


def test_a_list_goes_on_where_its_page_ended(face: Face) -> None:
    made = {face.create(nonce=str(number))["id"] for number in range(5)}
    first = face.get("/actors?limit=3").json()
    rest = face.get(f"/actors?limit=3&after={first['next']}").json()
    assert len(first["actors"]) == 3
    assert rest["next"] is None
    assert {actor["id"] for actor in first["actors"] + rest["actors"]} == made


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "", "1.5", "٣"])
def test_a_limit_that_makes_no_sense_is_a_bad_request(face: Face, limit: str) -> None:
    assert "limit" in problem_of(face.get("/actors", params={"limit": limit}), 400)["detail"]


def test_a_misspelt_parameter_is_not_ignored(face: Face) -> None:
    assert "limti" in problem_of(face.get("/actors?limti=3"), 400)["detail"]


def test_an_unknown_actor_is_not_found(face: Face) -> None:
    assert "nobody" in problem_of(face.get("/actors/nobody"), 404)["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b"[" * 60_000, 400, "not JSON"),
        (b"[" * 100_000, 422, "list"),
        (b'{"core": {}, "core": {}}', 400, "'core' stands twice"),
        (b'{"core": {"wit": "a", "wit": "b"}}', 400, "'wit' stands twice"),
        (b'{"core": NaN}', 400, "NaN"),
        (b"[]", 422, "a list"),
        (b"{}", 422, "'core' is missing"),
        (b'{"core": null}', 422, "'core' is missing"),
        (b'{"core": []}', 422, "'core' is a list"),
        (b'{"core": {"wit": "x"}, "nmae": "a"}', 422, "'nmae'"),
        (b'{"core": {"wit": "x"}, "name": 7}', 422, "'name' is a number"),
        (b'{"core": {"wit": "x"}, "nonce": {}}', 422, "'nonce' is an object"),
        (b'{"core": {"wit": "x"}, "nonce": "\\ud800"}', 422, "'nonce'"),
        (b'{"core": {"wit": "x", "/nonce": "a"}, "nonce": "b"}', 422, "another file 'nonce'"),
        (b'{"core": {"wit": 7}}', 422, "core['wit'] is a number"),
        (b'{"core": {"wit": {"base64": "?"}}}', 422, "core['wit']"),
        (b'{"core": {"wit": {"base65": ""}}}', 422, "core['wit']"),
        (b'{"core": {"wit": "\\ud800"}}', 422, "core['wit']"),
        (b'{"core": {"\\ud800": "x"}}', 422, "well-formed"),
        (b'{"core": {"a/../b": "x"}}', 422, "'..'"),
        (b'{"core": {"a": "x", "a/b": "y"}}', 422, "'a'"),
        (b'{"core": {}}', 422, "/wit"),
        (b'{"core": {"wit": "/code:gone:wit"}}', 422, "code"),
    ],
)
def test_a_creation_that_is_wrong_says_where_and_stores_nothing(
    face: Face, body: bytes, status: int, said: str
) -> None:
    answer = face.post("/actors", content=body, headers={"Content-Type": "application/json"})
    assert said in problem_of(answer, status)["detail"]
    assert face.get("/actors").json()["actors"] == []


@pytest.mark.parametrize("name", ["a/b", "", "..", "tab\there", "x" * 256])
def test_a_name_that_no_actor_can_have_is_refused(face: Face, name: str) -> None:
    answer = face.post("/actors", json={"core": {"wit": GREETER}, "name": name})
    assert "name" in problem_of(answer, 422)["detail"]
    assert face.get("/actors").json()["actors"] == []


def test_a_name_in_use_is_a_conflict(face: Face) -> None:
    face.create(name="ada")
    answer = face.post("/actors", json={"core": {"wit": GREETER}, "name": "ada", "nonce": "2"})
    assert "'ada'" in problem_of(answer, 409)["detail"]
    assert len(face.get("/actors").json()["actors"]) == 1


def test_another_media_type_is_not_guessed_at(face: Face) -> None:
    answer = face.post("/actors", content=b"{}", headers={"Content-Type": "text/plain"})
    assert "application/json" in problem_of(answer, 415)["detail"]


def test_what_curl_sends_when_it_is_told_no_media_type_is_read_as_json(face: Face) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps({"core": {"wit": GREETER}})
    assert face.post("/actors", content=body, headers=form).status_code == 201
    problem_of(face.post("/actors", content=b"a=b", headers=form), 400)


def _car_of(face: Face, actor: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    root = parse(actor["id"])
    write_car(file, [root], walk(face.node.reader, root))
    return file.getvalue()


def test_a_core_may_come_as_a_car_file(face: Face) -> None:
    made = face.create()
    answer = face.post("/actors?name=again", content=_car_of(face, made), headers=CAR)
    assert answer.status_code == 201
    assert answer.json()["id"] == made["id"]
    assert face.get("/actors/again").json()["id"] == made["id"]


# A block of these shows that it is wrong when it is read, and is named with its place in the file.
WRONG_BY_THEMSELVES = {
    "a child that belongs into a bucket",
    "a name that is empty",
    "64 entries",
    "another hash",
    "another bucket size",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_core_whose_large_tree_is_not_what_it_says_is_refused_and_nothing_is_stored(face: Face, name: str) -> None:
    staging = Staging(face.node.reader)
    root, count = good_map(staging, "bigtree")
    forged = FORGED[name](staging, "bigtree", root, count)
    core = build_tree(staging, {"wit": staging.put_blob(GREETER.encode()), "data": forged})
    file = io.BytesIO()
    write_car(file, [core], staging.new.values())
    before = len(list(face.node.backend.ids()))
    problem = problem_of(face.post("/actors", content=file.getvalue(), headers=CAR), 422)
    assert ("of the CAR file" if name in WRONG_BY_THEMSELVES else "this core is not whole") in problem["detail"]
    assert len(list(face.node.backend.ids())) == before


def test_a_core_of_trees_in_trees_without_an_end_is_refused(face: Face) -> None:
    staging = Staging(face.node.reader)
    tree = build_tree(staging, {})
    for _ in range(30_000):
        tree = build_tree(staging, {"in": tree})
    core = build_tree(staging, {"wit": staging.put_blob(GREETER.encode()), "data": tree})
    file = io.BytesIO()
    write_car(file, [core], staging.new.values())
    problem = problem_of(face.post("/actors", content=file.getvalue(), headers=CAR), 422)
    assert "nested more than 256 deep" in problem["detail"]


def test_a_car_file_with_a_flipped_bit_or_cut_off_is_refused(face: Face) -> None:
    car = bytearray(_car_of(face, face.create()))
    problem_of(face.post("/actors", content=bytes(car[:-1]), headers=CAR), 422)
    car[-1] ^= 1
    problem_of(face.post("/actors", content=bytes(car), headers=CAR), 422)


def test_a_core_that_is_not_whole_is_refused(face: Face) -> None:
    made = face.create({"wit": GREETER, "data/a": "kept"})
    root = parse(made["id"])
    # Data and code come from another node that has nothing of them.
    file = io.BytesIO()
    blocks = [block for block in walk(face.node.reader, root) if block.id == root]
    write_car(file, [root], blocks)
    with_nothing = Face(face.runner, _fresh_node(face))
    try:
        assert (
            "not in the store"
            in problem_of(with_nothing.post("/actors", content=file.getvalue(), headers=CAR), 422)["detail"]
        )
    finally:
        face.runner.run(with_nothing.node.stop())


def _fresh_node(face: Face) -> Any:
    node = type(face.node).open("memory:")
    face.runner.run(node.start())
    return node


def test_a_body_above_the_bound_is_refused_before_it_is_read(small_face: Face) -> None:
    problem_of(small_face.post("/actors", content=b"x" * 1001, headers={"Content-Type": "application/json"}), 413)
    problem_of(small_face.post("/actors", content=b"x" * 1001, headers=CAR), 413)
