"""Whose HTTP call goes next: a node makes a bounded number of calls at once, and so does one actor, and one host takes.

The law: an actor that asks for much, or a host that does not answer, leaves room for the others. A call takes the place of its
actor first, then of its host, then of the node, so that who waits for one of them holds none that others want; each is given
in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from msgspec import Struct

from understudy.capabilities.http_grants import Grants


class _Places(asyncio.Semaphore):
    """The places of one actor, one host, or the node; kept for as long as somebody has one or waits for one."""


class Turn(Struct):
    """A call that waits for its turn, or has it; `waits_for` says what it waits for, None while it has its turn."""

    waits_for: str | None = None


class Turns:
    """The turns of one node. Used on the thread of `HttpThread` alone."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self._places: WeakValueDictionary[str, _Places] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, turn: Turn, *, actor: str, host: str) -> AsyncIterator[None]:
        """Wait for a place of each kind, and hold them."""
        async with AsyncExitStack() as held:
            for key, most, field in (
                (f"actor {actor}", self._grants.concurrent_actor, "concurrent_actor"),
                (f"host {host}", self._grants.concurrent_host, "concurrent_host"),
                ("node", self._grants.concurrent, "concurrent"),
            ):
                turn.waits_for = field
                await held.enter_async_context(self._of(key, most))
            turn.waits_for = None
            yield

    def _of(self, key: str, most: int) -> _Places:
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = _Places(most)
        return places
