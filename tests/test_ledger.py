"""The example ledger, asked: what the bank adds up is what its accounts say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.living import Living
from tests.node.stage import PATIENCE
from understudy import Blob
from understudy.kernel.verdict import MATCH
from understudy.node.errors import QueryRefused
from understudy.objects.ids import ActorId, StepId

BANK = Path(__file__).parents[1] / "examples" / "ledger" / "bank"


@pytest.fixture
def living() -> Iterator[Living]:
    with Living() as living:
        yield living


@pytest.fixture
def bank(living: Living) -> ActorId:
    """A bank with two accounts: Ann has 70, Bob 30."""
    files = [path for path in BANK.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    core = {path.relative_to(BANK).as_posix(): path.read_bytes() for path in files}
    bank = living.run(living.node.create(core)).id
    for owner in ("ann", "bob"):
        living.tell(bank, "open", {"owner": owner})
    living.tell(bank, "deposit", {"owner": "ann", "cents": 100, "ref": "1"})
    living.come_to_rest()
    living.tell(bank, "transfer", {"source": "ann", "target": "bob", "cents": 30, "ref": "2"})
    living.come_to_rest()
    return bank


def ask(living: Living, actor: ActorId, name: str, *, at: StepId | None = None, **arguments: Any) -> Blob:
    """The answer."""
    context = Blob(json.dumps(arguments).encode(), "application/json")
    result = living.run(living.node.query(actor, name, context, at=at, timeout=PATIENCE)).result
    assert isinstance(result, Blob)
    return result


def test_the_bank_adds_up_what_its_accounts_say(living: Living, bank: ActorId) -> None:
    assert [ask(living, bank, "balance", owner=owner).json() for owner in ("ann", "bob")] == [70, 30]
    totals = ask(living, bank, "totals").json()
    assert (totals["accounts"], totals["deposited_cents"], totals["held_cents"]) == (2, 100, 100)
    assert (totals["under_way_cents"], totals["settled"], totals["declined"]) == (0, 2, 0)


def test_an_account_tells_its_history_from_its_own_steps(living: Living, bank: ActorId) -> None:
    account = living.node.resolve(living.state(bank)["accounts"]["ann"])
    lines = ask(living, account, "history").json()
    assert [(line["change_cents"], line["balance_cents"]) for line in lines] == [(-30, 70), (100, 100)]
    assert len(ask(living, account, "history", limit=1).json()) == 1
    step = living.node.step_at(account, lines[1]["height"])
    assert ask(living, account, "balance", at=step).json() == {"owner": "ann", "cents": 100}


def test_the_audit_is_a_page_and_escapes_what_owners_call_themselves(living: Living, bank: ActorId) -> None:
    living.tell(bank, "open", {"owner": "<script>"})
    living.come_to_rest()
    page = ask(living, bank, "audit")
    assert page.media_type == "text/html; charset=utf-8"
    assert "<td>ann</td><td>0.70</td>" in page.text() and "the sums agree" in page.text()
    assert "&lt;script&gt;" in page.text() and "<script>" not in page.text()


def test_an_owner_without_an_account_is_an_error_of_the_bank(living: Living, bank: ActorId) -> None:
    with pytest.raises(QueryRefused, match="NoAccount: eve has no account"):
        ask(living, bank, "balance", owner="eve")


def test_asking_leaves_the_ledger_as_it_can_be_proved(living: Living, bank: ActorId) -> None:
    for name in ("totals", "audit", "wut"):
        ask(living, bank, name)
    assert {verdict.verdict for verdict in living.run(living.node.verify())} == {MATCH}
