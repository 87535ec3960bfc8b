"""Who may ask: loopback's own names, same origin, and beyond loopback whoever shows the token."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.web.conftest import Face, problem_of
from understudy.node.node import Node
from understudy.web.app import build_app
from understudy.web.authorization import OPEN
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


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "how", [("no-cors", "script"), ("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty")]
)
def test_another_page_can_embed_nothing_of_ours(face: Face, site: str, how: tuple[str, str]) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": how[0], "Sec-Fetch-Dest": how[1]}
    problem_of(face.get("/actors", headers=headers), 403)


def test_a_link_from_another_page_leads_here_but_its_form_does_not(face: Face) -> None:
    face.create(name="ada")
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert face.get("/actors/ada", headers=headers).status_code == 200
    problem_of(face.send("ada", {"name": "Eve"}, "greet", **headers), 403)
    assert face.get("/actors/ada").json()["height"] == 0


def test_what_the_user_typed_and_our_own_pages_are_welcome(face: Face) -> None:
    for site in ("none", "same-origin"):
        assert face.get("/actors", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_no_answer_can_be_framed_or_read_by_another_page(face: Face) -> None:
    for answer in (face.get("/actors"), face.get("/nothing"), face.get("/actors", headers={"Host": "evil.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_a_request_names_exactly_one_host(node: tuple[asyncio.Runner, Node], hosts: list[str]) -> None:
    said = _raw(node, "http", [(b"host", host.encode()) for host in hosts])
    assert said[0]["status"] == 400


@pytest.mark.parametrize(
    "host",
    [
        "localhost.",
        "localhost:",
        "localhost:123456",
        "localhost:80:80",
        "localhost@evil",
        "[::1",
        "127.0.0.1 ",
        "user@127.0.0.1",
    ],
)
def test_an_odd_host_is_not_ours(node: tuple[asyncio.Runner, Node], host: str) -> None:
    assert _raw(node, "http", [(b"host", host.encode())])[0]["status"] == 403


@pytest.mark.parametrize(
    "origins", [["http://localhost", "http://evil.example"], ["NULL"], [""], ["http://localhost."]]
)
def test_every_origin_must_be_the_host(node: tuple[asyncio.Runner, Node], origins: list[str]) -> None:
    headers = [(b"host", b"localhost"), *((b"origin", origin.encode()) for origin in origins)]
    assert _raw(node, "http", headers)[0]["status"] == 403


def test_a_websocket_is_no_way_around(node: tuple[asyncio.Runner, Node]) -> None:
    assert _raw(node, "websocket", [(b"host", b"localhost")]) == [{"type": "websocket.close", "code": 1008}]


def _raw(node: tuple[asyncio.Runner, Node], kind: str, headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """What the face says to a scope that no honest client would make."""
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": kind, "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": ""}
    runner, living = node
    runner.run(build_app(living)(scope, receive, send))
    return said


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
        Face(*node, loopback=False, anybody=OPEN).get("/healthz")


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
    assert answer.headers["allow"] == "GET, HEAD"
    assert face.ask("DELETE", "/actors").headers["allow"] == "GET, HEAD, POST"


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
