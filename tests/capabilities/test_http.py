"""`ctx.http`: what a wit asks of the network, what the journal keeps of it, and what a replay makes of it with nobody there."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities.acting import HEAD, acting
from tests.capabilities.stub_server import StubServer
from tests.node.stage import PATIENCE
from understudy.capabilities.http_body import unpack
from understudy.capabilities.http_network import THREAD
from understudy.capabilities.secrets import Secret, Secrets

ASKING = """
@wit.message("get")
def get(url: str, state: dict, ctx) -> str:
    state["asked"] = state.get("asked", 0) + 1
    return ctx.http.get(url).text

@wit.message("get later")
async def get_later(url: str, state: dict, ctx) -> str:
    state["asked"] = state.get("asked", 0) + 1
    return (await ctx.http.get(url)).text

@wit.message("post")
def post(asked: dict, ctx) -> dict:
    answer = ctx.http.post(asked["url"], json=asked["body"], headers=asked.get("headers", {}))
    return {"status": answer.status_code, "body": answer.json()}

@wit.message("size")
def size(url: str, ctx) -> int:
    return len(ctx.http.get(url).content)

@wit.message("follow")
def follow(url: str, ctx) -> str:
    return ctx.http.get(url, follow_redirects=True).text

@wit.message("bake")
def bake(url: str, ctx) -> str:
    ctx.http.get(url + "/set-cookie?taste=sweet")
    return ctx.http.get(url + "/cookies").text

@wit.message("upload")
def upload(url: str, ctx) -> str:
    return ctx.http.post(url + "/echo", files={"file": ("a.txt", b"hello")}).json()["headers"]["content-type"]

@wit.message("upload as")
def upload_as(asked: list[str], ctx) -> str:
    kind = {"content-type": f"multipart/form-data; boundary={asked[1]}"}
    return ctx.http.post(asked[0] + "/echo", files={"file": ("data.txt", b"my data")}, headers=kind).json()["headers"]["content-type"]

@wit.message("caught")
def caught(url: str, ctx) -> str:
    try:
        ctx.http.get(url, timeout=0.2 if url.endswith("/hold") else 30)
    except httpx.HTTPError as error:
        return type(error).__name__
    except CallFailed as error:
        return error.code

@wit.message("insist")
def insist(url: str, ctx) -> str:
    answer = ctx.http.get(url)
    if answer.status_code == 503:
        raise Retry("not yet")
    return answer.text

@wit.message("both")
async def both(urls: list[str], ctx) -> list[str]:
    import asyncio
    return [answer.text for answer in await asyncio.gather(*map(ctx.http.get, urls))]
