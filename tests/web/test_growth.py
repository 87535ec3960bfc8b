"""What outsiders send costs in proportion to its size, whatever it is made of, wherever it stands.

The law: sixteen times as much input takes at most some sixteen times the processor's time. What grows as the square
takes 256 times; the bound lies far from both, so it does not depend on the machine or on who else uses it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.web.conftest import TOKEN, Face
from understudy.node.node import Node
from understudy.web.authorization import EVERYTHING
from understudy.web.first_token import authorization
from understudy.web.preference import Preference
from understudy.web.routes import messages
from understudy.web.tokens import TokenFolder, Tokens

SMALL, FACTOR = 1_000, 16
MOST = 60.0  # times: linear is at most 16, as most of a small request does not depend on its size; a square is 256
LOOKS = 4  # what is too much once may have been somebody else's work; it is looked at again
# Alone and in pairs: what headers, paths, numbers, base64 and JSON are made of.
UNITS = [" ", "\t", ",", ";", '"', "\\", "=", "a", "1", "-", "/", "%", ".", "'", "é", "(", "[", "+", ":", "*"]
PAIRS = [" ,", "a ", "a,", "a=", '"a', "a;", ";q", "1-", "%2", "0.", "a/", "--", '\\"', "a,a", "; q = ", '="', "]["]
ADA = """
from understudy import Blob, Wit

wit = Wit()


@wit.message("echo")
def echo(data: bytes) -> bytes:
    return data


@wit.query
def find(word: str = "", page: int = 0, many: list[int] = []) -> Blob:
    return Blob.html(f"{len(word)} {page} {len(many)}")
"""
HEADERS = {
    "Accept": ["", "text/html;q=0", "a/b;", "*/*;q=1"],
    "Authorization": ["", "Bearer ", "Bearer ust_"],
    "Content-Type": ["", "text/html;", 'text/html; a="', "application/json"],
    "Content-Encoding": ["", "gzip,"],
    "Host": ["", "localhost", "127.0.0.1:"],
    "Idempotency-Key": [""],
    "If-Match": ["", '"a",'],
    "If-None-Match": ["", 'W/"', '"a",'],
    "If-Range": ["", '"'],
    "Last-Event-ID": ["", "1"],
    "Message-Lane": ["", "queue"],
    "Message-Type": ["", "echo"],
    "Origin": ["", "http://"],
    "Prefer": ["", "wait", "wait=1", 'wait="1', "respond-async;", "a"],
    "Range": ["", "bytes", "bytes=", "bytes=1-2", "bytes=0-"],
    "Sec-Fetch-Site": ["", "none"],
    "X-Unknown": [""],
}
# Every request parses the headers of all; these read the ones that only some look at.
ASKED = [
    ("GET", "/actors/ada/core/data"),
    ("POST", "/actors/ada/messages/echo"),
    ("POST", "/actors/ada/query/find"),
    ("GET", "/actors/ada/query/find"),
    ("GET", "/events"),
    ("POST", "/actors"),
]
PATHS = [
    "/{}",
    "/actors/{}",
    "/actors/ada/messages/{}",
    "/actors/ada/query/{}",
    "/actors/ada/core/{}",
    "/actors/ada/core/data/{}",
    "/steps/{}",
    "/steps/{}/core/x",
    "/actors/bafyrei{}",
    "/actors/ada/steps/{}",
    "/ipfs/{}",
    "/ipfs/bafyrei{}",
]
QUERIES = [
    "/actors?limit={}",
    "/actors?after={}",
    "/actors?{}",
    "/actors?limit=1&{}",
    "/actors/ada/steps?before={}",
    "/actors/ada/steps?message={}",
    "/actors/ada/query/find?word={}",
    "/actors/ada/query/find?page={}",
    "/actors/ada/query/find?many={}",
    "/actors/ada/query/find?{}",
    "/actors/ada/query/find?at={}",
    "/actors/ada/core/?after={}",
]
Call = Callable[[str], tuple[str, str, dict[str, bytes], bytes]]


class Door:
    """The application itself: a client of a library would refuse to send half of this, and take time of its own."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def seconds(self, call: Call, filler: str) -> float:
        method, path, headers, body = call(filler)
        return self.ask(method, path, list(headers.items()), body)

    def ask(self, method: str, path: str, headers: Sequence[tuple[str, bytes]], body: bytes = b"") -> float:
        bare, _, query = path.partition("?")
        usual = {"host": b"localhost", **authorization_header()}
        named = [(name.lower(), value) for name, value in headers]
        given = [*((name, value) for name, value in usual.items() if name not in dict(named)), *named]
        scope = {
            "type": "http",
            "method": method,
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value) for name, value in given],
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
        }
        return self.face.runner.run(self._ask(scope, body))

    async def _ask(self, scope: dict[str, Any], body: bytes) -> float:
        waiting = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        # The processor's time of all threads: what others on the machine do is not in it.
        began = time.process_time()
        await self.face.app(scope, receive, send)
        return time.process_time() - began


def authorization_header() -> dict[str, bytes]:
    return {name.decode().lower(): value for name, value in authorization(TOKEN).items()}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with asyncio.Runner() as runner:
        node = Node.open("memory:")
        runner.run(node.start())
        kept = TokenFolder(tmp_path_factory.mktemp("store"))
        face = Face(runner, node, tokens=Tokens(TOKEN, kept), anybody=EVERYTHING)
        face.create({"wit": ADA, "data": "0123456789" * 100}, name="ada")
        yield Door(face)
        runner.run(node.stop())


