"""A step that failed after it had asked the world, and is retried: what it asked for has the key of then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities.acting import HEAD, Acting, acting
from tests.capabilities.stub_server import StubServer
from understudy.capabilities.secrets import Secret, Secrets

PAYING = """
@wit.message("pay")
def pay(url: str, ctx) -> str:
    FIRST
    for amount in (1, 2, 2):
        headers = {"Authorization": f"Bearer {ctx.secret('KEY')}"}
        ctx.http.post(url + "/echo", json={"amount": amount}, headers=headers)
    LAST
    return "paid"
"""


def code(first: str = "pass", last: str = "pass") -> str:
    return PAYING.replace("FIRST", first).replace("LAST", last)


def keys(stub: StubServer) -> list[str]:
    found = [seen.headers["idempotency-key"] for seen in stub.seen]
    stub.seen.clear()
    return found


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def retry(clerk: Acting, height: int) -> Any:
    step = clerk.living.node.step_at(clerk.id, height)
    assert step is not None
    _, _, answer = clerk.living.run(clerk.living.node.retry(step))
    assert answer is not None
    return answer.outcome


def test_what_was_paid_before_the_failure_is_paid_with_the_same_key(stub: StubServer, tmp_path: Path) -> None:
    Secrets(tmp_path).set(Secret(name="KEY", to=(stub.place,), value="sk_live_0123"))
    with acting(code(last="1 / 0"), allow=[stub.place], store_url=f"rocksdb:{tmp_path}") as clerk:
        clerk.fails("pay", stub.url)
        then = keys(stub)
        assert len(set(then)) == 3
        assert retry(clerk, 1).code == "ZeroDivisionError"
        assert keys(stub) == then
        # Today's code asks for something else before, and in the end for more.
        first, last = "ctx.http.get(url + '/echo')", "ctx.http.post(url + '/echo', json={'amount': 3}); 1 / 0"
        clerk.living.update(clerk.id, **{"code/it.py": HEAD + code(first, last)})
        assert retry(clerk, 1).code == "ZeroDivisionError"
        other, *same, more = keys(stub)
        assert same == then and len({other, *then, more}) == 5
        clerk.living.update(clerk.id, **{"code/it.py": HEAD + code(last=last.removesuffix("; 1 / 0"))})
        assert retry(clerk, 1) is None
        assert keys(stub) == [*then, more]
        assert clerk.verdict().verdict == "MATCH"
