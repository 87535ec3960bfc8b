"""What waits, over HTTP: every message with its state, of one actor or of all; as the store says it, too."""

from __future__ import annotations

import pytest

from tests.web.conftest import Face, problem_of
from understudy.node.looking.look import Look

SENDER = """
from understudy import Context, Wit

wit = Wit()


@wit.message("send")
def send(order: dict, ctx: Context) -> None:
    for number in order["numbers"]:
        ctx.send(order["to"], number, type="take")


@wit.message("take")
def take(number: int) -> None:
    pass
"""
NUMBERS = [1, 2, 3]


FLOW = """
from understudy import FlowContext, Wit

wit = Wit()


@wit.flow("begin")
async def begin(ctx: FlowContext) -> None:
    await ctx.wait("go")
"""


def wait_for_three(face: Face) -> tuple[str, str]:
    """A sender whose one step sent three messages to an actor that is paused."""
    sender, to = (face.create({"wit": SENDER}, name=name, nonce=name)["id"] for name in ("ann", "bob"))
    assert face.post("/actors/bob/pause", json={"reason": "moving house"}).status_code == 200
    assert face.send("ann", {"to": to, "numbers": NUMBERS}, "send").status_code == 200
    return sender, to


@pytest.mark.parametrize("path", ["/pending", "/actors/bob/pending"])
def test_each_message_of_a_conversation_is_listed_that_waits(face: Face, path: str) -> None:
    sender, to = wait_for_three(face)
    listed = face.get(path).json()["pending"]
    assert [one["seq"] for one in listed] == NUMBERS
    assert len({one["message"] for one in listed}) == len(NUMBERS)
    for one in listed:
        assert (one["to"], one["sender"], one["type"], one["lane"]) == (to, sender, "take", "queue")
        assert (one["state"], one["attempts"]) == ("paused", 0) and "moving house" in one["error"]
    # From the store alone, as a command without a node sees it.
    looked = Look(face.node.backend).pending()
    assert [str(one.message) for one in looked] == [one["message"] for one in listed]
    assert [one["seq"] for one in face.get(f"{path}?limit=2").json()["pending"]] == NUMBERS[:2]


def test_an_actor_for_which_nothing_waits_has_an_empty_list(face: Face) -> None:
    wait_for_three(face)
    assert face.get("/actors/ann/pending").json() == {"pending": [], "flows": []}


def test_flows_that_stand_still_are_named_and_what_is_no_flow_hides_none_of_them(face: Face) -> None:
    files = {"wit": "/code:it:wit", "code/it.py": FLOW}
    shop = face.create(files, name="shop")["id"]
    # Someone's own file, and a record that none of ours wrote.
    face.create({"wit": SENDER, "flows": "mine"}, nonce="file")
    odd = face.create({"wit": SENDER, "flows/x/stopped": "mine"}, nonce="folder")["id"]
    assert face.send("shop", None, "begin").status_code in (200, 202)
    assert face.get("/actors/shop/pending").json() == {"pending": [], "flows": []}
    other = {"code/it.py": FLOW.replace('"go"', '"stay"')}
    changed = face.post("/actors/shop/messages", json={"patch": other}, headers={"Message-Lane": "update"})
    assert changed.status_code == 200, changed.text
    assert face.send("shop", None, "go").status_code == 200
    (mine,) = face.get("/actors/shop/pending").json()["flows"]
    assert mine["actor"] == shop and "asks for 'wait stay'" in mine["why"]
    assert face.get(f"/actors/shop/core/flows/{mine['flow']}/stopped").status_code == 200
    both = {one["actor"]: one for one in face.get("/pending").json()["flows"]}
    assert both.keys() == {shop, odd} and both[shop] == mine
    assert both[odd]["flow"] == "x" and "no record of a flow" in both[odd]["why"]
    assert len(face.get("/pending?limit=1").json()["flows"]) == 1


def test_what_is_asked_wrongly_is_said(face: Face) -> None:
    problem_of(face.get("/actors/nobody/pending"), 404)
    for path in ("/pending?limit=many", "/pending?limits=2"):
        problem_of(face.get(path), 400)