"""


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def test_the_journal_keeps_method_url_and_the_whole_response_and_a_replay_asks_nobody(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        asked = {"url": f"{stub.url}/echo?a=b#part", "body": {"n": 1}}
        said = clerk.tell("post", asked)
        assert json.loads(said["body"]["body"]) == {"n": 1} and said["status"] == 200
        reply = clerk.reply()
        assert (reply["method"], reply["url"], reply["status"]) == ("POST", f"{stub.url}/echo?a=b", 200)
        assert json.loads(reply["body"]) == said["body"]
        clerk.tell("get later", f"{stub.url}/later")
        stub.stop()
        assert clerk.verdict().ok
        assert [seen.path for seen in stub.seen] == ["/echo?a=b", "/later"]


def test_large_and_packed_bodies_come_whole(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("size", f"{stub.url}/bytes?times=10000") == 2_560_000
        assert clerk.tell("get", f"{stub.url}/gzip") == "hello " * 100
        assert dict(clerk.reply()["headers"])["content-length"] == "600"
        stub.stop()
        assert clerk.verdict().ok


def test_redirects_and_cookies_are_the_clients_and_each_hop_is_a_call(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("follow", f"{stub.url}/redirect?to=/echo%3Fx=1").startswith('{"method": "GET"')
        assert [entry.path for entry in clerk.journal()] == ["http/0", "http/1"]
        assert clerk.tell("bake", stub.url) == "taste=sweet"
        stub.stop()
        assert clerk.verdict().ok


def test_a_form_has_the_same_boundary_in_a_replay(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        boundary = clerk.tell("upload", stub.url).partition("boundary=")[2]
        assert boundary.encode() in stub.seen[0].body and b"hello" in stub.seen[0].body
        assert clerk.verdict().ok


@pytest.mark.parametrize("boundary", ["data", "multipart", "a", "batch_of_mine", "=====1234567890123456789=="])
def test_a_boundary_that_an_author_chose_goes_out_as_it_is(stub: StubServer, boundary: str):
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("upload as", [stub.url, boundary]) == f"multipart/form-data; boundary={boundary}"
        body = stub.seen[0].body
        assert body.startswith(f"--{boundary}\r\n".encode()) and b'filename="data.txt"' in body and b"my data" in body
        assert clerk.verdict().ok


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/hold", "ReadTimeout"),
        ("/nonsense", "RemoteProtocolError"),
        ("/endless", "TooLarge"),
        ("/bomb", "TooLarge"),
        ("/cut", "DecodingError"),
    ],
)
def test_what_fails_on_the_network_is_an_error_that_the_author_can_catch(stub: StubServer, path: str, error: str):
    with acting(ASKING, allow=[stub.place], max_response=1_000_000) as clerk:
        assert clerk.tell("caught", stub.url + path) == error
        stub.stop()
        assert clerk.verdict().ok


def test_nobody_there_is_an_error_that_the_author_can_catch():
    with StubServer() as stub:
        pass
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("caught", stub.url) == "ConnectError"
        assert clerk.verdict().ok


def test_what_takes_longer_than_the_operator_allows_ends(stub: StubServer):
    with acting(ASKING, allow=[stub.place], seconds=0.2) as clerk:
        text = clerk.fails("get", f"{stub.url}/hold")
        assert text.startswith("ReadTimeout: no whole response within 0.2 s; [capabilities.http] seconds")


def test_a_retry_asks_again_with_the_same_idempotency_key(stub: StubServer):
    policy = json.dumps({"retry": {"attempts": 3, "first_ms": 1}})
    with acting(ASKING, policy=policy, allow=[stub.place]) as clerk:
        assert "Retr" in clerk.fails("insist", f"{stub.url}/status?is=503")
        keys = [seen.headers["idempotency-key"] for seen in stub.seen]
        assert len(keys) == 3 and len(set(keys)) == 1
        clerk.ask("insist", f"{stub.url}/status?is=200")
        assert stub.seen[-1].headers["idempotency-key"] != keys[0]


def test_an_authors_own_key_goes_out_and_a_host_can_be_spared_ours(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        clerk.tell("post", {"url": stub.url, "body": 1, "headers": {"Idempotency-Key": "order-7"}})
        assert stub.seen[-1].headers["idempotency-key"] == "order-7"
    with acting(ASKING, allow=[stub.place], no_idempotency_key=[stub.place]) as clerk:
        clerk.tell("get", stub.url)
        assert "idempotency-key" not in stub.seen[-1].headers


def test_calls_at_once_are_answered_in_any_order(stub: StubServer):
    with acting(ASKING, allow=[stub.place]) as clerk:
        first = clerk.living.send(clerk.id, "both", [f"{stub.url}/hold", f"{stub.url}/cookies"])
        assert stub.came.wait(PATIENCE)
        answer = clerk.living.begin_answer(clerk.id, first)
        stub.go_on.set()
        assert answer.result(PATIENCE).outcome is None
        assert clerk.verdict().ok


# Grants.


def test_what_was_not_granted_does_not_leave_and_the_error_names_the_line_to_add(stub: StubServer):
    with acting(ASKING) as clerk:
        text = clerk.fails("get", stub.url)
        assert "the actor clerk may not reach " + stub.place in text
        assert f'[capabilities.http] allow = ["{stub.place}"]' in text
        assert stub.seen == []
        assert clerk.verdict().ok


def test_a_refusal_does_not_tell_what_else_was_granted(stub: StubServer):
    with acting(ASKING, allow=["inner.example.org", "10.0.0.0/8"]) as clerk:
        clerk.fails("get", stub.url)
        clerk.fails("get", "http://inner.example.org:8080/")
        assert b"10.0.0.0" not in clerk.kept()


def test_the_responses_of_a_step_have_a_bound_together(stub: StubServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("understudy.capabilities.http.MAX_OF_A_STEP", 300)
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("size", f"{stub.url}/bytes") == 256
        text = clerk.fails("both", [f"{stub.url}/bytes", f"{stub.url}/bytes"])
        assert "the responses of one step have more than 300 bytes together" in text


def test_an_actor_has_grants_of_its_own(stub: StubServer):
    with acting(ASKING, allow=[stub.place], actors={"clerk": {"methods": ["GET"], "calls": 1}}) as clerk:
        text = clerk.fails("post", {"url": stub.url, "body": 1})
        assert "[capabilities.http.actors.clerk] methods" in text and "POST" in text
        assert "TooManyCalls" in clerk.fails("bake", stub.url)
        assert clerk.tell("get", f"{stub.url}/cookies") == "none"


def test_a_core_may_narrow_what_it_was_granted(stub: StubServer):
    with acting(ASKING, policy='{"http": {"allow": ["api.example.com"]}}', allow=[stub.place]) as clerk:
        assert "its own /policy leaves that out" in clerk.fails("get", stub.url)
        assert clerk.living.update(clerk.id, policy='{"http": {"methods": ["GET"]}}') is None
        assert clerk.tell("get", f"{stub.url}/cookies") == "none"
        assert "its own /policy" in clerk.fails("post", {"url": stub.url, "body": 1})
        assert len(stub.seen) == 1
        assert clerk.living.update(clerk.id, policy='{"http": {"allow": ["no place"]}}') is None
        assert "is no place on the network" in clerk.fails("get", stub.url)


def test_a_request_has_a_bound(stub: StubServer):
    with acting(ASKING, allow=[stub.place], max_request=10) as clerk:
        assert "[capabilities.http] max_request allows 10" in clerk.fails("post", {"url": stub.url, "body": "x" * 20})
        assert stub.seen == []


def test_a_redirect_leads_nowhere_that_was_not_granted(stub: StubServer):
    with StubServer() as other, acting(ASKING, allow=[stub.place]) as clerk:
        assert f"may not reach {other.place}" in clerk.fails("follow", f"{stub.url}/redirect?to={other.url}/echo")
        assert other.seen == []
        assert "file" in clerk.fails("follow", f"{stub.url}/redirect?to=file:///etc/passwd")


# Replays.


def test_another_request_in_a_replay_is_a_mismatch_that_names_the_call(stub: StubServer):
    with acting(ASKING + CHANGING, allow=[stub.place]) as clerk:
        clerk.tell("change", stub.url)
        verdict = clerk.verdict()
        assert verdict.verdict == "MISMATCH" and verdict.path == "data.journal.http/0", verdict


def test_headers_that_a_library_makes_up_are_no_part_of_what_is_asked(stub: StubServer):
    with acting(ASKING + INVENTING, allow=[stub.place]) as clerk:
        clerk.tell("invent", stub.url)
        assert len({seen.headers["x-request-id"] for seen in stub.seen}) == 2
        # Two tries of a library that says that they are one.
        assert len({seen.headers["idempotency-key"] for seen in stub.seen}) == 1
        assert clerk.verdict().ok


CHANGING = """
import uuid

