"""The event loop that asynchronous wits run on, in a thread of its own: a wit that computes there holds up neither steps nor the web."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from understudy.actors.contract import StepResult

STOP_SECONDS: Final = 5.0

OnDone = Callable[[StepResult | Exception], None]


class AsyncWits:
    """Runs awaitables until they are done, and says so on the loop's thread."""

    def __init__(self) -> None:
        # Made by `start`: a node that only looks has no use for a loop, and one that is never closed complains at exit.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="understudy-async-wits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel what still runs: its messages were not consumed and are found again at the next start.

        A wit that computes or will not be cancelled is left behind after STOP_SECONDS.
        """
        if self._loop is None or self._thread is None:
            return
        cancelled = asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop)
        try:
            cancelled.result(timeout=STOP_SECONDS)
        except TimeoutError:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, awaitable: Awaitable[StepResult], *, seconds: float | None, done: OnDone) -> None:
        """Await it; `done` gets its result, or the exception (TimeoutError after `seconds`). From any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin, awaitable, seconds, done)

    def _begin(self, awaitable: Awaitable[StepResult], seconds: float | None, done: OnDone) -> None:
        task = asyncio.get_running_loop().create_task(_drive(awaitable, seconds, done))
        # The loop holds its tasks weakly: without this one could be collected while it waits.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drive(awaitable: Awaitable[StepResult], seconds: float | None, done: OnDone) -> None:
    try:
        result: StepResult | Exception = await asyncio.wait_for(_as_coroutine(awaitable), seconds)
    except Exception as error:
        result = error
    done(result)


async def _as_coroutine(awaitable: Awaitable[StepResult]) -> StepResult:
    return await awaitable
