"""Where a call may lead: how places are written, what is public, and the tricks by which an address looks like another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from tests.capabilities.stub_server import StubServer
from understudy.actors.errors import CallFailed
from understudy.actors.exchange import ExchangeRequest, read_reply, request_bytes
from understudy.capabilities.http import HttpCapability
from understudy.capabilities.http_grants import BadGrants, Grants, HttpPart
from understudy.capabilities.http_places import BadPlace, address_of, is_public, parse_place
from understudy.objects.ids import ActorId, TreeId, node_id

ACTOR = ActorId(TreeId(node_id(b"an actor")))


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def ask(
    url: str,
    allow: Sequence[str],
    *,
    answers: dict[str, list[str]] | None = None,
    asked: list[str] | None = None,
    method: str = "GET",
) -> bytes:
    """The body of a response. `answers` are what a server of names says of a host, one after the other; `asked` notes hosts."""
    asked = [] if asked is None else asked

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        if answers is None or host not in answers:
            loop = asyncio.get_running_loop()
            return [str(entry[4][0]) for entry in await loop.getaddrinfo(host, port)]
        return [answers[host][min(asked.count(host), len(answers[host])) - 1]]

    async def run() -> bytes:
        request = request_bytes(ExchangeRequest(method=method, url=url, headers=[]))
        return read_reply(await capability.call(request, caller=ACTOR, key="k")).body

    capability = HttpCapability(Grants(HttpPart(allow=list(allow))), resolve=resolve)
    try:
        return asyncio.run(run())
    finally:
        capability.stop()


@pytest.mark.parametrize(
    ("place", "host", "port", "covered"),
    [
        ("api.example.com", "api.example.com", 443, True),
        ("api.example.com", "api.example.com", 80, True),
        ("api.example.com", "api.example.com", 8080, False),
        ("API.Example.com", "api.example.com", 443, True),
        ("api.example.com", "xapi.example.com", 443, False),
        ("api.example.com", "api.example.com.evil.org", 443, False),
        ("api.example.com", "api.example.com.", 443, False),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "evilexample.com", 443, False),
        ("*", "anything.org", 443, True),
        ("*", "anything.org", 22, False),
        ("*:8080", "anything.org", 8080, True),
        ("127.0.0.1:8900", "127.0.0.1", 8900, True),
        ("127.0.0.1:8900", "127.0.0.1", 8901, False),
        ("[::1]:8900", "::1", 8900, True),
        ("::1", "::1", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
    ],
)
def test_a_place_covers_what_is_written(place: str, host: str, port: int, covered: bool):
    assert parse_place(place).covers(host, port) is covered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://a.com",
        "a.com/path",
        "a b",
        "a.com:0",
        "a.com:99999",
        "[::1",
        "2130706433",
        "0x7f.1",
        "user@a.com",
        "*.*.com",
    ],
)
def test_what_is_no_place_is_refused_and_named(text: str):
    with pytest.raises(BadPlace, match="no place on the network"):
        parse_place(text)
    with pytest.raises(BadGrants, match="no place on the network"):
        Grants(HttpPart(allow=[text]))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "192.88.99.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1%lo",
        ),
    ],
)
def test_what_is_not_public_is_known_in_every_disguise(address: str):
    found = address_of(address)
    assert found is not None and not is_public(found)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public_is_public(address: str):
    found = address_of(address)
    assert found is not None and is_public(found)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "localhost", "[::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "api.example.com@127.0.0.1", "127.0.0.1%2f"),
    ],
)
def test_no_way_to_write_loopback_leads_there_under_a_grant_for_all_that_is_public(stub: StubServer, host: str):
    with pytest.raises(CallFailed) as failed:
        ask(f"http://{host}:{stub.port}/", [f"*:{stub.port}"])
    # A system may know no address of some of them; but none is asked.
    assert failed.value.code in ("NotGranted", "ConnectError", "BadRequest"), failed.value
    assert stub.seen == []


def test_a_name_that_leads_home_is_refused_and_the_error_names_the_address(stub: StubServer):
    url, answers = f"http://api.example.com:{stub.port}/", {"api.example.com": ["127.0.0.1"]}
    with pytest.raises(CallFailed, match=r"leads to 127\.0\.0\.1, which is not public.*allow = ") as failed:
        ask(url, [f"api.example.com:{stub.port}"], answers=answers)
    assert failed.value.code == "NotGranted" and stub.seen == []
    named = f"127.0.0.1:{stub.port}"
    assert f'allow = ["{named}"]' in failed.value.text
    for place in (named, f"127.0.0.0/8:{stub.port}"):
        assert ask(url, [f"api.example.com:{stub.port}", place], answers=answers) == b'{"ok": true}'


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:1"])
def test_an_address_opens_no_ports_but_its_own_or_those_of_http(stub: StubServer, place: str):
    url, answers = f"http://api.example.com:{stub.port}/", {"api.example.com": ["127.0.0.1"]}
    with pytest.raises(CallFailed, match="leads to"):
        ask(url, [f"api.example.com:{stub.port}", place], answers=answers)
    assert stub.seen == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(stub: StubServer):
    # Only the first answer may be used. There is no second question, and the system itself knows no such name.
    url, place = f"http://api.example.com:{stub.port}/", f"api.example.com:{stub.port}"
    asked: list[str] = []
    assert ask(url, [place, stub.place], answers={"api.example.com": ["127.0.0.1", "10.0.0.1"]}, asked=asked)
    assert asked == ["api.example.com"] and len(stub.seen) == 1


def test_localhost_may_be_named(stub: StubServer):
    assert ask(f"http://localhost:{stub.port}/", [f"localhost:{stub.port}"], answers={"localhost": ["127.0.0.1"]})
    with pytest.raises(CallFailed, match="leads to"):
        ask(f"http://localhost:{stub.port}/", [f"localhost:{stub.port}"], answers={"localhost": ["10.0.0.1"]})


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.com/", "gopher://a.com", "//a.com", "nothing", "http://", "http:///x"]
)
def test_only_http_is_spoken(url: str):
    with pytest.raises(CallFailed) as failed:
        ask(url, ["*"])
    assert failed.value.code in ("UnsupportedProtocol", "BadRequest")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET / HTTP/1.1\r\nX: y", "get"])
def test_only_methods_that_are_listed_are_sent(stub: StubServer, method: str):
    with pytest.raises(CallFailed) as failed:
        ask(stub.url, [stub.place], method=method)
    assert failed.value.code == "NotGranted" and stub.seen == []


def test_no_header_can_begin_another_one(stub: StubServer):
    capability = HttpCapability(Grants(HttpPart(allow=[stub.place])))

    async def run() -> bytes:
        request = ExchangeRequest(method="GET", url=stub.url, headers=[("x-a", "b\r\nx-evil: c")])
        return await capability.call(request_bytes(request), caller=ACTOR, key="k")

    with pytest.raises(CallFailed, match="line feed"):
        asyncio.run(run())
    capability.stop()
    assert stub.seen == []


@pytest.mark.parametrize(
    "part",
    [
        HttpPart(concurrent=0),
        HttpPart(seconds=0.0),
        HttpPart(calls=-1),
        HttpPart(max_response=10**12),
        HttpPart(methods=["FETCH"]),
    ],
)
def test_grants_that_can_not_be_are_refused(part: HttpPart):
    with pytest.raises(BadGrants, match=r"capabilities\.http"):
        Grants(part)


def test_localhost_is_named_with_its_port(stub: StubServer):
    # The other place covers the URL, and still opens no port of this machine.
    with pytest.raises(CallFailed, match="not public"):
        ask(f"http://localhost:{stub.port}/", ["localhost:1", f"*:{stub.port}"])


@pytest.mark.parametrize(
    "address",
    ["::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b:1::a9fe:a9fe", "fec0::1", "5f00::1", "4000::1"],
)
def test_ipv6_that_was_not_given_out_is_not_public(address: str):
    found = address_of(address)
    assert found is not None and not is_public(found)
