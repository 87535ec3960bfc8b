"""The demo: a ledger of a dozen owners works through a file of transfers, loses its node to SIGKILL on the way, and is judged.

Run by `make demo`. Exits 0 only if no acknowledged transfer was lost or applied twice, no rule was broken, and every
history verifies.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.node_process import UNDERSTUDY, NodeProcess

HERE = Path(__file__).parent
CLIENTS = 16
Order = dict[str, str]

console = Console()


def main() -> int:
    """Run the demo; the exit code is the verdict."""
    with (HERE / "ledger" / "transactions.csv").open() as file:
        orders = list(csv.DictReader(file))
    with _project() as project:
        acknowledged = _work(project, orders)
        node = NodeProcess(project)
        try:
            problems = _check(node.client, acknowledged) + _visit(node.client)
        finally:
            node.stop()
        console.rule("[bold]4. The verdict")
        console.print("Every step of every history is run again in fresh processes, and compared.")
        verdict = subprocess.run([*UNDERSTUDY, "verify", "--all"], cwd=project).returncode
        problems += _lie(project)
        problems += _count(project.parent)
    for problem in problems:
        console.print(f"[red]broken:[/] {problem}")
    console.print(
        "[green]The ledger holds, and can prove it.[/]" if not problems and not verdict else "[red]Not good.[/]"
    )
    return 1 if problems or verdict else 0


@contextmanager
def _project() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    try:
        yield Path(shutil.copytree(HERE / "ledger", folder / "ledger"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(project: Path, orders: list[Order]) -> dict[str, Order]:
    """Send every order, with a SIGKILL half-way; returns the acknowledged ones by their reference."""
    console.rule("[bold]1. A ledger goes to work")
    accounts = [order for order in orders if order["kind"] == "open"]
    moves = [order for order in orders if order["kind"] != "open"]
    acknowledged: dict[str, Order] = {}
    node = NodeProcess(project)
    for order in accounts:
        _send(node.client, order)
    console.print(
        f"{len(accounts)} account actors opened by the bank actor; {len(moves)} orders from transactions.csv follow."
    )
    with _progress() as progress:
        task = progress.add_task("orders acknowledged", total=len(moves))
        half = len(moves) // 2
        _send_all(node, moves[:half], acknowledged, lambda: progress.advance(task), kill_after=half * 2 // 3)
        progress.console.print(
            f"[bold red]SIGKILL[/] to node {node.pid} with orders under way; "
            f"{len(acknowledged)} were acknowledged. Starting again on the same store."
        )
        node = NodeProcess(project)
        rest = [order for order in moves if order["ref"] not in acknowledged]
        _send_all(node, rest, acknowledged, lambda: progress.advance(task))
    _settle(node.client)
    node.stop()
    return acknowledged


def _send_all(
    node: NodeProcess, orders: list[Order], acknowledged: dict[str, Order], advance: Any, kill_after: int = -1
) -> None:
    def one(order: Order) -> None:
        try:
            _send(node.client, order)
        except httpx.TransportError:
            return  # The node is gone. Not acknowledged, so it is sent again, with the same idempotency key.
        acknowledged[order["ref"]] = order
        advance()
        if len(acknowledged) == kill_after:
            node.kill()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, orders))


def _send(client: httpx.Client, order: Order) -> None:
    kind = order["kind"]
    body: dict[str, Any]
    if kind == "open":
        body = {"owner": order["source"]}
    elif kind == "deposit":
        body = {"owner": order["target"], "cents": int(order["cents"]), "ref": order["ref"]}
    else:
        body = {"source": order["source"], "target": order["target"], "cents": int(order["cents"]), "ref": order["ref"]}
    headers = {"Message-Type": kind, "Idempotency-Key": order["ref"] or f"open-{order['source']}"}
    answer = client.post("/actors/bank/messages", json=body, headers=headers)
    if answer.status_code != 200:
        raise SystemExit(f"{kind} {order['ref']}: {answer.status_code} {answer.text}")


def _settle(client: httpx.Client) -> None:
    """Wait until no order is under way: what the killed node left unfinished is finished by the new one."""
    while _state(client, "bank")["under_way"]:
        time.sleep(0.1)


def _check(client: httpx.Client, acknowledged: dict[str, Order]) -> list[str]:
    console.rule("[bold]2. The books")
    bank = _state(client, "bank")
    accounts = {owner: _state(client, actor) for owner, actor in bank["accounts"].items()}
    table = Table("owner", "entries", "balance", title=f"after {len(acknowledged)} orders")
    for owner, account in sorted(accounts.items()):
        table.add_row(owner, str(account["entries"]), f"{account['balance_cents'] / 100:,.2f}")
    console.print(table)
    console.print(f"settled {bank['settled']}, declined for want of money {bank['declined']}")
    deposited = sum(int(order["cents"]) for order in acknowledged.values() if order["kind"] == "deposit")
    held = sum(account["balance_cents"] for account in accounts.values())
    rules = {
        "each acknowledged order ended exactly once": bank["settled"] + bank["declined"] == len(acknowledged),
        "no money was made or lost": held == deposited,
        "the bank's book says the same": bank["deposited_cents"] == deposited,
        "no account is overdrawn": all(a["balance_cents"] >= 0 for a in accounts.values()),
        "the bank, when asked, asks its accounts and says the same": _held_cents(client) == held,
        "its audit page says that the sums agree": "the sums agree" in _page(client, "/actors/bank/query/audit"),
    }
    return _broken(rules)


def _visit(client: httpx.Client) -> list[str]:
    """A web application in one actor: guests sign by messages, and its page is a query."""
    console.rule("[bold]3. A guest book")
    book = HERE / "guestbook" / "guestbook"
    files = {path.relative_to(book).as_posix(): path.read_text() for path in book.rglob("*.*") if path.is_file()}
    core = {"wit": (book / "wit").read_text(), **files}
    empty = client.post("/actors", json={"name": "guestbook", "core": core}).raise_for_status().json()["head"]
    for name, text in (("Ada", "It computes."), ("Eve", "<script>alert('gotcha')</script>")):
        client.post("/actors/guestbook/messages/sign", json={"name": name, "text": text}).raise_for_status()
    console.print(f"Its page is at {client.base_url}/actors/guestbook/query/page while the node runs.")
    page, before = _page(client, "/actors/guestbook/query/page"), _page(client, f"/steps/{empty}/query/page")
    rules = {
        "the page shows what guests wrote": "It computes." in page,
        "and as text, whatever it looks like": "<script>alert" not in page and "&lt;script&gt;alert" in page,
        "as it was before, nobody has been there": "Nobody has been here yet." in before,
    }
    return _broken(rules)


def _broken(rules: dict[str, bool]) -> list[str]:
    for rule, holds in rules.items():
        console.print(("[green]holds[/]  " if holds else "[red]broken[/] ") + rule)
    return [rule for rule, holds in rules.items() if not holds]


def _held_cents(client: httpx.Client) -> int:
    cents: int = client.get("/actors/bank/query/totals").raise_for_status().json()["held_cents"]
    return cents


def _page(client: httpx.Client, path: str) -> str:
    return client.get(path).raise_for_status().text


def _lie(project: Path) -> list[str]:
    """Export the bank's history, change one digit in the file, and see whether anybody notices."""
    console.rule("[bold]5. And if somebody lies")
    honest, forged = project / "bank.car", project / "forged.car"
    # Its advice where to check the file would name one that the demo takes away.
    subprocess.run([*UNDERSTUDY, "export", "bank", "-o", honest], cwd=project, check=True, capture_output=True)
    console.print("The bank's history went into a file, which anybody can judge without the store:")
    believed = subprocess.run([*UNDERSTUDY, "verify", honest], cwd=project.parent).returncode == 0
    data = honest.read_bytes()
    place = data.rindex(b'"deposited_cents":') + len(b'"deposited_cents":')
    forged.write_bytes(data[:place] + (b"1" if data[place : place + 1] != b"1" else b"2") + data[place + 1 :])
    console.print("One digit of its books is changed in a copy of the file:")
    caught = subprocess.run([*UNDERSTUDY, "verify", forged], cwd=project.parent).returncode == 1
    rules = {"an honest file verifies": believed, "a forged one is caught": caught}
    return [rule for rule, holds in rules.items() if not holds]


