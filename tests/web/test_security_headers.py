"""The headers of every answer: what is no page says so, wherever it was made."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.conftest import Face, problem_of
from tests.web.test_confinement import VICTIM
from understudy.node.node import Node
from understudy.web.security_headers import NO_PAGE


@pytest.mark.parametrize(
    "ask",
    [
        ("GET", "/actors", {}),
        ("GET", "/nothing", {}),
        ("POST", "/healthz", {}),
        ("GET", "/actors", {"Host": "evil.example"}),
        ("GET", "/actors", {"Origin": "http://evil.example"}),
        ("GET", "/actors", {"Authorization": "Bearer wrong"}),
        ("GET", "/actors", {"Accept": "text/plain"}),
        ("GET", "/openapi.json", {}),
        ("GET", "/events", {"Last-Event-ID": "x"}),
        ("HEAD", "/events", {}),
    ],
)
def test_every_answer_that_is_no_page_says_so(face: Face, ask: tuple[str, str, dict[str, str]]) -> None:
    method, path, headers = ask
    answer = face.ask(method, path, headers=headers)
    assert answer.headers.get_list("content-security-policy") == [NO_PAGE.decode()]


def test_also_an_answer_that_no_route_made_says_so(
    node: tuple[asyncio.Runner, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    face = Face(*node)
    monkeypatch.setattr(face.node, "actors", None)
    answer = face.get("/actors")
    problem_of(answer, 500)
    assert answer.headers["content-security-policy"] == NO_PAGE.decode()


def test_at_an_ipv6_address_a_page_may_use_nothing(face: Face) -> None:
    """Such an address can't stand in a policy, and `'self'` would be all actors."""
    face.create({"wit": VICTIM}, name="victim")
    policy = face.get("/actors/victim/query/page", headers={"Host": "[::1]:8321"}).headers["content-security-policy"]
    assert "'self'" not in policy.replace("frame-ancestors 'self'", "")
    assert "script-src 'none'" in policy


def test_an_answer_of_304_says_nothing_of_policies(face: Face) -> None:
    """A browser may take its headers for those of the page that it holds."""
    face.create({"wit": VICTIM}, name="victim")
    tag = face.get("/actors/victim/query/page").headers["etag"]
    answer = face.get("/actors/victim/query/page", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert "content-security-policy" not in answer.headers
