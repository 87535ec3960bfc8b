"""Orders through a shop whose orders are flows, with SIGKILLs on the way; then the sums, and the verdict.

    python -m examples.take_orders --orders 1000 --kills 5

Exits 0 only if each acknowledged order ended once, what was charged, held and shipped agrees, and every history verifies.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from examples.node_process import UNDERSTUDY, NodeProcess

HERE = Path(__file__).parent
CLIENTS = 16
PATIENCE_SECONDS = 60.0
STOCK = 1_000_000
console = Console()


def main() -> int:
    """Run it; the exit code is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    console.print(f"{given.orders} orders, {given.kills} SIGKILLs, seed {given.seed}")
    chance = random.Random(given.seed)
    orders = [_order(number, chance) for number in range(given.orders)]
    folder = Path(tempfile.mkdtemp(prefix="understudy-orders-"))
    try:
        project = Path(shutil.copytree(HERE / "orders", folder / "orders"))
        _work(project, orders, given.kills, chance)
        node = NodeProcess(project)
        try:
            _settle(node.client, len(orders))
            broken = _check(node.client, orders)
        finally:
            node.stop()
        verdict = subprocess.run([*UNDERSTUDY, "verify", "--all"], cwd=project).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken or verdict else 0


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "id": f"order-{number}",
        "item": chance.choices(["lamp", "chair", "anvil", "unicorn"], [10, 10, 2, 1])[0],
        "count": chance.randint(1, 5),
        "cents": chance.randint(100, 100_000),
        "card": chance.choices(["good", "empty", "silent"], [10, 2, 2])[0],
    }


def _work(project: Path, orders: Sequence[dict[str, Any]], kills: int, chance: random.Random) -> None:
    """Send every order until it is acknowledged, and kill the node now and then."""
    left = list(orders)
    for kill in range(kills + 1):
        node = NodeProcess(project)
        share = len(left) if kill == kills else len(left) // (kills + 1 - kill)
        dies_after = None if kill == kills else max(1, share - chance.randint(0, share // 4))
        done = _send_all(node, left if dies_after is None else left[:share], dies_after)
        left = [order for order in left if order["id"] not in done]
        if dies_after is None:
            node.stop()
        else:
            # Some flows wait for answers, some for timers, some orders are on their way.
            time.sleep(chance.random() * 0.3)
            node.kill()
            console.print(f"[bold red]SIGKILL[/] with {len(orders) - len(left)} orders acknowledged")
    assert not left, left


def _send_all(node: NodeProcess, orders: Sequence[dict[str, Any]], dies_after: int | None) -> set[str]:
    done: set[str] = set()
    lock = threading.Lock()

    def one(order: dict[str, Any]) -> None:
        if dies_after is not None and len(done) >= dies_after:
            return
        headers = {"Message-Type": "Order", "Idempotency-Key": order["id"]}
        node.client.post("/actors/shop/messages", json=order, headers=headers).raise_for_status()
        with lock:
            done.add(order["id"])

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, orders))
    return done


def _settle(client: httpx.Client, count: int) -> None:
    """Wait until no flow is under way."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (ended := _ask(client, "shop", "summary")["ended"]) < count:
        if time.monotonic() > until:
            raise SystemExit(f"only {ended} of {count} orders ended in {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)


def _check(client: httpx.Client, orders: Sequence[dict[str, Any]]) -> list[str]:
    shop, stock = _ask(client, "shop", "summary"), _ask(client, "inventory", "counts")
    paid, sent = _ask(client, "payment", "total"), _ask(client, "shipping", "totals")
    console.print(shop)
    goods = [one for one in orders if one["item"] in ("lamp", "chair") and one["card"] == "good"]
    rules = {
        "each order ended once": (shop["ended"], shop["twice"]) == (len(orders), 0),
        "what could be shipped was shipped, once": (sent["orders"], sent["twice"]) == (shop["shipped"], 0),
        "only orders with a good card and goods that can be sent": shop["shipped"] <= len(goods),
        "what is held is what was shipped": (stock["held"], stock["orders"]) == (sent["sent"], sent["orders"]),
        "and all else is free": stock["held"] + stock["free"] == STOCK,
        "only shipped orders were charged": paid["orders"] == sent["orders"],
        "no flow is left": not client.get("/actors/shop/core/flows").raise_for_status().json()["entries"],
    }
    for rule, holds in rules.items():
        console.print(("[green]holds[/]  " if holds else "[red]broken[/] ") + rule)
    return [rule for rule, holds in rules.items() if not holds]


def _ask(client: httpx.Client, actor: str, query: str) -> dict[str, int]:
    answer: dict[str, int] = client.get(f"/actors/{actor}/query/{query}").raise_for_status().json()
    return answer


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_STORE", None)
    sys.exit(main())