@wit.message("change")
def change(url: str, ctx) -> None:
    ctx.http.post(url, content=uuid.uuid4().bytes)
"""

INVENTING = """
import uuid

@wit.message("invent")
def invent(url: str, ctx) -> None:
    own = f"stainless-python-retry-{uuid.uuid4()}"
    for number in range(2):
        headers = {"X-Request-Id": str(uuid.uuid4()), "X-Stainless-Retry-Count": str(number), "Idempotency-Key": own}
        ctx.http.post(url, headers=headers)
"""


# Crashes.


NODE = """
import asyncio, sys
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.node.node import Node
from tests.capabilities.acting import HEAD
from tests.capabilities.test_http import ASKING

async def main(store, url, place, type):
    node = Node.open(store, http=Grants(HttpPart(allow=[place])))
    await node.start()
    actor = node.names().get("clerk")
    if actor is None:
        made = await node.create({"wit": b"/code:it:wit", "code/it.py": (HEAD + ASKING).encode()}, name="clerk")
        await node.send(made.id, url.encode(), type=type)
        actor = made.id
    while node.pending(actor):
        await asyncio.sleep(0.01)
    await node.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("type", ["get", "get later"])
def test_a_call_that_crashes_interrupted_is_made_again_with_its_key_and_recorded_once(
    stub: StubServer, tmp_path: Path, type: str
):
    arguments = [
        sys.executable,
        "-c",
        NODE,
        f"rocksdb:{tmp_path / 'store'}",
        json.dumps(f"{stub.url}/hold"),
        stub.place,
        type,
    ]
    # As often as it likes: a wit that only waited for an answer is not blamed for the end of the process.
    for life in range(4):
        with subprocess.Popen(arguments) as node:
            until = time.monotonic() + PATIENCE
            while len(stub.seen) <= life:
                assert time.monotonic() < until and node.poll() is None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.wait(0.01)
            node.send_signal(signal.SIGKILL)
    stub.go_on.set()
    subprocess.run(arguments, check=True, timeout=2 * PATIENCE)
    keys = [seen.headers["idempotency-key"] for seen in stub.seen]
    assert len(keys) >= 5 and len(set(keys)) == 1
    found = subprocess.run(
        [sys.executable, "-c", READ, f"rocksdb:{tmp_path / 'store'}"], check=True, capture_output=True, text=True
    )
    assert json.loads(found.stdout) == {"heights": 2, "calls": ["http/0"], "state": {"asked": 1}}


