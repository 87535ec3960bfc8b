"""The capability `effect`: runs plain functions of the host's environment beside the actors.

The law: a function that blocks holds up its own step and nobody else's, and its own no longer than an operator allows. What it
raises is an answer like its result; only `Retry` is not, which has the whole step tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from msgspec import Struct

from understudy.actors.author_errors import code_and_text, is_a, name_of, storable, whole_text
from understudy.actors.effect import EFFECT, Work, result_bytes
from understudy.actors.errors import CallFailed, Retry
from understudy.capabilities.effect_threads import EffectThreads, Job
from understudy.objects.ids import ActorId

MAX_RESULT: Final = 16 * 1024 * 1024  # bytes; they are kept for ever
MAX_TEXT: Final = 4096  # characters of what a function raised
SECONDS: Final = (
    600.0  # for one function: a report or a conversion may well take minutes, what hangs would take for ever
)
MAX_SECONDS: Final = 86_400.0
TIMEOUT: Final = "EffectTimeout"

_log = logging.getLogger("understudy.slow")


class BadEffects(ValueError):
    """Bounds of effects that can't be."""


class EffectPart(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[capabilities.effect]`: how long a function may take."""

    seconds: float = SECONDS

    def check(self) -> None:
        """Raise BadEffects for a bound that can't be."""
        if not 0.001 <= self.seconds <= MAX_SECONDS:
            raise BadEffects(f"capabilities.effect: seconds is 0.001 to {MAX_SECONDS:,.0f}, not {self.seconds:,}")


class EffectCapability:
    """Runs functions: those that are `async def` on the event loop of who calls, others on threads of their own."""

    takes_aside = True

    def __init__(self, part: EffectPart) -> None:
        """Raises BadEffects."""
        part.check()
        self._seconds = part.seconds
        self._threads = EffectThreads()

    @property
    def name(self) -> str:
        """`effect`."""
        return EFFECT

    def stop(self) -> None:
        """Begin nothing new. What runs is not waited for: Python can't stop it."""
        self._threads.stop()

    async def call(self, request: bytes, *, caller: ActorId, key: str, beside: object = None) -> bytes:
        """What the function returned. Raises CallFailed with the name and the text of what it raised, or EffectTimeout; Retry."""
        if not isinstance(beside, Work):
            raise CallFailed("BadRequest", "an effect is a function: ctx.effect(function, …)")
        try:
            result = await (self._await(beside) if beside.is_async else self._run(beside, caller))
            reply = result_bytes(beside, result)
        except (Retry, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            raise _failed(error) from (error.__cause__ if isinstance(error, CallFailed) else error)
        if len(reply) > MAX_RESULT:
            raise CallFailed("TooLarge", f"the result has {len(reply):,} bytes; at most {MAX_RESULT:,} are kept")
        return reply

    async def _await(self, work: Work) -> Any:
        # A task of its own: a function that goes on although it is cancelled holds its step up no longer.
        task = asyncio.ensure_future(_await_here(work))
        try:
            await asyncio.wait({task}, timeout=self._seconds)
        finally:
            task.cancel()
        if not task.done():
            raise self._too_late(work, "it was cancelled")
        return task.result()

    async def _run(self, work: Work, caller: ActorId) -> Any:
        job = self._threads.submit(lambda: _run_here(work))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.future), self._seconds)
        except TimeoutError:
            if job.future.done() and not job.future.cancelled():
                # It is the function's own, or it came at the last moment.
                return job.future.result()
        raise self._given_up(job, work, caller)

    def _given_up(self, job: Job, work: Work, caller: ActorId) -> CallFailed:
        where = self._threads.give_up(job)
        if where is None:
            return self._too_late(work, "it was not begun, as all threads for such functions are busy")
        _log.warning(
            "actor %s: %s, run by ctx.effect, takes more than %g s on the thread %s, now at %s; its step goes on without it",
            *(caller, work.name, self._seconds, job.thread, where),
        )
        return self._too_late(work, f"it goes on on the thread {job.thread}, and what it gives is dropped")

    def _too_late(self, work: Work, then: str) -> CallFailed:
        return CallFailed(
            TIMEOUT,
            f"{work.name} gave no result within {self._seconds:g} s; [capabilities.effect] seconds says how long it may take. "
            f"Whether it did its work is not known: {then}",
        )


async def _await_here(work: Work) -> Any:
    """As `_run_here`: what ends an interpreter would end the event loop, if it left a task."""
    try:
        return await work.run()
    except (Retry, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        raise _failed(error) from error


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
    if is_a(error, CallFailed):
        code, text = code_and_text(error)
    else:
        code, text = storable(name_of(error)) or "Failed", storable(whole_text(error))
    return CallFailed(code, text[:MAX_TEXT])
