"""The capability `effect`: runs plain functions of the host's environment beside the actors.

The law: a function that blocks holds up its own step and nobody else's. What it raises is an answer like its result; only
`Retry` is not, which has the whole step tried again.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import Any, Final

from understudy.actors.effect import EFFECT, Work, result_bytes
from understudy.actors.errors import CallFailed, Retry
from understudy.objects.ids import ActorId

MAX_THREADS: Final = 32  # functions that run at once on the node; the others wait
MAX_RESULT: Final = 16 * 1024 * 1024  # bytes; they are kept for ever
MAX_TEXT: Final = 4096  # characters of what a function raised


class EffectCapability:
    """Runs functions: those that are `async def` on the event loop of who calls, others on threads of their own."""

    takes_aside = True

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0

    @property
    def name(self) -> str:
        """`effect`."""
        return EFFECT

    def stop(self) -> None:
        """Begin nothing new. What runs is not waited for: Python can't stop it."""
        with self._lock:
            for future, _ in self._waiting:
                future.cancel()
            self._waiting.clear()

    async def call(self, request: bytes, *, caller: ActorId, key: str, beside: object = None) -> bytes:
        """What the function returned. Raises CallFailed with the name and the text of what it raised, and Retry."""
        if not isinstance(beside, Work):
            raise CallFailed("BadRequest", "an effect is a function: ctx.effect(function, …)")
        try:
            result = await self._run(beside)
            reply = result_bytes(beside, result)
        except (Retry, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            raise _failed(error) from (error.__cause__ if isinstance(error, CallFailed) else error)
        if len(reply) > MAX_RESULT:
            raise CallFailed("TooLarge", f"the result has {len(reply):,} bytes; at most {MAX_RESULT:,} are kept")
        return reply

    async def _run(self, work: Work) -> Any:
        if work.is_async:
            return await work.run()
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self._submit(partial(context.run, _run_here, work)))

    def _submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Have a thread do the work. Raises RuntimeError if the machine has no thread for it."""
        future: Future[Any] = Future()
        with self._lock:
            if self._threads < MAX_THREADS:
                # Daemons: the interpreter joins those of an executor when it ends, however long they run.
                Thread(target=self._work, name="understudy-effect", daemon=True).start()
                self._threads += 1
            self._waiting.append((future, work))
        return future

    def _work(self) -> None:
        while (job := self._next()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self._waiting:
                self._threads -= 1
                return None
            return self._waiting.popleft()


def _run_here(work: Work) -> Any:
    """On a thread. What leaves it is a CallFailed or a Retry: no future takes a StopIteration, and nobody would hear of it."""
    try:
        return work.run()
    except Retry:
        raise
    except BaseException as error:
        raise _failed(error) from error


def _failed(error: BaseException) -> CallFailed:
    """The answer that an exception is. It names no step: no actor was asked."""
    if isinstance(error, CallFailed):
        return CallFailed(str(error.code), str(error.text)[:MAX_TEXT])
    try:
        text = str(error)
    except Exception as inner:
        text = f"its text can't be had: {type(inner).__name__}"
    return CallFailed(type(error).__name__, text[:MAX_TEXT])
