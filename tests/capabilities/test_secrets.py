"""Secrets: the host gets the value, and nothing that anybody keeps or reads has it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.capabilities.acting import Acting, acting
from tests.capabilities.stub_server import StubServer
from understudy.actors.exchange import Aside, ExchangeReply, ExchangeRequest, read_reply, request_bytes
from understudy.capabilities.http import HttpCapability
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.capabilities.secrets import PIECE, BadSecret, Filled, Secret, Secrets
from understudy.objects.ids import ActorId, TreeId, node_id

ACTOR = ActorId(TreeId(node_id(b"an actor")))

VALUE = 'sk_live_a/b+c"d=99'
ASKING = """
@wit.message("bearer")
def bearer(url: str, ctx) -> str:
    return ctx.http.get(url + "/echo", headers={"Authorization": f"Bearer {ctx.secret('KEY')}"}).text

@wit.message("basic")
def basic(url: str, ctx) -> str:
    return ctx.http.get(url + "/echo", auth=(ctx.secret("KEY"), "")).text

@wit.message("url")
def in_url(url: str, ctx) -> str:
    return ctx.http.get(url + "/echo", params={"key": ctx.secret("KEY")}).text

@wit.message("json")
def in_json(url: str, ctx) -> str:
    return ctx.http.post(url + "/echo", json={"key": ctx.secret("KEY")}).text

@wit.message("form")
def in_form(url: str, ctx) -> str:
    return ctx.http.post(url + "/echo", data={"key": ctx.secret("KEY")}).text

@wit.message("cookie")
def in_cookie(url: str, ctx) -> str:
    ctx.http.get(url + "/set-cookie", params={"taste": ctx.secret("KEY")})
    return ctx.http.get(url + "/cookies").text

@wit.message("plain")
def plain(url: str, ctx) -> str:
    return ctx.http.get(url).text

@wit.message("redirect")
def redirect(asked: dict, ctx) -> str:
    headers = {"X-Api-Key": ctx.secret("KEY")}
    return ctx.http.get(asked["from"], params={"to": asked["to"]}, headers=headers, follow_redirects=True).text

@wit.message("keep")
def keep(nothing: None, state: dict, ctx) -> None:
    state["key"] = ctx.secret("KEY")
    ctx.log(ctx.secret("KEY"))

@wit.message("pass on")
def pass_on(asked: dict, ctx) -> str:
    ctx.secret("KEY")
    return ctx.http.post(asked["url"] + "/echo", content=asked["text"]).text

@wit.message("broken")
def broken(url: str, ctx) -> str:
    return ctx.http.get(url + "/drop", headers={"Authorization": ctx.secret("KEY")}).text
