"""An actor, its steps and its files, on real histories."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.web.conftest import TOKEN, Face
from tests.web.console.conftest import Visitor
from tests.web.console.stories import PATCH
from understudy.node.node import Node
from understudy.version import VERSION
from understudy.web.tokens import TokenFolder, Tokens

SENDER = """
from understudy import Wit
wit = Wit()

@wit.message("tell")
def tell(ctx, to: str):
    ctx.log("telling")
    ctx.send(to, {"name": "from afar"}, type="greet")
"""


def plain(page: str) -> str:
    """What stands on a page, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture
def ada(face: Face) -> Face:
    """Ten greetings, an update, a refusal, a failure."""
    face.create(name="ada")
    for number in range(10):
        face.send("ada", {"name": f"guest {number}"}, "greet")
    face.post("/actors/ada/messages", json={"patch": PATCH}, headers={"Message-Lane": "update"})
    face.send("ada", {}, "refuse")
    face.send("ada", {}, "fail")
    return face


def test_the_history_tells_what_came_what_went_and_how_it_ended(visitor: Visitor, ada: Face) -> None:
    said = plain(visitor.get("/console/actors/ada"))
    assert "NotToday: come back tomorrow" in said
    assert "ValueError: the wit is broken" in said
    assert "update update from local data/logo.svg, data/page.html" in said
    assert "greet from local" in said and "guest 9" in said
    assert "Hello guest 9, number 10" in said


def test_the_version_of_the_code_is_not_taken_for_that_of_the_node(visitor: Visitor, ada: Face) -> None:
    for path in ("", "/steps/11", "/do", "/diff", "/steps/11/core/wit"):
        assert f"Understudy {VERSION} on" in plain(visitor.get(f"/console/actors/ada{path}"))


def test_steps_that_are_alike_are_put_together(visitor: Visitor, ada: Face) -> None:
    page = visitor.get("/console/actors/ada")
    assert re.findall(r"#(\d+).#(\d+)</span> (\d+) steps alike", page) == [("1", "10", "10")]


def test_a_step_with_other_code_is_marked(visitor: Visitor, ada: Face) -> None:
    page = visitor.get("/console/actors/ada")
    marked = re.findall(r"#(\d+)</a>\s*<span class=\"badge good\">ok</span>\s*<span class=\"badge calm\">code", page)
    assert marked == ["11"]


@pytest.mark.parametrize(
    ("query", "first"), [("", 13), ("?before=5", 4), ("?before=0", None), ("?before=99", 13), ("?at=2999-01-01", 13)]
)
def test_the_history_begins_where_it_is_asked_to(visitor: Visitor, ada: Face, query: str, first: int | None) -> None:
    answer = visitor.face.get(f"/console/actors/ada{query}", headers={"Accept": "text/html"})
    if answer.status_code == 303:
        answer = visitor.face.get(answer.headers["location"], headers={"Accept": "text/html"})
    heights = [int(height) for height in re.findall(r'<a class="mono" href="[^"]+">#(\d+)</a>', answer.text)]
    assert (heights[0] if heights else None) == first


@pytest.mark.parametrize(("at", "status"), [("noon", 400), ("1970-01-01", 404)])
def test_a_time_that_is_none_or_too_early_is_an_error(visitor: Visitor, ada: Face, at: str, status: int) -> None:
    visitor.get(f"/console/actors/ada?at={at}", status)


def test_pages_of_a_history_meet(visitor: Visitor, face: Face) -> None:
    face.create(name="ada")
    for number in range(120):
        face.send("ada", {"name": f"guest {number}"}, "greet" if number % 2 else "echo")
    seen: list[int] = []
    path: str | None = "/console/actors/ada"
    while path is not None:
        page = visitor.get(path)
        seen += [int(height) for height in re.findall(r'<a class="mono" href="[^"]+">#(\d+)</a>', page)]
        more = re.search(r'rel="next" href="([^"#]+)', page)
        path = more[1].replace("&amp;", "&") if more else None
    assert seen == list(range(120, -1, -1))


def test_a_step_shows_its_messages_whole_and_what_it_changed(visitor: Visitor, ada: Face) -> None:
    said = plain(visitor.get("/console/actors/ada/steps/3"))
    assert "{ &#34;name&#34;: &#34;guest 2&#34; }" in said
    assert "changed count" in said
    failed = plain(visitor.get("/console/actors/ada/steps/13"))
    assert "at wit:21 in fail" in failed
    assert "The cores are the same" in failed


def test_a_message_leads_to_the_step_that_sent_it_and_to_the_one_that_took_it(visitor: Visitor, face: Face) -> None:
    ada = face.create(name="ada")["id"]
    bob = face.create({"wit": SENDER}, name="bob")["id"]
    assert face.send("bob", "ada", "tell").status_code == 200
    face.runner.run(_until(face, "ada", 1))
    sent = visitor.get("/console/actors/bob/steps/1")
    assert f"/console/actors/{ada}/steps/1" in sent and "taken in its step #1" in sent
    assert "telling" in sent
    # The name of the recipient was looked up, which stands in the journal.
    assert "Asked the world" in sent and "names/0" in sent
    assert "asked the world" in visitor.get("/console/actors/bob")
    taken = visitor.get("/console/actors/ada/steps/1")
    assert f"/console/actors/{bob}/steps/1" in taken and "sent in its step #1" in taken


