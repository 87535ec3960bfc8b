"""A serving node under load is killed again and again: nothing acknowledged is lost, nothing is applied twice."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.loaded_command import LOADED, Running
from tests.node.living import Living
from understudy.objects.ids import ActorId
from understudy.objects.names import actor_of
from understudy.store.fsck import fsck
from understudy.store.open import open_store

ROUNDS = int(os.environ.get("UNDERSTUDY_CRASH_ROUNDS", "12"))
SENDERS = 6
PATIENCE = 240.0  # a machine that does other work too

# Remembers the numbers of each sender, passes each on to the next actor, and makes an actor now and then.
NOTARY = """
from understudy import Context, Wit

wit = Wit()

@wit.message("note")
def note(order: dict, state: dict, ctx: Context) -> int:
    state.setdefault(order["sender"], []).append(order["number"])
    following = ctx.core.get("next")
    if following is not None:
        ctx.send(following.decode(), order, type="note")
        ctx.send(following.decode(), order, type="count", lane="signal")
    clock = ctx.core.get("clock")
    if clock is not None and order["number"] % 5 == 0:
        ctx.send(clock.decode(), order, type="later")
    if order["number"] % 10 == 0:
        child = ctx.spawn("child", nonce=f"{ctx.actor_id} {order['sender']} {order['number']}")
        ctx.send(child, order, type="count")
    return order["number"]

@wit.message("count")
def count(order: dict, state: dict) -> None:
    state["count"] = state.get("count", 0) + 1
"""

# Sets a timer for every order that it is sent, and has one that repeats.
TIMEKEEPER = """
from understudy import Context, Wit

wit = Wit()

@wit.message("later")
def later(order: dict, state: dict, ctx: Context) -> None:
    name = f"{order['sender']}-{order['number']}"
    state.setdefault("set", []).append(name)
    ctx.after(order["number"] % 7 / 20, "rang", name, name=name)

@wit.message("rang")
def rang(name: str, state: dict, ctx: Context) -> None:
    assert ctx.timer.name == name
    state.setdefault("rang", []).append(name)

@wit.message("pulse")
def pulse(state: dict, ctx: Context) -> None:
    state.setdefault("pulse", []).append([ctx.timer.due.isoformat(), ctx.timer.missed])
"""
PULSE = '{"every":0.2,"type":"pulse"}'


class Server:
    """The process that serves a store, and where it listens; a new one after each kill."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.life = 0
        self.over = False
        self._changed = threading.Condition()
        self._address: str | None = None
        self._acknowledged = 0
        self._process: Running | None = None

    def start(self) -> None:
        """Start a process and wait until it listens."""
        command = ["serve", "--listen", "127.0.0.1:0", "--store", f"rocksdb:{self.store}", "--json"]
        with (self.store.parent / "stderr").open("ab") as errors:
            self._process = LOADED.start(command, self.store.parent, os.environ, errors)
        text = b""
        while not text.endswith(b"}\n"):
            line = self._process.stdout.readline()
            assert line, f"the node ended with code {self._process.wait(PATIENCE)} before it listened"
            text += line
        said = json.loads(text)
        with self._changed:
            self.life += 1
            self._acknowledged = 0
            self._address = said["address"]
            self._changed.notify_all()

    def kill(self) -> None:
        """SIGKILL: nothing in the process hears of it."""
        assert self._process is not None
        with self._changed:
            self._address = None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process.close()

    def finish(self) -> None:
        """No more load."""
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def address(self) -> str | None:
        """Where to send; waits while nobody serves. None when it is over."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._address is not None or self.over, PATIENCE)
            return None if self.over else self._address

    def count(self) -> None:
        """A message was acknowledged."""
        with self._changed:
            self._acknowledged += 1
            self._changed.notify_all()

    def wait_for(self, acknowledged: int) -> None:
        """Wait until so many messages were acknowledged in this life."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._acknowledged >= acknowledged, PATIENCE)


