"""One connection: what a client can make a node keep, and how long it may take, has bounds."""

from __future__ import annotations

import contextlib
import gc
import json
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.web.conftest import GREETER
from tests.web.gate import GATE, SECONDS
from tests.web.served import Served
from tests.web.test_serving import GATED, _place, _until
from understudy.web import connections, protocol
from understudy.web.body import Bodies
from understudy.web.face import Limits
from understudy.web.routes import events

ASK = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /actors/ada/messages/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
# What a node takes of a client that does not read: the buffers of both kernels, and one read. Unbounded, it took gigabytes.
MOST_TAKEN = 48_000_000


@pytest.fixture
def served() -> Iterator[Served]:
    GATE.close()
    with Served() as served:
        served.create({"wit": GREETER}, "ada")
        served.create({"wit": GATED}, "gated")
        yield served
    GATE.open()


def connect(served: Served) -> socket.socket:
    return socket.create_connection(_place(served), SECONDS)


def answers(client: socket.socket, count: int) -> list[int]:
    """The statuses of so many answers, in their order."""
    data, found = b"", list[int]()
    while len(found) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if end and len(rest) >= size:
            found.append(int(head.split(b" ")[1]))
            data = rest[size:]
            continue
        more = client.recv(1_000_000)
        assert more, f"it ended after {len(found)} answers"
        data += more
    return found


def ending(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: client.recv(100_000), b""))


def refusal(client: socket.socket) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ending(client).partition(b"\r\n\r\n")[2])
    return document


def cycles() -> int:
    """Requests that were parsed and are not forgotten."""
    gc.collect()
    return sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects())


def test_who_asks_without_reading_fills_no_memory(served: Served) -> None:
    before = cycles()
    with connect(served) as client:
        client.setblocking(False)
        burst, sent = ASK * 20_000, 0
        while sent < MOST_TAKEN and select.select([], [client], [], 2)[1]:
            sent += client.send(burst)
        assert sent < MOST_TAKEN, "it takes whatever comes"
        # A request is 44 bytes here and 5 KiB once it is parsed, so what is read must not all be parsed.
        assert cycles() - before < 2 * protocol._PIECE_BYTES // len(ASK)
        assert served.client.get("/healthz").status_code == 200
    _until(lambda: cycles() <= before + 2)


def test_requests_in_a_row_are_answered_in_their_order_however_they_are_cut(served: Served) -> None:
    row = b"".join((ASK, HEALTH, POST % 2 + b"{}", HEALTH)[number % 4] for number in range(400))
    expected = [(404, 200, 200, 200)[number % 4] for number in range(400)]
    for size in (len(row), 7_919, 1_009):
        with connect(served) as client, ThreadPoolExecutor(1) as pool:
            reading = pool.submit(answers, client, 400)
            for start in range(0, len(row), size):
                client.sendall(row[start : start + size])
            assert reading.result(SECONDS) == expected


def test_large_bodies_in_a_row_arrive_whole(served: Served) -> None:
    body = b"x" * 300_000
    with connect(served) as client, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(answers, client, 11)
        client.sendall((POST % len(body) + body) * 10 + HEALTH)
        assert reading.result(SECONDS) == [200] * 11


def test_what_is_no_http_behind_a_request_does_not_spoil_its_answer(served: Served) -> None:
    with connect(served) as client:
        client.sendall(b"POST /actors/gated/messages/pass HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert GATE.entered.wait(SECONDS)
        client.sendall(b"nonsense\r\n\r\n")
        GATE.open()
        text = ending(client)
    assert text.startswith(b"HTTP/1.1 200") and text.count(b"HTTP/1.1") == 1


def test_who_hangs_up_is_noticed_behind_requests_that_came_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # While later requests wait, nothing is read of this client: it is noticed when something is written to it.
    monkeypatch.setattr(events, "SILENCE_SECONDS", 0.2)
    with connect(served) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n" + ASK * 5)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        _until(lambda: len(served.node._feed._sleepers) == 1)
    _until(lambda: len(served.node._feed._sleepers) == 0)


def test_who_is_idle_makes_room_for_who_asks() -> None:
    with Served(most_connections=4) as served:
        idle = [connect(served) for _ in range(4)]
        for client in idle:
            client.sendall(HEALTH)
            answers(client, 1)
        idle[0].sendall(HEALTH)  # now the second is the one that has been idle for longest
        answers(idle[0], 1)
        assert served.client.get("/healthz").status_code == 200
        assert ending(idle[1]) == b""
        idle[0].sendall(HEALTH)
        assert answers(idle[0], 1) == [200]
        for client in idle:
            client.close()


def test_where_all_are_busy_the_next_one_is_told_to_come_again() -> None:
    GATE.close()
    with Served(most_connections=2) as served:
        served.create({"wit": GATED}, "gated")
        served.client.close()
        busy = [connect(served) for _ in range(2)]
        for client in busy:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        with connect(served) as late:
            assert refusal(late)["status"] == 503
        busy.pop().close()
        _until(lambda: asked(served) == 200)
        busy.pop().close()


def asked(served: Served) -> int:
    with connect(served) as client:
        client.sendall(HEALTH)
        text = client.recv(1000)
    return int(text.split(b" ")[1]) if text else 0


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"", "headers"),
        (b"GET / HT", "headers"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "headers"),
        (POST % 9 + b"{", "body"),
        (HEALTH + POST % 9, "body"),
        (b"POST /actors/ada/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "body"),
    ],
)
def test_who_does_not_go_on_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes, what: str) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.2)
    with connect(served) as client:
        client.sendall(sent)
        text = ending(client)
    last = json.loads(text.rpartition(b"\r\n\r\n")[2])
    assert last["status"] == 408 and what in last["detail"]


