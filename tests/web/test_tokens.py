"""What a request may do: nothing that brings code without a token, and with one what it was made for."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import GREETER, TOKEN, Face, problem_of
from understudy.node.errors import BadRequest, NotFound
from understudy.node.node import Node
from understudy.web.app import operations
from understudy.web.authorization import NOTHING, SCOPES
from understudy.web.first_token import BadTokens, check_token, find_first_token, first_token
from understudy.web.operation import routes_of
from understudy.web.tokens import KEPT, TokenFolder, Tokens

ASKED_BY_POST = ("/actors/{actor}/query/{name}", "/steps/{step}/query/{name}")
NODE_WIDE = ("/actors", "/events", "/pending", "/ipfs/{cid}", "/console", "/console/node")
FREE = ("/healthz", "/openapi.json", "/console/sign-out")
PUBLIC = ("/console/sign-in", "/console/assets/{version}/{name}")
LANES = {"queue": "send", "signal": "send", "update": "update", "Update": "update", "": "update"}


class Doorman:
    """A node with a lead, two actors, and somebody for each way to ask."""

    def __init__(self, runner: asyncio.Runner, node: Node, folder: Path) -> None:
        self.kept = TokenFolder(folder)
        self.tokens = Tokens(TOKEN, self.kept)
        face = Face(runner, node)
        self.mine = face.create(name="ada")
        self.other = face.create(name="bob", nonce="2")
        self.face = Face(runner, node, tokens=self.tokens, lead=node.resolve("ada"))

    def holding(self, *scopes: str, actors: list[str] | None = None) -> Face:
        return self.face.as_somebody(self.kept.make(scopes=scopes, actors=actors, note=None, now=0))


@pytest.fixture
def doorman(node: tuple[asyncio.Runner, Node], tmp_path: Path) -> Doorman:
    return Doorman(*node, tmp_path)


def every_operation() -> list[tuple[str, str, dict[str, str], str]]:
    """Method, path, headers and the scope that it needs: said here again, by hand, for every route that there is."""
    found: list[tuple[str, str, dict[str, str], str]] = []
    for route in routes_of(operations(with_lead=True)):
        for method in sorted(route.methods or ()):
            if route.path in PUBLIC:
                found.append((method, route.path, {}, "public"))
            elif route.path in FREE:
                found.append((method, route.path, {}, "any"))
            elif route.path.startswith("/console") and "/messages/" in route.path:
                found.append((method, route.path, {}, "send"))
            elif route.path.startswith("/console") and route.path.endswith(("/pause", "/resume", "/retry")):
                found.append((method, route.path, {}, "update"))
            elif method in ("GET", "HEAD") or route.path in ASKED_BY_POST:
                found.append((method, route.path, {}, "ask"))
            elif route.path == "/actors":
                found.append((method, route.path, {}, "create"))
            elif route.path == "/":
                found.append((method, route.path, {}, "send"))
            elif route.path.endswith(("/pause", "/resume", "/retry")):
                found.append((method, route.path, {}, "update"))
            else:
                assert "/messages" in route.path, f"{method} {route.path} is new: say here what it needs"
                found += [(method, route.path, {"Message-Lane": lane}, needs) for lane, needs in LANES.items()]
                found.append((method, route.path, {}, "send"))
    return found


OPERATIONS = every_operation()
NAMES = [f"{method} {path} {' '.join(headers.values())}".strip() for method, path, headers, _ in OPERATIONS]


def ask(face: Face, operation: tuple[str, str, dict[str, str], str], about: Mapping[str, Any]) -> int:
    """The status of an answer. Events have no end: they are asked for from beyond it, which is refused with 400."""
    method, path, headers, _ = operation
    path = path.replace("{type:path}", "echo").replace("{path:path}", "wit").replace("{name}", "wut")
    path = path.replace("{actor}", about["id"]).replace("{step}", about["head"]).replace("{cid}", about["head"])
    more = {"Last-Event-ID": "999999"} if path.endswith("/events") else {}
    return face.ask(method, path, content=b"{}" if method == "POST" else None, headers={**headers, **more}).status_code


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_each_route_is_open_to_its_scope_alone(
    doorman: Doorman, operation: tuple[str, str, dict[str, str], str]
) -> None:
    needs = operation[3]
    for scope in SCOPES:
        status = ask(doorman.holding(scope), operation, doorman.mine)
        assert (status == 403) == (needs not in (scope, "any", "public")), (scope, status)
        assert status != 401
    nobody = doorman.face.as_somebody(None)
    assert (ask(nobody, operation, doorman.mine) == 401) == (needs in ("create", "update"))
    assert ask(doorman.face, operation, doorman.mine) not in (401, 403)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_a_token_for_one_actor_reaches_no_other(
    doorman: Doorman, operation: tuple[str, str, dict[str, str], str]
) -> None:
    _, path, _, needs = operation
    if needs in ("any", "create", "public"):
        return
    for text in ("ada", doorman.mine["id"]):
        holder = doorman.holding("ask", "send", "update", actors=[text])
        assert (ask(holder, operation, doorman.mine) == 403) == (path in NODE_WIDE)
        if "{" in path and path not in NODE_WIDE:
            assert ask(holder, operation, doorman.other) == 403
    stranger = doorman.holding("ask", "send", "update", actors=["bob"])
    if "{" not in path:
        assert ask(stranger, operation, doorman.mine) == 403


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_a_node_that_is_closed_answers_nothing_without_a_token(
    node: tuple[asyncio.Runner, Node], operation: tuple[str, str, dict[str, str], str]
) -> None:
    face = Face(*node, token=None, anybody=NOTHING, lead=node[1].name)
    assert (ask(face, operation, {"id": "ada", "head": "none"}) == 401) == (operation[3] != "public")


def test_what_may_not_come_in_is_not_read(doorman: Doorman) -> None:
    """An answer of 401 costs no memory for the body, however large it says it is."""

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/actors", "raw_path": b"/actors", "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": ""}
    doorman.face.runner.run(doorman.face.app(scope, receive, send))
    assert said[0]["status"] == 401


def test_the_refusal_says_where_the_token_is(doorman: Doorman) -> None:
    answer = doorman.face.as_somebody(None).post("/actors", json={"core": {"wit": GREETER}})
    assert "file `token`" in problem_of(answer, 401)["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_token_is_not_the_same_as_none(doorman: Doorman) -> None:
    made = doorman.kept.make(scopes=["ask"], actors=None, note=None, now=0)
    for wrong in (
        "nonsense",
        made[:-1],
        made + "A",
        made.replace("ust_", "ust_0"),
        f"{TOKEN}x",
        "ust_",
        "ust_../../x_y",
    ):
        problem_of(doorman.face.as_somebody(wrong).get("/actors"), 401)


def test_a_token_of_any_script_is_shown_in_utf8(node: tuple[asyncio.Runner, Node]) -> None:
    text = "Sésam, öffne dich 芝麻"
    assert Face(*node, tokens=Tokens(text), token=text).create()["outcome"] == "ok"
    problem_of(Face(*node, tokens=Tokens(text), token=text[:-1]).get("/actors"), 401)


def test_two_tokens_in_one_request_are_refused(face: Face) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
    assert face.as_somebody(None).get("/actors", headers=headers).status_code == 400


def test_a_revoked_token_is_refused_from_the_next_request_on(doorman: Doorman) -> None:
    text = doorman.kept.make(scopes=["ask"], actors=None, note=None, now=0)
    holder = doorman.face.as_somebody(text)
    assert holder.get("/actors").status_code == 200
    doorman.kept.revoke(text.split("_")[1])
    problem_of(holder.get("/actors"), 401)
    with pytest.raises(NotFound, match="token list"):
        doorman.kept.revoke(text.split("_")[1])


def test_who_follows_events_with_a_revoked_token_is_cut_off(doorman: Doorman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.web.routes.events.SILENCE_SECONDS", 0.01)
    gone, stays = (doorman.kept.make(scopes=["ask"], actors=["ada"], note=None, now=0) for _ in range(2))

    async def follow() -> None:
        both = [asyncio.Event(), asyncio.Event()]
        readers = [
            asyncio.ensure_future(doorman.face.listen("/actors/ada/events", 1, listening=began, token=token))
            for began, token in zip(both, (gone, stays), strict=True)
        ]
        for began in both:
            await began.wait()
        doorman.kept.revoke(gone.split("_")[1])
        assert not any(await readers[0])
        assert not readers[1].done()
        await doorman.face.node.send(doorman.face.node.resolve("ada"), b"{}", type="greet")
        await readers[1]

    doorman.face.runner.run(asyncio.wait_for(follow(), 30))


def test_a_token_for_one_actor_does_not_learn_which_others_there_are(doorman: Doorman) -> None:
    holder = doorman.holding(*SCOPES[:2], "update", actors=["ada", "gone"])
    answers = {
        (answer.status_code, answer.text)
        for text in ("bob", doorman.other["id"], doorman.other["id"][:15], "nobody", doorman.other["id"][:7], "x" * 59)
        for answer in (
            holder.get(f"/actors/{text}"),
            holder.get(f"/actors/{text}/pending"),
            holder.post(f"/actors/{text}/messages", content=b"{}"),
        )
    }
    assert len(answers) == 1
    # Of those that it is for, it learns that they are not here.
    problem_of(holder.get("/actors/gone"), 404)
    assert {holder.get(f"/actors/ada/steps/{text}@0").status_code for text in ("bob", "ada")} == {200, 404}


def test_a_damaged_token_opens_nothing_and_is_named(doorman: Doorman, tmp_path: Path) -> None:
    text = doorman.kept.make(scopes=["ask"], actors=None, note=None, now=0)
    (tmp_path / KEPT / f"{text.split('_')[1]}.json").write_text("{")
    assert KEPT in problem_of(doorman.face.as_somebody(text).get("/actors"), 503)["detail"]
    assert doorman.face.get("/actors").status_code == 200


def test_only_hashes_are_kept_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    kept = TokenFolder(tmp_path)
    text = kept.make(scopes=["ask", "send"], actors=["ada"], note="for Bob", now=17)
    (file,) = (tmp_path / KEPT).iterdir()
    assert text.split("_", 2)[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (token,) = kept.all()
    assert (token.scopes, token.actors, token.note, token.made) == (("ask", "send"), ("ada",), "for Bob", 17)
    assert json.loads(file.read_text())["digest"] == token.digest


@pytest.mark.parametrize("scopes", [[], ["run"], ["ask", "Send"]])
def test_a_token_that_could_mean_anything_is_not_made(tmp_path: Path, scopes: list[str]) -> None:
    with pytest.raises(BadRequest, match="ask, send, create, update"):
        TokenFolder(tmp_path).make(scopes=scopes, actors=None, note=None, now=0)
    with pytest.raises(BadRequest, match="all actors"):
        TokenFolder(tmp_path).make(scopes=["create"], actors=["ada"], note=None, now=0)
    assert TokenFolder(tmp_path).all() == []


def test_the_first_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    assert find_first_token(tmp_path) is None
    first = first_token(tmp_path)
    assert (first_token(tmp_path), find_first_token(tmp_path)) == (first, first)
    (tmp_path / "token").chmod(0o644)
    assert first_token(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    (tmp_path / "token").write_text("")
    with pytest.raises(BadTokens, match="empty"):
        first_token(tmp_path)


@pytest.mark.parametrize("text", [" a", "a\n", "a\x00b", "a\rb", "\ud800"])
def test_a_token_that_no_header_can_have_is_named(text: str) -> None:
    with pytest.raises(BadTokens, match="UNDERSTUDY_TOKEN"):
        check_token(text, "UNDERSTUDY_TOKEN")


def test_health_names_actors_only_to_who_may_ask_about_all_of_them(doorman: Doorman) -> None:
    doorman.face.post("/actors/bob/pause", json={"reason": "a secret"})
    asked = doorman.face.as_somebody(None).get("/healthz").json()
    assert [hold["name"] for hold in asked["holds"]] == ["bob"]
    for holder in (doorman.holding("send"), doorman.holding("ask", actors=["ada"])):
        assert holder.get("/healthz").json()["status"] == "ok"
        assert "secret" not in holder.get("/healthz").text


@pytest.mark.parametrize("key", ["1", "k" * 255])
def test_the_idempotency_keys_of_one_token_say_nothing_to_another(doorman: Doorman, key: str) -> None:
    first, second = doorman.holding("send"), doorman.holding("send")
    somebodies = [first, second, doorman.face]
    sent = [each.send("ada", {"name": "Ann"}, "greet", Idempotency_Key=key) for each in somebodies]
    assert len({answer.json()["message"] for answer in sent}) == 3
    again = [each.send("ada", {"name": "Ann"}, "greet", Idempotency_Key=key) for each in somebodies]
    assert [answer.json()["message"] for answer in again] == [answer.json()["message"] for answer in sent]
    assert first.send("bob", {"name": "Bob"}, "greet", Idempotency_Key=key).status_code == 409
    assert second.send("ada", {"name": "Ann"}, "greet", Idempotency_Key="k" * 256).status_code == 422
    assert second.send("ada", {"name": "Ann"}, "greet", Idempotency_Key="").status_code == 422


SPY = """
from understudy import Context, Wit

wit = Wit()


@wit.message("order")
def order(named: str, ctx: Context) -> None:
    ctx.outbox.send(ctx.actor_id, type="x", content=named.encode(), lane="update")


@wit.message("fail")
def fail() -> None:
    raise ValueError("as it was told")
"""


def test_a_token_for_one_actor_retries_no_step_of_another_whatever_the_actor_was_sent(doorman: Doorman) -> None:
    face = doorman.face
    for name in ("spy", "victim"):
        face.create({"wit": "/code:it:wit", "code/it.py": SPY}, name=name, nonce=name)
    step = face.send("victim", None, "fail").json()["step"]
    holder = doorman.holding("ask", "send", "update", actors=["spy"])
    assert holder.post(f"/steps/{step}/retry").status_code == 403
    # The holder's own actor refuses an order that names a step of another one. That order is in its history from then on.
    face.send("spy", step, "order")
    while (spy := face.get("/actors/spy/steps/2")).status_code == 404:
        pass
    before = face.get("/actors/victim").json()
    assert spy.json()["data"]["outcome"]["kind"] == "refused"
    assert holder.post(f"/steps/{spy.json()['id']}/retry").status_code == 422
    assert face.get("/actors/victim").json() == before
