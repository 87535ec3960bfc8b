"""Wits that a test can hold up and let go, and a backend whose commits it can."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

from understudy import Context, Message, Refusal, Retry, Wit
from understudy.objects.ids import Id
from understudy.store.errors import StoreFull
from understudy.store.memory import MemoryBackend
from understudy.store.port import Backend, Receipt, Unit

WIT = "external:tests.node.stage:wit"
PATIENCE = 120.0  # how long anything waits before a test has failed; a machine that does other work too is slow


class Gates:
    """Places in wits where a test waits for them, and they for the test."""

    def __init__(self) -> None:
        self._entered: dict[str, threading.Event] = {}
        self._open: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def pass_through(self, name: str) -> None:
        """In a wit: say that it is here, and wait until the gate is open."""
        self._event(self._entered, name).set()
        assert self._event(self._open, name).wait(PATIENCE), f"nobody opened {name}"

    def arrive_at(self, name: str) -> None:
        """In a wit: say that it is here."""
        self._event(self._entered, name).set()

    def spin_through(self, name: str) -> None:
        """The same for a wit that computes without a pause."""
        self._event(self._entered, name).set()
        opened, until = self._event(self._open, name), time.monotonic() + PATIENCE
        while not opened.is_set():
            assert time.monotonic() < until, f"nobody opened {name}"

    async def wait_through(self, name: str) -> None:
        """The same for an asynchronous wit, which lets its event loop go on."""
        self._event(self._entered, name).set()
        assert await asyncio.to_thread(self._event(self._open, name).wait, PATIENCE), f"nobody opened {name}"

    def wait_for(self, name: str) -> None:
        """In a test: wait until a wit is here."""
        assert self._event(self._entered, name).wait(PATIENCE), f"nobody came to {name}"

    def open(self, name: str) -> None:
        """In a test: let the wit go on, now or when it comes."""
        self._event(self._open, name).set()

    def _event(self, events: dict[str, threading.Event], name: str) -> threading.Event:
        with self._lock:
            return events.setdefault(name, threading.Event())


gates = Gates()
troubles: dict[str, int] = {}  # how often the world still fails, by name

wit = Wit()


@wit.message("add")
def add(number: int, state: dict, message: Message) -> None:
    state.setdefault(f"{message.lane}/{message.sender}", []).append(number)


@wit.message("error")
def error(trouble: dict, state: dict) -> None:
    state.setdefault("errors", []).append(trouble)


@wit.message("ask")
def ask(number: int, state: dict) -> int:
    state["asked"] = state.get("asked", 0) + 1
    return number


@wit.message("fail")
def fail(number: int, state: dict, ctx: Context) -> None:
    state["failed"] = number
    ctx.send(ctx.message.sender, number, type="add")
    raise ValueError("as it was told")


@wit.message("refuse")
def refuse(number: int, state: dict) -> None:
    state["refused"] = number
    raise Refusal("No", "as it was told")


@wit.message("hold")
def hold(name: str, state: dict) -> None:
    gates.pass_through(name)
    state.setdefault("held", []).append(name)


@wit.message("sleep")
def sleep(milliseconds: float, state: dict) -> None:
    time.sleep(milliseconds / 1000)
    state["slept"] = state.get("slept", 0) + 1


@wit.message("spin")
def spin(name: str, state: dict) -> None:
    gates.spin_through(name)
    state["spun"] = name


@wit.message("wait")
async def wait(name: str, state: dict) -> None:
    await gates.wait_through(name)
    state["waited"] = name


@wit.message("stumble")
def stumble(name: str, state: dict) -> None:
    if troubles.get(name, 0) > 0:
        troubles[name] -= 1
        raise Retry(f"{name} is not there")
    state.setdefault("stumbled", []).append(name)


@wit.message("send")
def send(order: dict, ctx: Context) -> None:
    for number in order["numbers"]:
        ctx.send(order["to"], number, type=order.get("type", "add"), lane=order.get("lane", "queue"))


@wit.message("spawn")
def spawn(order: dict, ctx: Context) -> str:
    child = ctx.spawn({"wit": WIT}, nonce=order["nonce"])
    for number in order["numbers"]:
        ctx.send(child, number, type="add")
    return str(child)


@wit.message("renew")
def renew(order: dict, ctx: Context) -> None:
    ctx.update(order["to"], order["files"])


@wit.message("measure")
def measure(number: int, ctx: Context) -> None:
    ctx.reply({"time": ctx.time_us, "seed": ctx.given.seed})


@wit.message("call")
async def call(name: str, ctx: Context) -> str:
    return (await ctx.given.calls.call(name, b"")).decode()


@wit.genesis
def genesis(ctx: Context) -> None:
    name = ctx.core.get("gate")
    if name is not None:
        gates.pass_through(name.decode())


def everything(backend: Backend) -> list[tuple[bytes, bytes | None]]:
    """All blocks, refs and rows of a store."""
    blocks = [(bytes(id), backend.get([id])[0]) for id in backend.ids()]
    return [*blocks, *backend.refs(b""), *backend.rows(b"")]


class ClogStore:
    """A backend whose commits wait while it is clogged, and fail once it is full. Counts what it committed."""

    def __init__(self, inner: Backend | None = None) -> None:
        self.inner = inner or MemoryBackend()
        self.full = False
        self.commits: list[int] = []
        self.clogged = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def clog(self) -> None:
        """Let the next commit wait."""
        self.clogged.clear()
        self._free.clear()

    def wait_until_clogged(self) -> None:
        """Wait until a commit waits."""
        assert self.clogged.wait(PATIENCE), "nobody commits"

    def unclog(self) -> None:
        """Let all commits go on."""
        self._free.set()

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return self.inner.get(ids)

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        if not self._free.is_set():
            self.clogged.set()
            assert self._free.wait(PATIENCE), "nobody unclogged the store"
        if self.full:
            raise StoreFull("no room")
        self.commits.append(len(units))
        return self.inner.commit(units)

    def ref(self, name: bytes) -> bytes | None:
        return self.inner.ref(name)

    def row(self, key: bytes) -> bytes | None:
        return self.inner.row(key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self.inner.refs(prefix, start)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self.inner.rows(prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        return self.inner.ids()

    def now(self) -> int:
        return self.inner.now()

    def close(self) -> None:
        """The inner store stays open, for the node that comes after."""
