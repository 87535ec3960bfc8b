"""A real server and its clients: streams that lose nothing, ends that are polite, clients that hang up."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.web.conftest import GREETER
from tests.web.gate import GATE, SECONDS
from tests.web.served import Served
from understudy.node.looking.feed import Event
from understudy.web.protocol import MAX_HEAD_BYTES
from understudy.web.routes import events

GATED = """
from tests.web.gate import GATE
from understudy import Wit

wit = Wit()


@wit.message("pass")
def pass_() -> str:
    GATE.wait()
    return "passed"
"""
MANY = 1_500


@pytest.fixture
def served() -> Iterator[Served]:
    GATE.close()
    with Served() as served:
        yield served
    GATE.open()


def test_a_reader_that_is_slow_loses_nothing_and_nothing_piles_up_for_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = 0
    original = events._event_text

    def counting(event: Event) -> bytes:
        nonlocal rendered
        rendered += 1
        return original(event)

    monkeypatch.setattr(events, "_event_text", counting)
    _make_steps(served, MANY)
    with _narrow_client(served, "/actors/ada/events", "Last-Event-ID: 0") as reader:
        first = reader.recv(100)
        _make_steps(served, 1)  # it goes on meanwhile, as nobody waits for this reader
        assert rendered < MANY
        text = first
        while text.count(b"}\n\n") < MANY + 1:
            text += reader.recv(65536)
    heights = [json.loads(line[6:])["height"] for line in text.splitlines() if line.startswith(b"data: ")]
    assert heights == list(range(1, MANY + 2))


def test_a_reader_that_comes_back_goes_on_where_it_was_while_steps_are_being_made(served: Served) -> None:
    served.create({"wit": GREETER, "policy": '{"batch": 1}'}, "ada")
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(_make_steps, served, 200)
        seen: list[int] = []
        while len(seen) < 200:
            seen += _read_events(served, last=seen[-1] if seen else 0, most=min(30, 200 - len(seen)))
        making.result()
    assert seen == list(range(1, 201))


def test_a_stop_finishes_what_is_under_way_and_ends_streams_as_wholes(served: Served) -> None:
    served.create({"wit": GATED}, "gated")
    with ThreadPoolExecutor(3) as pool:
        following = pool.submit(_read_events, served, last=None, most=100)
        _until(lambda: len(served.node._feed._sleepers) == 1)
        sending = pool.submit(served.client.post, "/actors/gated/messages/pass", content=b"{}")
        assert GATE.entered.wait(SECONDS)
        stopping = pool.submit(served.stop)
        _until(lambda: _refuses(served.address))  # it takes nobody new, and has not forgotten whom it has
        GATE.open()
        stopping.result(SECONDS)
        assert sending.result(SECONDS).json()["replies"][0]["content"] == "passed"
        # The event may come or not before the end; the stream itself ends without an error.
        following.result(SECONDS)


def test_a_client_that_hangs_up_leaves_nothing_behind_and_its_message_is_worked_at(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.create({"wit": GATED}, "gated")
    body = b"POST /actors/gated/messages/pass HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_connection(_place(served)) as client:
        client.sendall(body)
        assert GATE.entered.wait(SECONDS)
    with _narrow_client(served, "/events") as reader:
        reader.recv(10)
    GATE.open()
    _until(lambda: served.client.get("/actors/gated").json()["height"] == 1)
    _until(lambda: len(served.node._feed._sleepers) == 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_request_that_is_cut_off_makes_no_message(served: Served) -> None:
    served.create({"wit": GREETER}, "ada")
    with socket.create_connection(_place(served)) as client:
        client.sendall(b"POST /actors/ada/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
    served.create({"wit": GREETER}, "ada")
    assert served.client.get("/actors/ada").json()["height"] == 0


def test_what_is_no_http_is_refused_as_a_problem(served: Served) -> None:
    document = _refusal(served, b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n", 400)
    assert document["detail"].startswith("this is not an HTTP request")


def test_headers_without_an_end_are_cut_off_before_they_fill_the_memory(served: Served) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    trailers = b"POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    for began, piece in ((start + b"X: ", b"a"), (start, b"X: a\r\n"), (b"GET /", b"a"), (trailers, b"X: a\r\n")):
        with _client(served) as client, pytest.raises(ConnectionError):
            client.sendall(began)
            for _ in range(1_000):
                client.sendall(piece * 100_000)


def test_the_bound_of_headers_is_told(served: Served) -> None:
    sent = b"GET /healthz HTTP/1.1\r\nX: "
    assert f"{MAX_HEAD_BYTES:,}" in _refusal(served, sent.ljust(MAX_HEAD_BYTES + 1, b"a"), 431)["detail"]


def test_headers_in_small_pieces_count_for_one_request_alone(served: Served) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    with _client(served) as client:
        for _ in range(3):
            for start in range(0, len(request), 10_000):
                client.sendall(request[start : start + 10_000])
            answer = b""
            while not answer.endswith(b"}"):
                answer += client.recv(100_000)
            assert answer.startswith(b"HTTP/1.1 200")


def _refusal(served: Served, sent: bytes, status: int) -> dict[str, Any]:
    """The problem document that a connection ends with."""
    with _client(served) as client:
        client.sendall(sent)
        head, _, body = b"".join(iter(lambda: client.recv(100_000), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head.split(b"\r\n")
    document: dict[str, Any] = json.loads(body)
    assert document["status"] == status
    return document


def _client(served: Served) -> socket.socket:
    return socket.create_connection(_place(served), SECONDS)


def _make_steps(served: Served, count: int) -> None:
    actor = served.create({"wit": GREETER, "policy": '{"batch": 1}'}, "ada")["id"]

    async def send_all() -> None:
        ada = served.node.resolve(actor)
        sent = [await served.node.send(ada, b'{"name": "Bob"}', type="greet") for _ in range(count)]
        await served.node.answer(ada, sent[-1])

    served.call(send_all)


def _read_events(served: Served, *, last: int | None, most: int) -> list[int]:
    seen: list[int] = []
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    url = served.address + ("/events" if last is None else "/actors/ada/events")
    with httpx.stream("GET", url, headers=headers, timeout=SECONDS) as stream:
        for line in stream.iter_lines():
            seen += [int(line[4:])] if line.startswith("id: ") else []
            if len(seen) == most:
                break
    return seen


def _narrow_client(served: Served, path: str, *headers: str) -> socket.socket:
    """A client through which little fits, so that a server soon notices that nobody reads."""
    served._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(SECONDS)
    client.connect(_place(served))
    client.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())
    return client


def _place(served: Served) -> tuple[str, int]:
    return "127.0.0.1", int(served.address.rpartition(":")[2])


def _refuses(address: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1).close()
    except OSError:
        return True
    return False


def _until(done: Callable[[], bool]) -> None:
    """Wait for something that must come; how long that takes says nothing."""
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.01)