def test_who_waits_for_an_answer_is_not_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.05)
    with connect(served) as client:
        client.sendall(
            b"POST /actors/gated/messages/pass HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}GET / H"
        )
        assert GATE.entered.wait(SECONDS)
        for _ in range(5):
            with connect(served) as other:
                assert refusal(other)["status"] == 408  # so the time that is allowed has gone by
        GATE.open()
        assert answers(client, 1) == [200]


def test_who_never_takes_an_answer_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.2)
    served.create({"wit": GREETER, "data": "x" * 20_000_000}, "large")
    with connect(served) as client:
        client.sendall(b"GET /actors/large/core/data HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _until(lambda: works_for(client))
        _until(lambda: not works_for(client))


def works_for(client: socket.socket) -> bool:
    """True while a request of this client is under way."""
    every = (each for each in gc.get_objects() if isinstance(each, protocol.Protocol))
    return any(each.client == client.getsockname() and each._works() for each in every)


def test_the_bodies_of_all_requests_together_have_a_bound() -> None:
    limits = Limits(bodies_bytes=10_000)
    with Served(limits=limits) as served:
        served.create({"wit": GREETER}, "ada")
        with connect(served) as first:
            first.sendall(POST % 9_000 + b"x" * 8_000)
            _until(lambda: held_of_bodies() == 8_000)
            answer = served.client.post("/actors/ada/messages/echo", content=b"x" * 5_000)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] and "together" in answer.json()["detail"]
            first.sendall(b"x" * 1_000)
            assert answers(first, 1) == [200]
        for _ in range(5):
            assert served.client.post("/actors/ada/messages/echo", content=b"x" * 9_999).status_code == 200


def held_of_bodies() -> int:
    """What the bodies in flight hold of the room that the server of this test has for them."""
    return max(each._held for each in gc.get_objects() if isinstance(each, Bodies))


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/healthz", "localhost", 200),
        ("HTTP://LOCALHOST:80/healthz", "localhost", 200),
        ("http://evil.example/healthz", "localhost", 403),
        ("https://evil.example?x=/healthz", "localhost", 400),
        ("https://evil.example/?x=http://localhost/healthz", "localhost", 403),
        ("http://localhost@evil.example/healthz", "localhost", 403),
        ("http://localhost/healthz", "evil.example", 200),
        ("http:///healthz", "localhost", 400),
        ("evil.example:80", "localhost", 400),
        ("*", "localhost", 404),
        ("//evil.example/healthz", "localhost", 404),
    ],
)
def test_a_target_that_names_a_host_is_about_that_host(served: Served, target: str, host: str, status: int) -> None:
    """RFC 9112, 3.2.2: the header is ignored then. So a target can't bring a foreign host past the guard."""
    with connect(served) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answers(client, 1) == [status]


def test_a_trailer_is_no_header(served: Served) -> None:
    head = HEALTH.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    trailers = b"Host: evil.example\r\nOrigin: http://evil.example\r\nAuthorization: Bearer wrong\r\n"
    with connect(served) as client:
        client.sendall(head + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n" + HEALTH)
        assert answers(client, 2) == [200, 200]


LARGE = """
from understudy import Wit
wit = Wit()

@wit.query("large")
def large(size: int) -> str:
    return "x" * size
"""


def test_what_clients_leave_unread_has_a_bound_for_all_together(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, most = 20_000_000, 50_000_000
    monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", most)
    served.create({"wit": LARGE}, "large")
    ask = b"GET /actors/large/query/large?size=%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % size
    clients = [connect(served) for _ in range(6)]
    for client in clients:
        client.sendall(ask)
        # The answer has begun, or was cut off before it did.
        with contextlib.suppress(ConnectionResetError):
            client.recv(1)
    read = [whole(client) for client in clients]
    assert 0 < sum(each >= size for each in read) <= most // (size // 2)
    assert min(read) < size
    with connect(served) as client:
        client.sendall(ask)
        assert whole(client) > size


def whole(client: socket.socket) -> int:
    """How much there is to read."""
    size = 0
    with client, contextlib.suppress(ConnectionResetError):
        while data := client.recv(1_000_000):
            size += len(data)
    return size