async def _until(face: Face, name: str, height: int) -> None:
    actor = face.node.resolve(name)
    events = face.node.events(actor=actor, after=height - 1)
    assert (await asyncio.wait_for(anext(events), 30)).height == height


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "Good day"),
        ("wit", "from understudy import Core, Refusal, Wit"),
        ("data", "people.csv"),
        ("data/people.csv", "ann 41 bob 17"),
        ("data/state.json", "{ &#34;guests&#34;: [ &#34;ann&#34;,"),
        ("data/page.html", "&lt;h1&gt;A page&lt;/h1&gt;"),
    ],
)
def test_files_are_shown_as_what_they_are(visitor: Visitor, ada: Face, path: str, said: str) -> None:
    page = visitor.get(f"/console/actors/ada/steps/11/core/{path}")
    assert said in plain(page) or path == ""


def test_html_of_an_actor_is_text_until_it_is_asked_for_and_then_in_a_sandbox(visitor: Visitor, ada: Face) -> None:
    path = "/console/actors/ada/steps/11/core/data/page.html"
    assert "<iframe" not in visitor.get(path)
    assert '<iframe class="sandbox" sandbox=""' in visitor.get(f"{path}?show=page")


def test_a_picture_is_loaded_as_data(visitor: Visitor, ada: Face) -> None:
    page = visitor.get("/console/actors/ada/steps/11/core/data/logo.svg")
    source = re.search(r'<img src="([^"]+)"', page)
    assert source is not None
    answer = visitor.face.get(source[1])
    assert (answer.headers["content-type"], answer.headers["content-security-policy"]) == (
        "image/svg+xml",
        "default-src 'none'; sandbox",
    )


@pytest.mark.parametrize("path", ["steps/99", "steps/nothing", "steps/1/core/nothing", "diff?from=99", "diff?to=x"])
def test_what_is_not_there_is_an_error(visitor: Visitor, ada: Face, path: str) -> None:
    answer = visitor.face.get(f"/console/actors/ada/{path}", headers={"Accept": "text/html"})
    assert answer.status_code in (400, 404)


def test_two_steps_are_compared_by_line_and_by_value(visitor: Visitor, ada: Face) -> None:
    ada.post(
        "/actors/ada/messages",
        json={"patch": {"data/state.json": '{"guests": ["ann"], "open": false}'}},
        headers={"Message-Lane": "update"},
    )
    said = plain(visitor.get("/console/actors/ada/diff?from=10&to=14"))
    assert "+ return f&#34;Good day {hello[&#39;name&#39;]}" in said
    said = plain(visitor.get("/console/actors/ada/diff?from=11&to=14"))
    assert "open: true -&gt; false" in said and "guests[1]" in said


def test_what_keeps_an_actor_from_working_stands_on_its_page(visitor: Visitor, ada: Face) -> None:
    ada.post("/actors/ada/pause", json={"reason": "lunch"})
    ada.send("ada", {"name": "x"}, "greet", Prefer="respond-async")
    said = plain(visitor.get("/console/actors/ada"))
    assert "an operator paused it: lunch" in said
    assert "Waiting messages paused greet" in said


FLOW = """
from understudy import FlowContext, Wit
wit = Wit()

@wit.flow("order")
async def order(item: str, ctx: FlowContext) -> None:
    await ctx.sleep("3 days")
"""


def test_flows_and_timers_that_wait_stand_on_the_page(visitor: Visitor, face: Face) -> None:
    face.create({"wit": FLOW}, name="shop")
    assert face.send("shop", "tea", "order").status_code in (200, 202)
    said = plain(visitor.get("/console/actors/shop"))
    assert "Flows 1 under way order" in said and "waits for" in said and "at wit:" in said
    assert "Timers waiting" in said


def test_a_token_for_one_actor_shows_that_one_and_names_no_other(
    node: tuple[asyncio.Runner, Node], tmp_path: Path
) -> None:
    folder = TokenFolder(tmp_path)
    face = Face(*node, tokens=Tokens(TOKEN, folder))
    face.create(name="ada")
    face.create({"wit": SENDER}, name="secret-bob")
    assert face.send("secret-bob", "ada", "tell").status_code == 200
    face.runner.run(_until(face, "ada", 1))
    visitor = Visitor(face)
    assert "secret-bob" in visitor.get("/console/actors/ada/steps/1")
    visitor.sign_in(folder.make(scopes=["ask"], actors=["ada"], note=None, now=0))
    for path in ("", "/steps/1"):
        page = visitor.get(f"/console/actors/ada{path}")
        assert "secret-bob" not in page and "sent in its step" not in page
    visitor.get("/console/actors/secret-bob", 403)
