"""Following: the steps of a node in the order in which they became durable.

The law: a reader never loses an event, however slow it is, because it reads the store and is only woken from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Final

from msgspec import Struct

from understudy.node.looking.lookup import Lookup
from understudy.objects.ids import ActorId, Id, StepId
from understudy.store.keys import FEED, feed_row, height_row, heights_of
from understudy.store.port import Backend
from understudy.store.reader import Reader

_WOKEN: Final = 32  # readers woken at once; each costs a look into the store, so some milliseconds together
_CHUNK: Final = 256  # events read at once, so that a reader far behind holds no iterator open for long

_Sleeper = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class Event(Struct, frozen=True, kw_only=True):
    """A durable step. `number` counts the node's feed, or the actor's heights where one actor is followed."""

    number: int
    step: StepId
    actor: ActorId
    height: int


class Feed:
    """Wakes readers. One per node; readers on any event loop."""

    def __init__(self, backend: Backend, reader: Reader, lookup: Lookup) -> None:
        self._backend = backend
        self._reader = reader
        self._lookup = lookup
        # By whom they follow, None for everybody: a thousand readers of an idle actor cost its neighbours nothing.
        self._sleepers: dict[ActorId | None, set[_Sleeper]] = {}
        self._lock = threading.Lock()

    def wake(self, actors: Iterable[ActorId]) -> None:
        """New steps of these actors are durable. From any thread; costs nothing when nobody follows."""
        if not self._sleepers:
            return
        with self._lock:
            sleepers = [sleeper for actor in {None, *actors} for sleeper in self._sleepers.pop(actor, ())]
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        for loop, event in sleepers:
            by_loop.setdefault(loop, []).append(event)
        for loop, events in by_loop.items():
            # A loop that was closed meanwhile has no reader.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_set_all, events)

    async def follow(self, *, actor: ActorId | None, after: int | None) -> AsyncIterator[Event]:
        """Events behind the number `after` (None: from now on), then new ones as they come, for ever."""
        at = self._newest(actor) if after is None else after
        while True:
            event = asyncio.Event()
            sleeper = (asyncio.get_running_loop(), event)
            # Registered before the look: a step that becomes durable in between sets the event.
            with self._lock:
                self._sleepers.setdefault(actor, set()).add(sleeper)
            try:
                found = self._read(actor, at)
                for each in found:
                    at = each.number
                    yield each
                if not found:
                    await event.wait()
            finally:
                self._forget(actor, sleeper)

    def _forget(self, actor: ActorId | None, sleeper: _Sleeper) -> None:
        with self._lock:
            others = self._sleepers.get(actor, set())
            others.discard(sleeper)
            if not others:
                self._sleepers.pop(actor, None)

    def _newest(self, actor: ActorId | None) -> int:
        return self._lookup.newest_feed_number() if actor is None else self._lookup.actor(actor).height

    def _read(self, actor: ActorId | None, after: int) -> list[Event]:
        prefix = FEED if actor is None else heights_of(actor)
        start = feed_row(after + 1) if actor is None else height_row(actor, after + 1)
        found: list[Event] = []
        for key, value in self._backend.rows(prefix, start):
            if len(found) == _CHUNK:
                break
            step = self._reader.step(value)
            number = int.from_bytes(key[-8:], "big")
            found.append(Event(number=number, step=StepId(Id(value)), actor=step.actor, height=step.height))
        return found


def _set_all(events: list[asyncio.Event]) -> None:
    """Wake readers a few at a time: who else waits for the event loop gets a turn between them."""
    for event in events[-_WOKEN:]:
        event.set()
    del events[-_WOKEN:]
    if events:
        asyncio.get_running_loop().call_soon(_set_all, events)