READ = """
import json, sys
from understudy.node.looking.look import Look
from understudy.objects.journal import read_journal
from understudy.store.open import open_store
look = Look(open_store(sys.argv[1], read_only=True))
head = look.lookup.newest(look.names()["clerk"])
step = look.reader.step(head)
calls = [entry.path for entry in read_journal(look.reader.node(step.journal))]
state = json.loads(look.reader.blob(look.reader.find(step.core, "state")))
print(json.dumps({"heights": step.height + 1, "calls": calls, "state": state}))
"""


def test_the_node_makes_no_more_calls_at_once_than_it_may(stub: StubServer):
    with acting(ASKING, allow=[stub.place], concurrent=1) as clerk:
        both = clerk.living.send(clerk.id, "both", [f"{stub.url}/hold", f"{stub.url}/cookies"])
        assert stub.came.wait(PATIENCE)
        assert [seen.path for seen in stub.seen] == ["/hold"]
        stub.go_on.set()
        assert clerk.living.begin_answer(clerk.id, both).result(PATIENCE).outcome is None
        assert [seen.path for seen in stub.seen] == ["/hold", "/cookies"]


@pytest.mark.parametrize("bound", ["concurrent_actor", "concurrent_host"])
def test_an_actor_or_a_host_that_takes_all_its_turns_leaves_room_for_others(stub: StubServer, bound: str):
    bounds: dict[str, Any] = {bound: 1}
    with StubServer() as other, acting(ASKING, allow=[stub.place, other.place], **bounds) as clerk:
        code = (HEAD + ASKING).encode()
        second = clerk.living.run(
            clerk.living.node.create({"wit": b"/code:it:wit", "code/it.py": code, "nonce": b"2"})
        ).id
        held = clerk.living.send(clerk.id, "both", [f"{stub.url}/hold", f"{stub.url}/cookies"])
        assert stub.came.wait(PATIENCE)
        # Another actor to another host: neither bound is its affair.
        assert clerk.living.tell(second, "get", f"{other.url}/cookies") == "none"
        assert [seen.path for seen in stub.seen] == ["/hold"]
        stub.go_on.set()
        assert clerk.living.begin_answer(clerk.id, held).result(PATIENCE).outcome is None
        assert [seen.path for seen in stub.seen] == ["/hold", "/cookies"]


def test_a_call_whose_turn_never_came_says_which_bound_it_waited_for(stub: StubServer):
    quick = {"clerk": {"seconds": 0.2}}
    with acting(ASKING, allow=[stub.place], concurrent_host=1, actors=quick) as clerk:
        code = (HEAD + ASKING).encode()
        second = clerk.living.run(
            clerk.living.node.create({"wit": b"/code:it:wit", "code/it.py": code, "nonce": b"2"})
        ).id
        held = clerk.living.send(second, "get", f"{stub.url}/hold")
        assert stub.came.wait(PATIENCE)
        text = clerk.fails("get", f"{stub.url}/cookies")
        assert text.startswith("PoolTimeout: ") and "concurrent_host" in text and "nothing was sent" in text, text
        stub.go_on.set()
        assert clerk.living.begin_answer(second, held).result(PATIENCE).outcome is None
        assert [seen.path for seen in stub.seen] == ["/hold"]
        assert clerk.verdict().ok


