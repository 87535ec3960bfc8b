"""Errors that a browser sees are pages with the facts of the problem document; programs get the document."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.web.conftest import Face, problem_of
from tests.web.console.conftest import BROWSER, Visitor
from understudy.node.node import Node

ERRORS: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/nothing", {}, 404),
    ("POST", "/healthz", {}, 405),
    ("GET", "/actors/nobody", {}, 404),
    ("GET", "/actors?limit=x", {}, 400),
    ("GET", "/actors", {"Host": "evil.example"}, 403),
    ("GET", "/actors", {"Authorization": "Bearer wrong"}, 401),
    ("GET", "/console?state=odd", {}, 400),
    ("GET", "/console/assets/x/nothing.css", {}, 404),
]


@pytest.mark.parametrize("error", ERRORS, ids=[f"{one[0]} {one[1]} {one[3]}" for one in ERRORS])
def test_a_browser_sees_a_page_with_the_same_facts(face: Face, error: tuple[str, str, dict[str, str], int]) -> None:
    method, path, headers, status = error
    document = problem_of(face.ask(method, path, headers={"Accept": "*/*", **headers}), status)
    page = face.ask(method, path, headers={**BROWSER, **headers})
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    text = re.sub(r"<[^>]+>", "", page.text)
    for name in ("title", "detail", "status"):
        assert str(document[name]).replace("'", "&#39;").replace('"', "&#34;") in text
    for name in document.keys() - {"type", "title", "detail", "status"}:
        assert str(document[name]) in text


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0", "application/*"]
)
def test_who_does_not_prefer_a_page_gets_the_document(face: Face, accept: str) -> None:
    problem_of(face.get("/nothing", headers={"Accept": accept}), 404)


def test_an_error_page_runs_nothing_and_is_framed_by_nobody(visitor: Visitor) -> None:
    answer = visitor.face.get("/nothing/<script>alert(1)</script>", headers=BROWSER)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in answer.text


def test_what_the_status_needs_stays_in_the_headers(visitor: Visitor) -> None:
    assert visitor.face.ask("POST", "/healthz", headers=BROWSER).headers["allow"] == "GET, HEAD"


def test_a_failed_actor_is_a_page_with_its_step(visitor: Visitor, face: Face) -> None:
    face.create(name="ada")
    answer = face.send("ada", {}, "fail", Accept=BROWSER["Accept"])
    assert answer.status_code == 500
    assert face.get("/actors/ada").json()["head"] in answer.text
    assert "the wit is broken" in answer.text


def test_a_fault_of_ours_is_a_page_with_its_number(
    node: tuple[asyncio.Runner, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    face: Any = Face(*node)
    monkeypatch.setattr(face.node, "find_actors", None)
    answer = face.get("/console", headers=BROWSER)
    assert answer.status_code == 500
    assert "its log has the details under" in answer.text
    assert "Traceback" not in answer.text
