"""The first page: actors as somebody looks for them, whatever they are called."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.web.conftest import GREETER, Face
from tests.web.console.conftest import BROWSER, Visitor
from understudy.node.node import Node


def shown(page: str) -> list[str]:
    """The names in the list, in its order."""
    return re.findall(r'<th scope="row">\s*<a [^>]*><bdi>(.*?)</bdi>', page)


@pytest.fixture
def some(face: Face) -> Face:
    """Three actors: one is fine, one failed, and one is paused while a message waits."""
    for name in ("fine", "broken", "paused"):
        face.create({"wit": GREETER, "nonce": name}, name=name)
    face.send("broken", {}, "fail")
    face.send("fine", {"name": "x"}, "greet")
    face.post("/actors/paused/pause", json={"reason": "for <b>lunch</b>"})
    face.send("paused", {"name": "x"}, "greet", Prefer="respond-async")
    return face


@pytest.mark.parametrize("path", ["/", "/console"])
def test_a_browser_is_led_to_the_console_and_a_program_is_not(visitor: Visitor, path: str) -> None:
    answer = visitor.face.get(path, headers=BROWSER)
    assert (answer.status_code, answer.headers.get("location")) in ((303, "/console"), (200, None))
    assert visitor.face.get("/", headers={"Accept": "*/*"}).json()["console"] == "/console"


def test_of_a_node_with_a_lead_the_root_leads_to_that_actor(node: tuple[asyncio.Runner, Node]) -> None:
    actor = Face(*node).create()["id"]
    face = Face(*node, lead=node[1].resolve(actor))
    assert face.get("/", headers=BROWSER).headers["location"] == f"/console/actors/{actor}"
    assert face.get("/").json()["id"] == actor


def test_those_in_trouble_come_first_with_the_reason(visitor: Visitor, some: Face) -> None:
    page = visitor.get("/console")
    assert shown(page) == ["broken", "paused", "fine"]
    assert "2 in trouble" in page
    assert "for &lt;b&gt;lunch&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("state=trouble", ["broken", "paused"]),
        ("state=failed", ["broken"]),
        ("state=held", ["paused"]),
        ("state=waiting", ["paused"]),
        ("q=FIN", ["fine"]),
        ("q=e&state=failed", ["broken"]),
        ("q=nobody", []),
        ("start=1", ["paused", "fine"]),
        ("engine=wasm%2F1", []),
        ("code=00000000", []),
    ],
)
def test_filters_leave_out_what_is_not_wanted(visitor: Visitor, some: Face, asked: str, found: list[str]) -> None:
    assert shown(visitor.get(f"/console?{asked}")) == found


def test_the_filters_of_code_and_engine_offer_what_there_is(visitor: Visitor, some: Face) -> None:
    some.create({"wit": "def wit(): pass"}, name="other")
    codes = re.findall(r'<option value="([0-9a-f]{8})"', visitor.get("/console"))
    assert [len(shown(visitor.get(f"/console?code={code}"))) for code in codes] == [3, 1]


def test_a_page_shows_fifty_and_leads_on(visitor: Visitor, face: Face) -> None:
    for number in range(51):
        face.create({"wit": "def wit(): pass", "nonce": str(number)}, name=f"n{number:02}")
    first = visitor.get("/console?q=n")
    more = re.search(r'rel="next" href="([^"]+)"', first)
    assert more is not None
    last = visitor.get(more[1].replace("&amp;", "&"))
    assert len(shown(first)) == 50
    assert len({*shown(first), *shown(last)}) == 51
    assert 'rel="next"' not in last and 'rel="prev"' in last


def test_a_step_is_seen_on_the_next_look(visitor: Visitor, some: Face) -> None:
    visitor.get("/console")
    some.send("fine", {}, "fail")
    assert shown(visitor.get("/console?state=failed"))[0] == "fine"
    some.send("fine", {"name": "x"}, "greet")
    assert shown(visitor.get("/console?state=failed")) == ["broken"]


def test_an_empty_node_says_how_to_begin(visitor: Visitor) -> None:
    assert "understudy init" in visitor.get("/console")


def test_every_file_that_a_page_loads_is_there_and_is_kept(visitor: Visitor) -> None:
    page = visitor.get("/console")
    loaded = re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', page)
    assert len(loaded) >= 3
    for path in loaded:
        answer = visitor.face.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


def test_no_page_holds_script_or_style_of_its_own(visitor: Visitor, some: Face) -> None:
    page = visitor.get("/console")
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)
    policy = visitor.face.get("/console", headers=BROWSER).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src localhost:8321/console/assets/;" in policy