class Sender(threading.Thread):
    """Sends numbers one after the other. One that is `sure` sends a number until it is acknowledged, with its key."""

    def __init__(self, server: Server, name: str, actor: str, *, sure: bool, waits: bool) -> None:
        super().__init__(name=name, daemon=True)
        self.server = server
        self.actor = actor
        self.sure = sure
        self.waits = waits
        self.sent: list[int] = []
        self.acknowledged: list[int] = []
        self.problem: str | None = None

    def run(self) -> None:
        number = 0
        while (address := self.server.address()) is not None and self.problem is None:
            if not self.sent or self.sent[-1] != number:
                self.sent.append(number)
            if self._send(address, number):
                self.acknowledged.append(number)
                self.server.count()
                number += 1
            elif not self.sure:
                number += 1

    def _send(self, address: str, number: int) -> bool:
        headers = {"Message-Type": "note"}
        if self.sure:
            headers["Idempotency-Key"] = f"{self.name}-{number}"
        if not self.waits:
            headers["Prefer"] = "respond-async"
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
        try:
            body = json.dumps({"sender": self.name, "number": number})
            connection.request("POST", f"/actors/{self.actor}/messages", body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status != (200 if self.waits else 202):
            self.problem = f"{response.status}: {text}"
        return self.problem is None


def test_a_node_that_is_killed_again_and_again_keeps_its_word(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    store = tmp_path / "store"
    first, second, clock = make_actors(store)
    server = Server(store)
    senders = [
        Sender(server, f"s{number}", str(first), sure=number % 2 == 0, waits=number < SENDERS // 2)
        for number in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    for _ in range(ROUNDS):
        server.start()
        server.wait_for(random.randrange(1, 120))
        server.kill()
    server.finish()
    for sender in senders:
        sender.join(PATIENCE)
        assert sender.problem is None and not sender.is_alive()
    with Living(open_store(f"rocksdb:{store}")) as living:
        come_to_rest(living, first)
        state, passed = living.state(first), living.state(second)
        for sender in senders:
            check(sender, state.get(sender.name, []))
            assert passed.get(sender.name) == state.get(sender.name)
        assert passed["count"] == sum(map(len, state.values()))
        check_timers(living, clock, state)
        children = [actor for actor, _ in living.node.lookup.all_actors() if actor not in (first, second, clock)]
        assert len(children) == 2 * sum(number % 10 == 0 for numbers in state.values() for number in numbers)
        assert {tuple(living.outcomes(child)) for child in children} == {("ok", "ok")}
        verdicts = living.run(living.node.verify())
        assert {(verdict.verdict, verdict.reason) for verdict in verdicts} == {("MATCH", None)}
        assert fsck(living.backend).findings == []


def check_timers(living: Living, clock: ActorId, state: dict[str, list[int]]) -> None:
    """Each timer rang once, and each time of the one that repeats is accounted for."""
    names = sorted(f"{sender}-{number}" for sender, some in state.items() for number in some if number % 5 == 0)
    living.until(lambda: len(living.state(clock).get("rang", ())) >= len(names))
    kept = living.state(clock)
    assert sorted(kept["set"]) == sorted(kept["rang"]) == names
    times = [(datetime.fromisoformat(due), missed) for due, missed in kept["pulse"]]
    for (before, _), (due, missed) in pairwise(times):
        assert due - before == (missed + 1) * timedelta(seconds=0.2)
    # What follows looks at a store that stands still.
    assert living.update(clock, timers__pulse=None) is None
    living.come_to_rest()


def make_actors(store: Path) -> tuple[ActorId, ActorId, ActorId]:
    with Living(open_store(f"rocksdb:{store}")) as living:
        clock = living.create(wit=TIMEKEEPER, timers__pulse=PULSE)
        second = living.create(wit=NOTARY, nonce="second", child__wit=NOTARY)
        first = living.create(wit=NOTARY, nonce="first", next=str(second), clock=str(clock), child__wit=NOTARY)
        return first, actor_of(str(second)), clock


def come_to_rest(living: Living, actor: ActorId) -> None:
    """What the last life left behind is done."""
    living.tell(actor, "note", {"sender": "last", "number": 1})
    living.come_to_rest()


def check(sender: Sender, applied: list[int]) -> None:
    """In order, none twice, all that were acknowledged; and of a sure sender all it sent but perhaps the last."""
    assert applied == sorted(set(applied))
    assert set(sender.acknowledged) <= set(applied) <= set(sender.sent)
    if sender.sure:
        assert applied == list(range(len(applied)))
