"""What a serving node prints about messages that failed: one line each, up to a bound per second."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from understudy.cli.screen import print_notice, remark
from understudy.node.node import Node
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.objects.wording import counted
from understudy.store.errors import StoreError

MAX_LINES: Final = 10  # in one look; what is over is counted
PAUSE_SECONDS: Final = 1.0
_MAX_TEXT: Final = 200  # characters of an error's first line
_BACKTRACE: Final = "error while executing at wasm backtrace"  # how wasmtime begins
_CAUSE: Final = "Caused by:\n"


class Failure(Struct, frozen=True, kw_only=True):
    """A message that failed, was refused or was cut off."""

    actor: str
    type: str
    outcome: str
    code: str
    text: str
    step: str
    height: int


class Failures:
    """Collects what went wrong, and has it told. `note` is called by the node, whatever its thread."""

    def __init__(self, node: Node, tell: Callable[[list[Failure], int], None]) -> None:
        self._node = node
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: list[tuple[StepId, Step]] = []
        self._more = 0
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    def note(self, id: StepId, step: Step) -> None:
        """A durable step whose outcome is not ok. Quick: steps wait for it."""
        with self._lock:
            if len(self._waiting) < MAX_LINES:
                self._waiting.append((id, step))
            else:
                self._more += 1
        self._loop.call_soon_threadsafe(self._came.set)

    async def follow(self) -> None:
        """Have told what comes, until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            with self._lock:
                found, more, self._waiting, self._more = self._waiting, self._more, [], 0
            # A stopped terminal blocks this thread, and not the node.
            await asyncio.to_thread(self._tell, [self._failure(id, step) for id, step in found], more)
            await asyncio.sleep(PAUSE_SECONDS)

    def _failure(self, id: StepId, step: Step) -> Failure:
        assert step.outcome is not None
        actor = ActorId(step.actor)
        try:
            type = self._node.message(step.consumed[0]).type if step.consumed else ""
        except StoreError:
            # The failure has to be told all the same, and those after it.
            type = "(a message that can't be read)"
        return Failure(
            actor=self._node.name_of(actor) or str(actor),
            type=type,
            outcome=step.outcome.kind,
            code=step.outcome.code,
            text=first_line(step.outcome.text),
            step=str(id),
            height=step.height,
        )


def first_line(text: str) -> str:
    """What went wrong, in a line; of a component what trapped, which comes after the functions it was in."""
    if text.startswith(_BACKTRACE):
        text = text.rpartition(_CAUSE)[2].lstrip()
    return text.partition("\n")[0][:_MAX_TEXT]


@asynccontextmanager
async def failures_told(node: Node, *, as_json: bool) -> AsyncIterator[None]:
    """Until the end of the block, what goes wrong on a living node is told on standard error."""
    failures = Failures(node, _print if as_json else _show)
    node.watch_failures(failures.note)
    following = asyncio.create_task(failures.follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


def _show(found: list[Failure], more: int) -> None:
    for one in found:
        where = f"understudy log {one.actor} --before {one.height + 1} -n 1"
        remark(f"{one.actor}: {one.type} {one.outcome}: {one.code}: {one.text}  ({where})", style="red")
    if more:
        remark(f"… and {counted(more, 'more message')} that went wrong", style="red")


def _print(found: list[Failure], more: int) -> None:
    for one in found:
        print_notice({"failed": one})
    if more:
        print_notice({"more_failed": more})
