"""Queries on a node: an actor asked at its newest durable step or at an earlier one, beside everything that steps.

The law: a query sees durable steps only, waits for no step, and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from understudy.actors.contract import Engine
from understudy.actors.errors import CallFailed, WitError
from understudy.actors.query import BAD_ARGUMENTS, NO_QUERIES, UNKNOWN_QUERY, Blob, Error, QueryRequest, Tree
from understudy.node.asking import QUERY_TIMEOUT, Answered, Asking, too_late
from understudy.node.errors import (
    BadArguments,
    NodeError,
    NoQueries,
    QueryFailed,
    QueryRefused,
    QueryTimeout,
    TooLarge,
    UnknownQuery,
)
from understudy.node.lookup import Lookup
from understudy.node.query_pool import QueryPool
from understudy.objects.ids import ActorId, StepId
from understudy.store.reader import Reader

QUERY_SECONDS: Final = 10.0  # how long an answer may take where nobody says otherwise
MAX_CONTEXT: Final = 16 * 1024 * 1024  # bytes that a query may be asked with


class Queried(Struct, frozen=True, kw_only=True):
    """An answer, and the step that gave it.

    `asked` are the steps of other actors that it also depends on. Without any, the same query at `step` has the same
    answer for ever.
    """

    actor: ActorId
    step: StepId
    height: int
    result: Blob | Tree
    asked: Sequence[StepId] = ()


class Queries:
    """Asks actors. From any event loop."""

    def __init__(
        self,
        lookup: Lookup,
        reader: Reader,
        engines: Mapping[str, Engine],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._reader = reader
        self._engines = engines
        self._clock = clock
        self._pool = QueryPool()

    def close(self) -> None:
        """Take no queries any more."""
        self._pool.close()

    async def query(self, actor: ActorId, name: str, context: Blob, *, at: StepId | None, timeout: float) -> Queried:
        """See Node.query."""
        if len(context.data) > MAX_CONTEXT:
            raise TooLarge(f"the context has {len(context.data):,} bytes: at most {MAX_CONTEXT:,} are allowed")
        asking = self._asking(timeout)
        request = QueryRequest(actor=str(actor), name=name, context=context)
        try:
            answered = await self._on_a_thread(request, lambda: asking.run(asking.choose(actor, at), request), timeout)
        except WitError as error:
            raise _failure(error, asking.choose(actor, at)) from error
        if isinstance(answered.result, Error):
            raise QueryRefused(answered.result, answered.step)
        return Queried(
            actor=actor,
            step=answered.step,
            height=answered.height,
            result=answered.result,
            asked=[step for other, step in asking.steps.items() if other != actor],
        )

    async def ask_for_a_step(self, request: QueryRequest) -> Answered:
        """What a step that runs is answered. Raises CallFailed; Busy."""
        asking = self._asking(QUERY_SECONDS)
        chosen: list[StepId] = []

        def work() -> Answered:
            chosen.append(asking.choose(asking.resolve(request.actor)))
            return asking.run(chosen[0], request)

        try:
            return await self._on_a_thread(request, work, QUERY_SECONDS)
        except WitError as error:
            raise CallFailed(error.code, error.text, step=str(chosen[0]) if chosen else None) from error

    def _asking(self, seconds: float) -> Asking:
        return Asking(self._lookup, self._reader, self._engines, until=self._clock() + seconds, clock=self._clock)

    async def _on_a_thread(self, request: QueryRequest, work: Callable[[], Answered], seconds: float) -> Answered:
        job = self._pool.submit(f"actor {request.actor}: its query {request.name!r}", work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.done), seconds)
        except TimeoutError:
            raise too_late(request) from None
        finally:
            # Its deadline passed, or whoever asked went away. Nothing happens if it is done.
            self._pool.abandon(job)


_KNOWN: Final[Mapping[str, type[NodeError]]] = {
    NO_QUERIES: NoQueries,
    UNKNOWN_QUERY: UnknownQuery,
    BAD_ARGUMENTS: BadArguments,
    QUERY_TIMEOUT: QueryTimeout,
}


def _failure(error: WitError, step: StepId) -> NodeError:
    kind = _KNOWN.get(error.code)
    return QueryFailed(error.code, error.text, step) if kind is None else kind(error.text)