def growth(door: Door, call: Call, unit: str) -> float:
    """How many times the work of the small input the large one is; the least of several looks."""
    least = float("inf")
    for _ in range(LOOKS):
        small = max(min(door.seconds(call, filled(unit, SMALL)) for _ in range(3)), 1e-4)
        large = door.seconds(call, filled(unit, SMALL * FACTOR))
        least = min(least, large / small)
        if least < MOST:
            break
    return least


def filled(unit: str, size: int) -> str:
    """A filler that ends in what fits nowhere, so that whatever matched it so far has to be tried otherwise."""
    return (unit * (size // len(unit) + 1))[:size] + "\x7f"


def too_steep(door: Door, calls: dict[str, Call]) -> list[str]:
    found = []
    for name, call in calls.items():
        for unit in [*UNITS, *PAIRS]:
            times = growth(door, call, unit)
            if times >= MOST:
                found.append(f"{name} of {unit!r}: {times:.0f} times")
    return found


@pytest.mark.parametrize("header", list(HEADERS))
def test_a_header_costs_what_it_is_long(door: Door, header: str) -> None:
    def call(method: str, path: str, start: str) -> Call:
        return lambda filler: (method, path, {header: (start + filler).encode()}, b"{}")

    assert not too_steep(
        door, {f"{start!r}, {path}": call(method, path, start) for start in HEADERS[header] for method, path in ASKED}
    )


@pytest.mark.parametrize("header", list(HEADERS))
def test_a_header_that_comes_often_costs_as_often(door: Door, header: str) -> None:
    for method, path in ASKED:
        least = float("inf")
        for _ in range(LOOKS):
            few = max(min(door.ask(method, path, [(header, b"a, b")] * (SMALL // 10)) for _ in range(3)), 1e-4)
            many = door.ask(method, path, [(header, b"a, b")] * (SMALL * FACTOR // 10))
            least = min(least, many / few)
        assert least < MOST, path


def test_a_path_costs_what_it_is_long(door: Door) -> None:
    def call(method: str, path: str) -> Call:
        return lambda filler: (method, path.format(filler.replace("?", "")), {}, b"{}")

    methods = {path: "POST" if "messages" in path else "GET" for path in PATHS}
    assert not too_steep(door, {path: call(method, path) for path, method in methods.items()})


def test_a_query_costs_what_it_is_long(door: Door) -> None:
    def call(path: str) -> Call:
        return lambda filler: ("GET", path.format(filler.replace("#", "")), {}, b"")

    assert not too_steep(door, {path: call(path) for path in QUERIES})


BODIES: dict[str, tuple[str, str, dict[str, bytes], Callable[[str], Any]]] = {
    "a message": ("POST", "/actors/ada/messages/echo", {}, lambda text: text),
    "JSON that is none": ("POST", "/actors", {}, lambda text: text),
    "a list of JSON": ("POST", "/actors", {}, lambda text: "[" * text.count("[") + text),
    "a name": ("POST", "/actors", {}, lambda text: {"core": {"wit": ADA}, "name": text}),
    "a nonce": ("POST", "/actors", {}, lambda text: {"core": {"x": "y"}, "nonce": text}),
    "a path of a core": ("POST", "/actors", {}, lambda text: {"core": {text: "x"}}),
    "files of a core": (
        "POST",
        "/actors",
        {},
        lambda text: {"core": {f"{n}/{text[:9]}": "" for n in range(len(text) // 10)}},
    ),
    "a code": ("POST", "/actors", {}, lambda text: {"core": {"wit": text}}),
    "a pointer": ("POST", "/actors", {}, lambda text: {"core": {"wit": f"/code:{text}"}}),
    "a policy": ("POST", "/actors", {}, lambda text: {"core": {"wit": ADA, "policy": text}}),
    "base64": ("POST", "/actors", {}, lambda text: {"core": {"x": {"base64": text}}}),
    "a field": ("POST", "/actors", {}, lambda text: {text: 1}),
    "fields": ("POST", "/actors", {}, lambda text: {f"{n}{text[:9]}": n for n in range(len(text) // 10)}),
    "a patch": ("POST", "/actors/ada/messages", {"Message-Lane": b"update"}, lambda text: {"patch": {text: None}}),
    "patches": (
        "POST",
        "/actors/ada/messages",
        {"Message-Lane": b"update"},
        lambda text: {"patch": {f"d/{n}{text[:5]}": "" for n in range(len(text) // 10)}},
    ),
    "arguments": ("POST", "/actors/ada/query/find", {"Content-Type": b"application/json"}, lambda text: {"word": text}),
    "a number": (
        "POST",
        "/actors/ada/query/find",
        {"Content-Type": b"application/json"},
        lambda text: f'{{"page": {text}',
    ),
}


@pytest.mark.parametrize("body", list(BODIES))
def test_a_body_costs_what_it_is_long(door: Door, body: str) -> None:
    method, path, headers, make = BODIES[body]

    def call(filler: str) -> tuple[str, str, dict[str, bytes], bytes]:
        made = make(filler)
        data = made if isinstance(made, str) else json.dumps(made)
        return method, path, {"Content-Type": b"application/json", **headers}, data.encode()

    assert not too_steep(door, {body: call})


def test_what_grows_as_the_square_would_be_seen(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure itself: the pattern that once held up a node for minutes is too steep for it."""
    pattern = re.compile(r"([a-z-]+)\s*(?:=\s*([^\s;\"]*))?\s*(?:;|\Z)")

    def slow(lines: Sequence[str], seconds: float, most: float) -> Preference:
        for line in lines:
            pattern.match(line)
        return Preference(seconds)

    monkeypatch.setattr(messages, "read_preference", slow)

    def call(filler: str) -> tuple[str, str, dict[str, bytes], bytes]:
        return "POST", "/actors/ada/messages/echo", {"Prefer": b"a" + filler.encode()}, b""

    assert growth(door, call, " ") >= MOST
