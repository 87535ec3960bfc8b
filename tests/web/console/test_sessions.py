"""Sessions: a browser that showed a token may do what the token may, from pages of this node alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.web.conftest import TOKEN, Face, problem_of
from tests.web.console.conftest import BROWSER, OWN, Visitor
from understudy.node.node import Node
from understudy.web.authorization import NOTHING
from understudy.web.sessions import LIFE_SECONDS, MAX_SESSIONS, Sessions
from understudy.web.tokens import TokenFolder, Tokens

UPDATE = {"Message-Lane": "update", **OWN}


def test_who_has_no_token_is_asked_for_one_and_led_back(stranger: Visitor) -> None:
    asked = stranger.get("/console?q=x", 401)
    assert 'name="next" value="/console?q=x"' in asked
    answer = stranger.sign_in(next="/console?q=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console?q=x")
    assert "Actors" in stranger.get("/console?q=x")


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(stranger: Visitor) -> None:
    cookie = stranger.sign_in().headers["set-cookie"].lower()
    for said in ("httponly", "samesite=strict", f"max-age={LIFE_SECONDS}", "path=/"):
        assert said in cookie
    assert TOKEN not in cookie and "secure" not in cookie


def test_behind_tls_the_cookie_goes_over_tls_alone(stranger: Visitor) -> None:
    answer = stranger.post("/console/sign-in", {"token": TOKEN}, Origin="https://localhost:8321")
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("token", ["", "wrong", "ust_00000000_x"])
def test_a_wrong_token_begins_nothing(stranger: Visitor, token: str) -> None:
    answer = stranger.sign_in(token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    stranger.get("/console", 401)


@pytest.mark.parametrize(
    "where",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "", "/" * 2, "/" + "a" * 9000],
)
def test_the_sign_in_leads_to_no_other_place(stranger: Visitor, where: str) -> None:
    assert stranger.sign_in(next=where).headers["location"] == "/console"


def test_another_page_can_sign_nobody_in(stranger: Visitor) -> None:
    answer = stranger.post("/console/sign-in", {"token": TOKEN}, Origin="http://evil.example")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_session_opens_the_other_routes_too(stranger: Visitor) -> None:
    stranger.face.as_somebody(TOKEN).create(name="ada")
    problem_of(stranger.face.get("/actors/ada"), 401)
    stranger.sign_in()
    answer = stranger.face.get("/actors/ada")
    assert answer.json()["height"] == 0
    assert "private" in answer.headers["cache-control"]
    assert "Cookie" in answer.headers.get_list("vary")


def test_a_cookie_sends_only_from_a_page_of_this_node(stranger: Visitor) -> None:
    stranger.face.as_somebody(TOKEN).create(name="ada")
    stranger.sign_in()
    assert stranger.face.send("ada", {"name": "x"}, "greet", **OWN).status_code == 200
    problem_of(stranger.face.send("ada", {"name": "x"}, "greet"), 401)


def test_a_page_of_an_actor_can_bring_no_code_in_the_name_of_who_looks_at_it(stranger: Visitor) -> None:
    """It is of the same origin, and may speak to its own actor: the session must not lend it the lane `update`."""
    stranger.face.as_somebody(TOKEN).create(name="ada")
    stranger.sign_in()
    problem_of(stranger.face.post("/actors/ada/messages", json={"patch": {"wit": "x"}}, headers=UPDATE), 403)
    problem_of(stranger.face.post("/actors/ada/pause", headers=OWN), 403)
    problem_of(stranger.face.post("/actors", json={"core": {"wit": "x"}}, headers=OWN), 403)


def test_signing_out_ends_the_session_wherever_its_cookie_is(stranger: Visitor) -> None:
    cookie = stranger.sign_in().headers["set-cookie"].partition(";")[0]
    assert stranger.post("/console/sign-out").headers["location"] == "/console/sign-in"
    stranger.get("/console", 401, Cookie=cookie)


def test_signing_in_again_ends_the_session_before(stranger: Visitor) -> None:
    cookies = [stranger.sign_in().headers["set-cookie"].partition(";")[0] for _ in range(2)]
    assert cookies[0] != cookies[1]
    stranger.get("/console")
    stranger.sign_in("wrong")
    stranger.get("/console")
    somebody = Visitor(stranger.face)
    somebody.get("/console", 401, Cookie=cookies[0])
    somebody.get("/console", Cookie=cookies[1])


def test_no_cookie_that_a_browser_brings_becomes_a_session(stranger: Visitor) -> None:
    name = stranger.sign_in().headers["set-cookie"].partition("=")[0]
    stranger.post("/console/sign-out")
    answer = Visitor(stranger.face).post("/console/sign-in", {"token": TOKEN}, Cookie=f"{name}=chosen")
    assert answer.status_code == 303 and "chosen" not in answer.headers["set-cookie"]
    Visitor(stranger.face).get("/console", 401, Cookie=f"{name}=chosen")


def test_a_session_ends_with_its_token(node: tuple[asyncio.Runner, Node], tmp_path: Path) -> None:
    folder = TokenFolder(tmp_path)
    token = folder.make(scopes=["ask"], actors=None, note=None, now=0)
    visitor = Visitor(Face(*node, loopback=False, anybody=NOTHING, tokens=Tokens(None, folder)))
    visitor.sign_in(token)
    visitor.get("/console")
    folder.revoke(folder.all()[0].id)
    visitor.get("/console", 401)


def test_a_session_allows_what_its_token_allows(node: tuple[asyncio.Runner, Node], tmp_path: Path) -> None:
    folder = TokenFolder(tmp_path)
    token = folder.make(scopes=["ask"], actors=["ada"], note=None, now=0)
    face = Face(*node, loopback=False, anybody=NOTHING, tokens=Tokens(TOKEN, folder))
    for name in ("ada", "bob"):
        face.create({"wit": "def wit(): pass", "name": name}, name=name)
    visitor = Visitor(face)
    # The list is about all actors: who may see one of them begins there.
    assert visitor.sign_in(token).headers["location"] == "/console/actors/ada"
    visitor.get("/console/actors/ada")
    assert visitor.sign_in(token, next="/actors/ada").headers["location"] == "/actors/ada"
    assert visitor.face.get("/actors/ada", headers=BROWSER).status_code == 200
    visitor.get("/actors/bob", 403)
    visitor.get("/console", 403)


def test_a_session_has_a_bounded_life_and_so_has_their_number() -> None:
    now = 0.0
    sessions = Sessions(Tokens(TOKEN), node="n", clock=lambda: now)
    first = sessions.begin(TOKEN.encode())
    assert first is not None and sessions.authorization_of(first) is not None
    now = LIFE_SECONDS - 1.0
    assert sessions.authorization_of(first) is not None
    now = float(LIFE_SECONDS)
    assert sessions.authorization_of(first) is None
    oldest = sessions.begin(TOKEN.encode())
    others = [sessions.begin(TOKEN.encode()) for _ in range(MAX_SESSIONS)]
    assert oldest is not None and sessions.authorization_of(oldest) is None
    assert all(one is not None and sessions.authorization_of(one) is not None for one in others)


def test_two_nodes_of_one_machine_have_cookies_of_their_own() -> None:
    assert Sessions(Tokens(), node="a").cookie != Sessions(Tokens(), node="b").cookie
