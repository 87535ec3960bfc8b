"""Who may ask: loopback's own names, same origin, and beyond loopback whoever shows the token."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.web.conftest import Face, problem_of
from understudy.node.node import Node
from understudy.web.app import build_app
from understudy.web.server import CannotListen, address_of, check_reach, open_socket, parse_listen


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8321", "localhost", "LocalHost:1", "[::1]:8321"])
def test_loopback_answers_to_its_own_names(face: Face, host: str) -> None:
    assert face.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "0.0.0.0"])
def test_a_page_that_rebinds_its_name_gets_nothing(face: Face, host: str) -> None:
    problem_of(face.get("/actors", headers={"Host": host}), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9", "file://"])
def test_a_foreign_page_gets_nothing(face: Face, origin: str) -> None:
    problem_of(face.post("/actors", json={"core": {}}, headers={"Origin": origin}), 403)


def test_our_own_page_may_ask(face: Face) -> None:
    assert face.get("/healthz", headers={"Origin": "http://localhost:8321"}).status_code == 200


@pytest.mark.parametrize("shown", [None, "Bearer wrong", "Bearer ", "Basic open sesame", "open sesame", "Bearer ÿ"])
def test_without_the_token_there_is_no_answer(public_face: Face, shown: str | None) -> None:
    headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
    answer = public_face.get("/actors", headers={"Host": "node.example", **headers})
    problem_of(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_the_token_there_is(public_face: Face) -> None:
    headers = {"Host": "node.example", "Authorization": "Bearer open sesame"}
    assert public_face.get("/actors", headers=headers).status_code == 200


def test_listening_beyond_loopback_without_a_token_is_not_possible(node: tuple[asyncio.Runner, Node]) -> None:
    with pytest.raises(CannotListen, match="UNDERSTUDY_TOKEN"):
        check_reach("0.0.0.0", None)
    with pytest.raises(AssertionError):
        Face(*node, loopback=False).get("/healthz")


def test_a_free_port_is_known_before_the_first_request() -> None:
    with open_socket(*parse_listen("127.0.0.1:0")) as opened:
        assert int(address_of(opened).rpartition(":")[2]) > 0
        with pytest.raises(CannotListen, match="try another"):
            open_socket("127.0.0.1", opened.getsockname()[1])


@pytest.mark.parametrize("text", ["8321", "localhost", "localhost:", ":8321", "localhost:x", "localhost:70000"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CannotListen, match="HOST:PORT"):
        parse_listen(text)


def test_a_fault_of_ours_is_a_500_with_a_number_and_the_log_has_the_rest(
    face: Face, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(face.node, "actors", broken)
    with caplog.at_level(logging.ERROR):
        answer = face.get("/actors")
    number = problem_of(answer, 500)["error"]
    assert "secret" not in answer.text
    assert number in caplog.text


def test_what_is_not_there_and_what_is_not_allowed_are_problems_too(face: Face) -> None:
    problem_of(face.get("/nothing"), 404)
    answer = face.post("/healthz")
    problem_of(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_health_says_which_node_this_is(face: Face) -> None:
    health = face.get("/healthz").json()
    assert (health["status"], health["node"]) == ("ok", face.node.name)


def test_a_node_whose_store_failed_is_not_healthy(face: Face) -> None:
    face.node.failure = OSError("no space left on device")
    answer = face.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")


def test_every_route_has_one_handler() -> None:
    node = Node.open("memory:")
    routes = [(route.path, *sorted(route.methods)) for route in build_app(node).routes]  # type: ignore[attr-defined]
    assert len(routes) == len(set(routes))
