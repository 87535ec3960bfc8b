"""After any SIGKILL each effect was begun at least once, and recorded exactly once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.capabilities.stub_server import StubServer
from tests.node.stage import PATIENCE
from understudy.judging.verification import Target, verify_targets
from understudy.node.looking.look import Look
from understudy.objects.ids import StepId
from understudy.objects.journal import read_journal
from understudy.objects.step import Step
from understudy.store.open import open_store

ORDERS = 30
KILLS = 4
CODE = """
from understudy import Wit
from tests.capabilities.test_effects_crash import begin
wit = Wit()

@wit.message("order")
def order(asked: dict, state: dict, ctx) -> None:
    done = ctx.effect(begin, asked["number"], asked["begun"])
    said = ctx.http.get(f"{asked['url']}/echo?number={asked['number']}").json()["path"]
    state.setdefault("orders", []).append([asked["number"], done, said])
"""
NODE = f"""
import asyncio, json, sys
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.node.node import Node
from tests.capabilities.test_effects_crash import CODE

async def main(store, url, place, begun):
    node = Node.open(store, http=Grants(HttpPart(allow=[place])))
    await node.start()
    clerk = node.names().get("clerk")
    if clerk is None:
        core = {{"wit": b"/code:it:wit", "code/it.py": CODE.encode(), "policy": b'{{"batch": 1}}'}}
        clerk = (await node.create(core, name="clerk")).id
        orders = [{{"number": number, "url": url, "begun": begun}} for number in range({ORDERS})]
        await asyncio.gather(*(node.send(clerk, json.dumps(order).encode(), type="order") for order in orders))
        print("accepted", flush=True)
    while node.pending(clerk):
        await asyncio.sleep(0.01)
    await node.stop()

asyncio.run(main(*sys.argv[1:]))
"""


def begin(number: int, begun: str) -> str:
    """What the host does; each beginning is a line in a file."""
    with Path(begun).open("a") as file:
        file.write(f"{number}\n")
    return f"did {number}"


def beginnings(begun: Path) -> list[int]:
    """The numbers of the effects that were begun, in that order."""
    return [int(line) for line in begun.read_text().split()] if begun.exists() else []


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def chain(look: Look) -> list[Step]:
    """The steps of the actor, the first one first."""
    head: StepId | None = look.lookup.newest(look.names()["clerk"])
    steps: list[Step] = []
    while head is not None:
        steps.append(look.reader.step(head))
        head = steps[-1].parent
    return steps[::-1]


def test_each_effect_was_begun_at_least_once_and_is_recorded_once(stub: StubServer, tmp_path: Path):
    random = Random(4)
    begun, store = tmp_path / "begun", f"rocksdb:{tmp_path / 'store'}"
    command = [sys.executable, "-c", NODE, store, stub.url, stub.place, str(begun)]
    for life in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
            assert node.stdout is not None
            assert life > 0 or node.stdout.readline() == "accepted\n"
            # Wherever it is when so many more were begun: in the effect, in the request, while it seals or commits. Not in the
            # same step again: what the process ended in twice is held.
            enough = len(beginnings(begun)) + random.randint(3, 6)
            until = time.monotonic() + PATIENCE
            while len(beginnings(begun)) < enough and node.poll() is None:
                assert time.monotonic() < until
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.wait(0.005)
            node.kill()
    subprocess.run(command, check=True, timeout=2 * PATIENCE, stdout=subprocess.DEVNULL)

    backend = open_store(store, read_only=True)
    look = Look(backend)
    steps = chain(look)
    for step in steps[1:]:
        assert step.outcome is None and len(step.consumed) == 1 and step.journal is not None
        assert [entry.path for entry in read_journal(look.reader.node(step.journal))] == ["effect/0", "http/1"]
    state = look.reader.find(steps[-1].core, "state")
    assert state is not None
    orders = json.loads(look.reader.blob(state))["orders"]
    assert sorted(number for number, _, _ in orders) == list(range(ORDERS))
    assert all((done, said) == (f"did {number}", f"/echo?number={number}") for number, done, said in orders)

    assert set(beginnings(begun)) == set(range(ORDERS)) and len(beginnings(begun)) > ORDERS - 1
    keys = defaultdict(set)
    for seen in stub.seen:
        keys[parse_qs(urlsplit(seen.path).query)["number"][0]].add(seen.headers["idempotency-key"])
    assert len(keys) == ORDERS and all(len(each) == 1 for each in keys.values())
    stub.stop()
    before = beginnings(begun)
    assert verify_targets(backend, [Target(steps[-1].actor, look.lookup.newest(steps[-1].actor))], processes=1)[0].ok
    assert beginnings(begun) == before
