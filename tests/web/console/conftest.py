"""Somebody in front of a browser, without one: it keeps cookies, and sends what a browser sends."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.web.conftest import TOKEN, Face
from understudy.node.node import Node
from understudy.web.authorization import NOTHING

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
OWN = {"Origin": "http://localhost:8321", "Sec-Fetch-Site": "same-origin"}


class Visitor:
    """Looks at pages, follows where forms lead, and has no token but the one that it signs in with."""

    def __init__(self, face: Face) -> None:
        self.face = face.as_somebody(None)

    def get(self, path: str, status: int = 200, **headers: str) -> str:
        """The text of a page."""
        answer = self.face.get(path, headers={**BROWSER, **headers})
        assert answer.status_code == status, (path, answer.status_code, answer.text[-2000:])
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return answer.text

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx.Response:
        """What a form of a page is answered."""
        sent = {**BROWSER, **OWN, "Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.face.post(path, content=urlencode(fields or {}).encode(), headers=sent)

    def sign_in(self, token: str = TOKEN, **more: Any) -> httpx.Response:
        """Show a token."""
        return self.post("/console/sign-in", {"token": token, "next": "/console", **more})


@pytest.fixture
def visitor(face: Face) -> Visitor:
    return Visitor(face)


@pytest.fixture
def stranger(node: tuple[asyncio.Runner, Node]) -> Visitor:
    """A visitor of a node that others can reach."""
    return Visitor(Face(*node, loopback=False, anybody=NOTHING))
