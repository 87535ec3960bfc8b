"""The capability `effect`: runs plain functions of the host's environment beside the actors.

The law: a function that blocks holds up its own step and nobody else's. What it raises is an answer like its result; only
`Retry` is not, which has the whole step tried again.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
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
        self._threads: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        """`effect`."""
        return EFFECT

    def stop(self) -> None:
        """Begin nothing new. What runs is not waited for: Python can't stop it."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)

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
        return await asyncio.get_running_loop().run_in_executor(self._executor(), context.run, _run_here, work)

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MAX_THREADS, "understudy-effect")
            return self._threads


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
