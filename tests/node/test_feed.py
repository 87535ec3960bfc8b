"""Readers of events: many of them, and who else waits for the event loop."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

import pytest

from tests.node.stage import PATIENCE
from tests.node.troupe import Troupe
from understudy.node.looking import feed
from understudy.node.looking.lookup import Lookup
from understudy.objects.ids import ActorId
from understudy.store.port import Backend


def test_readers_are_woken_a_few_at_a_time_and_all_of_them() -> None:
    """A new connection waits for a few readers, and not for thousands."""
    readers, awake = 20 * feed._WOKEN + 1, 0

    async def read(event: asyncio.Event) -> None:
        nonlocal awake
        await event.wait()
        awake += 1

    async def story() -> list[int]:
        events = [asyncio.Event() for _ in range(readers)]
        tasks = [asyncio.ensure_future(read(event)) for event in events]
        await asyncio.sleep(0)
        feed._set_all(list(events))
        seen = [awake]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            seen.append(awake)
        return seen

    seen = asyncio.run(story())
    assert awake == readers
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2 * feed._WOKEN


class Late:
    """A store in which a step becomes durable while a reader looks for the first time."""

    def __init__(self, troupe: Troupe, actor: ActorId) -> None:
        self._troupe, self._actor = troupe, actor
        self.feed: feed.Feed | None = None

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        found = list(self._troupe.backend.rows(prefix, start, reverse=reverse))
        if self.feed is not None:
            told, self.feed = self.feed, None
            self._troupe.tell(self._actor, "go")
            told.wake([self._actor])
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._troupe.backend, name)


@pytest.mark.parametrize("one", [True, False])
def test_a_step_that_becomes_durable_while_a_reader_looks_is_not_missed(one: bool) -> None:
    troupe = Troupe()
    actor = troupe.create({"wit": "def wit(ctx): pass"})
    late = Late(troupe, actor)
    events = feed.Feed(cast(Backend, late), troupe.reader, Lookup(troupe.backend, troupe.reader))

    async def story() -> int:
        late.feed = events
        newest = 0 if one else 1
        async for event in events.follow(actor=actor if one else None, after=newest):
            return event.height
        raise AssertionError

    assert asyncio.run(asyncio.wait_for(story(), PATIENCE)) == 1
