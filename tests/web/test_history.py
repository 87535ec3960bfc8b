"""Chains, steps, cores and events over HTTP."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.web.conftest import GREETER, Face, problem_of
from understudy.objects.codec import encode
from understudy.objects.ids import digest, node_id, parse


def _greeted(face: Face, times: int) -> None:
    face.create(name="ada")
    for number in range(times):
        assert face.send("ada", {"name": str(number)}, "greet").status_code == 200


def test_a_chain_is_newest_first_and_each_entry_names_the_next_as_its_parent(face: Face) -> None:
    _greeted(face, 3)
    chain = face.get("/actors/ada/chain").json()
    entries = chain["entries"]
    assert chain["head"] == entries[0]["id"]
    assert [entry["data"]["height"] for entry in entries] == [3, 2, 1, 0]
    assert [entry["parent"] for entry in entries] == [entry["id"] for entry in entries[1:]] + [None]
    assert set(entries[0]) == {"id", "parent", "data"}


def test_the_id_of_an_entry_is_the_hash_of_what_it_shows(face: Face) -> None:
    _greeted(face, 1)
    entry = face.get("/actors/ada/chain?limit=1").json()["entries"][0]
    block = encode(face.node.reader.node(parse(entry["id"])))
    assert hashlib.sha256(block).digest() == digest(parse(entry["id"]))


@pytest.mark.parametrize("list_name", ["chain", "steps"])
def test_pages_of_a_history_meet_without_gap_or_repeat(face: Face, list_name: str) -> None:
    _greeted(face, 4)
    seen: list[str] = []
    page = face.get(f"/actors/ada/{list_name}?limit=2").json()
    seen += [entry["id"] for entry in page.get("entries", page.get("steps"))]
    while page["next"] is not None:
        page = face.get(f"/actors/ada/{list_name}?limit=2&before={page['next']}").json()
        seen += [entry["id"] for entry in page.get("entries", page.get("steps"))]
    assert len(seen) == len(set(seen)) == 5


def test_a_list_of_steps_says_what_came_and_what_went(face: Face) -> None:
    _greeted(face, 1)
    face.send("ada", {}, "fail")
    failed, greeted, genesis = face.get("/actors/ada/steps").json()["steps"]
    assert (failed["outcome"], greeted["outcome"], genesis["outcome"]) == ("failed", "ok", "ok")
    assert "the wit is broken" in failed["error"]["text"]
    assert [message["type"] for message in greeted["consumed"]] == ["greet"]
    assert [message["type"] for message in greeted["sent"]] == ["reply"]
    assert greeted["at"].endswith("Z")


def test_a_step_never_changes_and_says_so(face: Face) -> None:
    head = face.create()["head"]
    answer = face.get(f"/steps/{head}")
    assert answer.json()["id"] == head
    assert "immutable" in answer.headers["cache-control"]
    again = face.get(f"/steps/{head}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_step_that_is_none_is_not_found(face: Face) -> None:
    made = face.create()
    problem_of(face.get("/steps/garbage"), 400)
    assert "a tree" in problem_of(face.get(f"/steps/{made['id']}"), 404)["detail"]
    problem_of(face.get(f"/steps/{node_id(b'nobody made this')}"), 404)


def test_a_core_is_listed_and_its_files_come_as_bytes(face: Face) -> None:
    head = face.create({"wit": GREETER, "data/page.html": "<script>", "data/empty": ""})["head"]
    listing = face.get(f"/steps/{head}/core/data").json()
    assert [(entry["name"], entry["kind"]) for entry in listing["entries"]] == [
        ("empty", "blob"),
        ("page.html", "blob"),
    ]
    page = face.get(f"/steps/{head}/core/data/page.html")
    assert page.content == b"<script>"
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert face.get(f"/steps/{head}/core/data/empty").content == b""
    assert face.get(f"/steps/{head}/core/").json()["count"] == 2


def test_a_file_above_a_chunk_comes_whole(face: Face) -> None:
    data = "0123456789" * 150_000
    head = face.create({"wit": GREETER, "data/big": data})["head"]
    answer = face.get(f"/steps/{head}/core/data/big")
    assert answer.text == data
    assert answer.headers["content-length"] == "1500000"


def test_a_large_folder_is_listed_in_pages(face: Face) -> None:
    head = face.create({"wit": GREETER, **{f"many/{number}": "x" for number in range(150)}})["head"]
    first = face.get(f"/steps/{head}/core/many?limit=100").json()
    rest = face.get(f"/steps/{head}/core/many?limit=100&after={first['next']}").json()
    names = {entry["name"] for entry in first["entries"] + rest["entries"]}
    assert (first["count"], len(names), rest["next"]) == (150, 150, None)


def test_a_path_that_leads_nowhere_is_not_found(face: Face) -> None:
    head = face.create()["head"]
    problem_of(face.get(f"/steps/{head}/core/gone"), 404)
    problem_of(face.get(f"/steps/{head}/core/wit/below"), 404)


def test_a_reader_that_comes_back_has_missed_no_event(face: Face) -> None:
    _greeted(face, 5)
    events = face.follow("/actors/ada/events", 3, last="2")
    assert [event["height"] for event in events] == [3, 4, 5]
    assert events[-1]["step"] == face.get("/actors/ada").json()["head"]


def test_the_feed_has_the_steps_of_all_actors_in_the_order_they_became_durable(face: Face) -> None:
    _greeted(face, 2)
    other = face.create(nonce="other")
    events = face.follow("/events", 4, last="0")
    assert [event["number"] for event in events] == ["1", "2", "3", "4"]
    assert events[-1] == {"number": "4", "step": other["head"], "actor": other["id"], "height": 0}


def test_an_event_id_that_is_no_number_is_a_bad_request(face: Face) -> None:
    problem_of(face.get("/events", headers={"Last-Event-ID": "seven"}), 400)


def test_a_step_made_while_somebody_listens_is_heard(face: Face) -> None:
    face.create(name="ada")
    actor = face.node.resolve("ada")

    async def story() -> list[dict[str, object]]:
        begun = asyncio.Event()
        listening = asyncio.ensure_future(face.listen("/events", 1, listening=begun))
        await begun.wait()
        await face.node.answer(actor, await face.node.send(actor, b'{"name": "Bob"}', type="greet"))
        return await asyncio.wait_for(listening, 30)

    assert [event["height"] for event in face.runner.run(story())] == [1]
