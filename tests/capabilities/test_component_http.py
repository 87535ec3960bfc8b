"""The network for components: the same grants, secrets, journal and verdicts as `ctx.http` has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities.stub_server import StubServer
from tests.engines.components import KEEP, actor
from tests.engines.fetching import ASK, DATA, KEPT, WORLDS, fetcher
from tests.node.living import Living
from tests.node.stage import PATIENCE, everything
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.capabilities.secrets import Secret, Secrets
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId
from understudy.objects.journal import Entry, read_journal
from understudy.objects.step import Outcome

VALUE = "sk_live_0123456789"
NAME, KEY = 1027, "(i32.const 1040) (i32.const 3)"
SIGN = f"""
    (call $secret {KEY} (i32.const 192))
    (i32.store (i32.const 256) (i32.const {NAME})) (i32.store (i32.const 260) (i32.const 13))
    (i32.store (i32.const 264) (i32.load (i32.const 192))) (i32.store (i32.const 268) (i32.load (i32.const 196)))"""
PLAIN = fetcher()
SIGNED = actor(SIGN + ASK.format(headers=1) + KEPT, data=DATA, worlds=WORLDS)
CONTRACTED = actor(KEEP, message_contract=f"{ASK.format(headers=0)} (i32.const 1)", data=DATA, worlds=WORLDS)


class Fetcher:
    """A component in a living node, under grants."""

    def __init__(
        self, component: bytes, *allow: str, store_url: str = "memory:", limits: str = "{}", **granted: Any
    ) -> None:
        self.living = Living(http=Grants(HttpPart(allow=list(allow), **granted)), store_url=store_url)
        files = {"runtime": b"wasm", "wit": b"/code:c:handle", "code/c.wasm": component, "state": b"none"}
        made = self.living.run(self.living.node.create({**files, "limits": limits.encode()}, name="fetcher"))
        self.id: ActorId = made.id

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.living.stop()

    def send(self, url: str) -> Outcome | None:
        """Have it ask for a URL; what became of the message."""
        sent = self.living.run(self.living.node.send(self.id, url.encode(), type="message"))
        return self.living.begin_answer(self.id, sent).result(PATIENCE).outcome

    def ask(self, url: str) -> str:
        """The state after that: the body of the response, or the code of the failure."""
        outcome = self.send(url)
        assert outcome is None, outcome
        node = self.living.node
        state = node.reader.find(node.reader.step(node.lookup.newest(self.id)).core, "state")
        assert state is not None
        return node.reader.blob(state).decode()

    def journal(self) -> list[Entry]:
        step = self.living.chain(self.id)[-1]
        return [] if step.journal is None else list(read_journal(self.living.node.reader.node(step.journal)))

    def verdict(self) -> Verdict:
        head = self.living.node.lookup.newest(self.id)
        return verify_targets(self.living.backend, [Target(self.id, head)], processes=1)[0]


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def test_a_response_stands_in_the_journal_and_a_replay_asks_nobody(stub: StubServer):
    with Fetcher(PLAIN, stub.place) as fetcher:
        said = json.loads(fetcher.ask(f"{stub.url}/echo?a=b#part"))
        assert (said["method"], said["path"]) == ("GET", "/echo?a=b")
        assert len(stub.seen[0].headers["idempotency-key"]) == 64
        assert [entry.path for entry in fetcher.journal()] == ["http/0"]
        stub.stop()
        assert fetcher.verdict().ok and len(stub.seen) == 1


def test_what_is_not_granted_or_fails_is_an_answer_to_the_component(stub: StubServer):
    with Fetcher(PLAIN, stub.place, max_response=1_000_000) as fetcher:
        for url, code in (
            ("http://example.com/", "NotGranted"),
            (f"{stub.url}/endless", "TooLarge"),
            (f"{stub.url}/nonsense", "RemoteProtocolError"),
            ("no URL", "UnsupportedProtocol"),
        ):
            assert fetcher.ask(url) == code
        stub.stop()
        assert fetcher.verdict().ok


def test_a_response_that_is_larger_than_a_message_may_be_is_refused(stub: StubServer):
    with Fetcher(PLAIN, stub.place, limits='{"message": 1000}') as fetcher:
        assert fetcher.ask(f"{stub.url}/bytes?times=10") == "TooLarge"
        assert fetcher.verdict().ok


def test_a_secret_is_a_marker_and_only_the_host_gets_the_value(stub: StubServer, tmp_path: Path):
    Secrets(tmp_path).set(Secret(name="KEY", to=(stub.place,), value=VALUE))
    with Fetcher(SIGNED, stub.place, store_url=f"rocksdb:{tmp_path}") as fetcher:
        said = json.loads(fetcher.ask(f"{stub.url}/echo"))
        assert stub.seen[0].headers["authorization"] == VALUE
        assert said["headers"]["authorization"] == "[secret KEY]"
        kept = [part for row in everything(fetcher.living.backend) for part in row if part is not None]
        assert not any(VALUE.encode() in part for part in kept)
        stub.stop()
        assert fetcher.verdict().ok


def test_a_contract_reaches_nothing(stub: StubServer):
    with Fetcher(CONTRACTED, stub.place) as fetcher:
        outcome = fetcher.send(stub.url)
        assert outcome is not None and outcome.code == "NotNow" and "reach nothing" in outcome.text
        assert stub.seen == []
        assert fetcher.verdict().ok