"""


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


@pytest.fixture
def clerk(stub: StubServer, tmp_path: Path) -> Iterator[Acting]:
    Secrets(tmp_path).set(Secret(name="KEY", to=(stub.place,), value=VALUE))
    with acting(ASKING, allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        yield clerk


def nowhere(kept: bytes) -> bool:
    """True if the value stands nowhere, in none of the forms that it was sent in."""
    forms = [
        VALUE,
        json.dumps(VALUE)[1:-1],
        "sk_live_a%2Fb%2Bc%22d%3D99",
        base64.b64encode(f"{VALUE}:".encode()).decode(),
    ]
    return not any(form.encode() in kept for form in forms)


@pytest.mark.parametrize("kind", ["bearer", "basic", "url", "json", "form"])
def test_a_secret_goes_out_and_what_echoes_it_is_freed_of_it(clerk: Acting, stub: StubServer, kind: str):
    said = clerk.tell(kind, stub.url)
    seen = stub.seen[0]
    sent = {
        "bearer": seen.headers.get("authorization") == f"Bearer {VALUE}",
        "basic": seen.headers.get("authorization") == f"Basic {base64.b64encode(f'{VALUE}:'.encode()).decode()}",
        "url": seen.path == "/echo?key=sk_live_a%2Fb%2Bc%22d%3D99",
        "json": seen.body == json.dumps({"key": VALUE}, separators=(",", ":")).encode(),
        "form": seen.body == b"key=sk_live_a%2Fb%2Bc%22d%3D99",
    }
    assert sent[kind], seen
    assert "[secret KEY]" in said
    assert nowhere(said.encode()) and nowhere(clerk.kept())
    stub.stop()
    assert clerk.verdict().ok


def test_a_cookie_that_holds_a_secret_comes_back_without_it(clerk: Acting, stub: StubServer):
    clerk.tell("cookie", stub.url)
    assert nowhere(clerk.kept())


def test_a_later_response_is_freed_of_a_secret_that_its_request_did_not_hold(clerk: Acting, stub: StubServer):
    said = clerk.tell("plain", f"{stub.url}/echo?{quote(VALUE)}")
    assert "[secret KEY]" in said


def test_a_secret_goes_to_no_other_host(clerk: Acting, stub: StubServer, tmp_path: Path):
    with StubServer() as other, acting(ASKING, allow=[stub.place, other.place], store_url=f"rocksdb:{tmp_path}") as two:
        text = two.fails("redirect", {"from": f"{stub.url}/redirect", "to": f"{other.url}/echo"})
        assert f"the secret KEY is not for {other.place}" in text
        assert other.seen == [] and nowhere(text.encode())


def test_code_has_a_marker_that_is_another_one_in_each_step(clerk: Acting):
    clerk.tell("keep")
    first = clerk.living.state(clerk.id)["key"]
    clerk.tell("keep")
    assert first.startswith("secret-KEY-") and clerk.living.state(clerk.id)["key"] != first
    assert nowhere(clerk.kept())
    assert clerk.verdict().ok


def test_a_message_that_holds_a_marker_of_before_gets_no_secret(clerk: Acting, stub: StubServer):
    clerk.tell("keep")
    marker = clerk.living.state(clerk.id)["key"]
    clerk.tell("pass on", {"url": stub.url, "text": marker})
    assert stub.seen[0].body == marker.encode()


def test_no_log_and_no_error_has_the_value(clerk: Acting, stub: StubServer, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        clerk.tell("url", stub.url)
        text = clerk.fails("broken", stub.url)
    assert nowhere(caplog.text.encode()) and nowhere(text.encode())
    assert "RemoteProtocolError" in text or "ReadError" in text


def test_what_is_missing_or_not_for_this_actor_is_said_before_anything_leaves(stub: StubServer, tmp_path: Path):
    with acting(ASKING, allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        assert f"understudy secret set KEY --to {stub.place}" in clerk.fails("bearer", stub.url)
        secrets = Secrets(tmp_path)
        secrets.set(Secret(name="KEY", to=(stub.place,), actors=("another",), value=VALUE))
        assert "not for this actor" in clerk.fails("bearer", stub.url)
        secrets.set(Secret(name="KEY", to=(stub.place,), actors=("clerk",), value=VALUE))
        clerk.tell("bearer", stub.url)
        assert secrets.remove("KEY") and not secrets.remove("KEY")
        assert "there is no secret KEY" in clerk.fails("bearer", stub.url)
        assert len(stub.seen) == 1


def test_over_plain_http_a_secret_leaves_the_machine_for_nobody(tmp_path: Path):
    Secrets(tmp_path).set(Secret(name="KEY", to=("api.example.com",), value=VALUE))
    with acting(ASKING, allow=["api.example.com"], store_url=f"rocksdb:{tmp_path}") as clerk:
        assert "only by https" in clerk.fails("bearer", "http://api.example.com")


def test_a_secret_may_be_in_the_environment_or_printed_by_a_command(
    stub: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    secrets = Secrets(tmp_path)
    with acting(ASKING, allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        secrets.set(Secret(name="KEY", to=(stub.place,), env="UNDERSTUDY_TEST_KEY"))
        assert "UNDERSTUDY_TEST_KEY" in clerk.fails("bearer", stub.url)
        monkeypatch.setenv("UNDERSTUDY_TEST_KEY", VALUE)
        clerk.tell("bearer", stub.url)
        secrets.set(Secret(name="KEY", to=(stub.place,), command=(sys.executable, "-c", f"print({VALUE!r} + 'x')")))
        clerk.tell("bearer", stub.url)
        assert [seen.headers["authorization"] for seen in stub.seen] == [f"Bearer {VALUE}", f"Bearer {VALUE}x"]
        secrets.set(Secret(name="KEY", to=(stub.place,), command=(sys.executable, "-c", "raise SystemExit(3)")))
        assert "exit code 3" in clerk.fails("bearer", stub.url)


@pytest.mark.parametrize("offset", range(5))
@pytest.mark.parametrize("value", ["12345678", VALUE, "x" * 9, "y" * 10])
def test_a_value_inside_of_longer_base64_is_found(offset: int, value: str):
    filled = Filled(target="", headers=(), body=b"", values={"KEY": value})
    for tail in ("", "a", "bc", "def"):
        encoded = base64.b64encode(("p" * offset + value + tail).encode()).decode()
        assert "[secret KEY]" in filled.scrub(encoded), encoded
        assert b"[secret KEY]" in filled.scrub_bytes(encoded.encode())


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (Secret(name="A KEY", to=("a.com",), value=VALUE), "no name of a secret"),
        (Secret(name="../KEY", to=("a.com",), value=VALUE), "no name of a secret"),
        (Secret(name="KEY", to=(), value=VALUE), "for which hosts"),
        (Secret(name="KEY", to=("*",), value=VALUE), "show it to anybody"),
        (Secret(name="KEY", to=("http://a.com",), value=VALUE), "no place"),
        (Secret(name="KEY", to=("a.com",)), "has one value"),
        (Secret(name="KEY", to=("a.com",), value=VALUE, env="A"), "has one value"),
        (Secret(name="KEY", to=("a.com",), value="abcdefg"), "8 to 8,192"),
        (Secret(name="KEY", to=("a.com",), value="x" * 9000), "8 to 8,192"),
        (Secret(name="KEY", to=("a.com",), value="two\r\nlines-of-it"), "line feed"),
    ],
)
def test_a_secret_that_can_not_be_is_refused_without_its_value(tmp_path: Path, secret: Secret, why: str):
    with pytest.raises(BadSecret, match=why) as refused:
        Secrets(tmp_path).set(secret)
    assert secret.value is None or secret.value not in str(refused.value)
    assert VALUE not in repr(secret) and Secrets(tmp_path).all() == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_the_file_is_its_owners_alone_and_one_that_others_can_read_is_refused(tmp_path: Path):
    secrets = Secrets(tmp_path)
    secrets.set(Secret(name="KEY", to=("a.com",), value=VALUE))
    file = tmp_path / "secrets" / "KEY.json"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o644)
    with pytest.raises(BadSecret, match="chmod 600"):
        secrets.find("KEY")
    file.chmod(0o600)
    file.write_bytes(b"{" + VALUE.encode())
    with pytest.raises(BadSecret, match="damaged") as damaged:
        secrets.all()
    assert VALUE not in str(damaged.value)


def test_a_response_is_freed_of_a_secret_in_a_headers_name_and_in_another_case(stub: StubServer, tmp_path: Path):
    value = "sk_Live-0a1B2c3D.4e5F"
    secrets = Secrets(tmp_path)
    secrets.set(Secret(name="KEY", to=(stub.place,), value=value))

    async def run() -> ExchangeReply:
        marker = "secret-KEY-0123456789"
        request = request_bytes(ExchangeRequest(method="GET", url=f"{stub.url}/cases", headers=[("x-key", marker)]))
        aside = Aside(secrets={marker: "KEY"})
        return read_reply(await capability.call(request, caller=ACTOR, key="k", beside=aside))

    capability = HttpCapability(Grants(HttpPart(allow=[stub.place])), secrets)
    try:
        reply = asyncio.run(run())
    finally:
        capability.stop()
    assert stub.seen[0].headers["x-key"] == value
    assert reply.body == b" ".join([b"[secret KEY]"] * 4)
    assert "x-[secret key]" in dict(reply.headers) and value.lower() not in repr(reply).lower()


@pytest.mark.parametrize("before", [0, PIECE - len(VALUE), PIECE - 1, PIECE, 2 * PIECE - 5])
def test_a_value_is_found_wherever_in_a_large_body_it_stands(before: int):
    filled = Filled(target="", headers=(), body=b"", values={"KEY": VALUE})
    body = b"s" * before + VALUE.encode() + b"9" * PIECE
    assert filled.scrub_bytes(body) == b"s" * before + b"[secret KEY]" + b"9" * PIECE


FLOWING = """
from understudy import FlowContext

def keep(state: dict, text: str) -> None:
    state["said"] = text

@wit.flow("begin")
async def begin(url: str, ctx: FlowContext) -> None:
    key = ctx.secret("KEY")
    await ctx.wait("go")
    answer = await ctx.http.get(url + "/echo", headers={"Authorization": f"Bearer {key}"})
    ctx.with_state(keep, answer.text)
    await ctx.wait("go")
"""


def test_a_flow_asks_the_network_once_and_a_marker_lasts_as_long_as_the_flow(stub: StubServer, tmp_path: Path):
    Secrets(tmp_path).set(Secret(name="KEY", to=(stub.place,), value=VALUE))
    with acting(FLOWING, allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        clerk.tell("begin", stub.url)
        clerk.tell("go")
        clerk.living.come_to_rest()
        assert [seen.headers.get("authorization") for seen in stub.seen] == [f"Bearer {VALUE}"]
        assert "[secret KEY]" in clerk.living.state(clerk.id)["said"]
        # Run again from its record, with the host gone.
        stub.stop()
        clerk.tell("go")
        clerk.living.come_to_rest()
        assert len(stub.seen) == 1
        assert clerk.verdict().verdict == "MATCH"
        assert nowhere(clerk.kept())