def _count(folder: Path) -> list[str]:
    """A component, compiled from C: messages, a refusal, SIGKILL, and the chain goes on."""
    console.rule("[bold]6. An actor that is a WebAssembly component")
    component = str(HERE / "wasm" / "counter.wasm")
    node = NodeProcess(folder, "run", component)
    for amount in (2, 40):
        console.print(f'POST {{"add": {amount}}}', node.client.post("/", json={"add": amount}).json()["state"])
    refused = node.client.post("/", json={"add": "much"})
    console.print('POST {"add": "much"}', refused.status_code, refused.json()["code"])
    node.kill()
    console.print("[bold red]SIGKILL[/], and the same command again.")
    node = NodeProcess(folder, "run", component)
    state = node.client.post("/", json={"add": 0}).json()["state"]
    console.print('POST {"add": 0}', state)
    node.stop()
    verified = subprocess.run([*UNDERSTUDY, "verify", "--all"], cwd=folder).returncode == 0
    rules = {
        "a contract refuses what is no number": refused.status_code == 422,
        "a component goes on where it was killed": state == {"count": 42},
        "its history verifies": verified,
    }
    return [rule for rule, holds in rules.items() if not holds]


def _state(client: httpx.Client, actor: str) -> dict[str, Any]:
    about = client.get(f"/actors/{actor}").raise_for_status().json()
    state: dict[str, Any] = client.get(f"/steps/{about['head']}/core/state").raise_for_status().json()
    return state


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_STORE", None)
    sys.exit(main())