def test_a_large_body_is_searched_beside_the_thread_that_all_calls_share(
    stub: StubServer, monkeypatch: pytest.MonkeyPatch
):
    threads: list[str] = []

    def note(data: bytes, encoding: str, *, most: int) -> bytes:
        threads.append(threading.current_thread().name)
        return unpack(data, encoding, most=most)

    monkeypatch.setattr("understudy.capabilities.http.unpack", note)
    with acting(ASKING, allow=[stub.place]) as clerk:
        assert clerk.tell("size", f"{stub.url}/bytes?times=10000") == 2_560_000
        clerk.tell("get", f"{stub.url}/cookies")
        assert clerk.tell("get", f"{stub.url}/gzip") == "hello " * 100
    large, small, packed = threads
    assert large.startswith(f"{THREAD}-beside") and packed.startswith(f"{THREAD}-beside") and small == THREAD


# Clients that are kept.


KEPT = """
import asyncio
KEPT = {}

@wit.message("kept")
def kept(url: str, ctx) -> str:
    return KEPT.setdefault("client", ctx.http).get(url).text

@wit.message("kept later")
async def kept_later(url: str, ctx) -> str:
    return (await KEPT.setdefault("later", ctx.http).get(url)).text

@wit.message("kept secret")
def kept_secret(url: str, ctx) -> str:
    return ctx.http.get(url, headers={"Authorization": KEPT.setdefault("secret", f"Bearer {ctx.secret('KEY')}")}).text

@wit.message("two")
async def two(urls: list[str], ctx) -> list[str]:
    client = KEPT.setdefault("later", ctx.http)
    return [answer.text for answer in await asyncio.gather(*map(client.get, urls))]

@wit.message("pool")
def pool(url: str, ctx) -> str:
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ctx.http.get, url).result().text
"""


@pytest.mark.parametrize("type", ["kept", "kept later"])
def test_a_client_that_was_kept_belongs_to_the_step_that_uses_it(stub: StubServer, type: str):
    with acting(KEPT, allow=[stub.place]) as clerk:
        for number in range(3):
            assert clerk.tell(type, f"{stub.url}/echo?{number}").startswith('{"method": "GET"')
            assert [entry.path for entry in clerk.journal()] == ["http/0"]
            assert clerk.reply()["url"].endswith(f"?{number}")
        stub.stop()
        assert clerk.verdict().ok


def test_a_client_that_an_actor_of_equal_code_made_asks_under_the_grant_of_who_uses_it(stub: StubServer):
    with acting(KEPT, actors={"clerk": {"allow": [stub.place]}}) as clerk:
        code = (HEAD + KEPT).encode()
        second = clerk.living.run(
            clerk.living.node.create({"wit": b"/code:it:wit", "code/it.py": code, "nonce": b"2"})
        ).id
        # The first step is under way while the other actor uses its client.
        held = clerk.living.send(clerk.id, "two", [f"{stub.url}/hold", f"{stub.url}/cookies"])
        assert stub.came.wait(PATIENCE)
        outcome = clerk.living.ask(second, "kept later", stub.url).outcome
        assert outcome is not None and "NotGranted" in f"{outcome.code}: {outcome.text}", outcome
        stub.go_on.set()
        assert clerk.living.begin_answer(clerk.id, held).result(PATIENCE).outcome is None
        assert len(clerk.journal()) == 2
        assert clerk.verdict().ok


def test_a_marker_that_was_kept_is_named_where_it_is_used(stub: StubServer, tmp_path: Path):
    Secrets(tmp_path).set(Secret(name="KEY", to=(stub.place,), value="sk-0123456789"))
    with acting(KEPT, allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        clerk.tell("kept secret", stub.url)
        text = clerk.fails("kept secret", stub.url)
        assert "StaleSecret" in text and "the secret KEY is of another step" in text
        assert len(stub.seen) == 1


def test_a_thread_of_the_wit_has_the_client_of_its_step(stub: StubServer):
    with acting(KEPT, allow=[stub.place]) as clerk:
        assert clerk.tell("pool", f"{stub.url}/cookies") == "none"
        stub.stop()
        assert clerk.verdict().ok
