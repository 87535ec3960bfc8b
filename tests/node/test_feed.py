"""Readers of events: many of them, and who else waits for the event loop."""

from __future__ import annotations

import asyncio
import itertools

from understudy.node.looking import feed


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
