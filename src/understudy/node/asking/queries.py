"""Queries on a node: an actor asked at its newest durable step or at an earlier one, beside everything that steps.

The law: a query sees durable steps only, waits for no step, and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from understudy.actors.contract import Engine
from understudy.actors.errors import CallFailed, HostFailed, WitError
from understudy.actors.query import (
    BAD_ARGUMENTS,
    NO_QUERIES,
    QUERY_TIMEOUT,
    UNKNOWN_QUERY,
    Blob,
    Error,
    QueryRequest,
    Tree,
)
from understudy.node.asking.asking import Answered, Asking, too_late
from understudy.node.asking.query_pool import QueryPool
from understudy.node.asking.watch import QUERIES_HELD, QueryWatch
from understudy.node.errors import (
    BadArguments,
    Busy,
    Held,
    NodeError,
    NoQueries,
    QueryFailed,
    QueryRefused,
    QueryTimeout,
    TooLarge,
    UnknownQuery,
)
from understudy.node.looking.lookup import Lookup
from understudy.objects.ids import ActorId, StepId
from understudy.store.reader import Reader
from understudy.store.recent import Recent

QUERY_SECONDS: Final = 10.0  # how long an answer may take where nobody says otherwise
GRACE_SECONDS: Final = 0.05  # how long after its deadline a query may still answer that it is too late
MAX_CONTEXT: Final = 16 * 1024 * 1024  # bytes that a query may be asked with
KEPT: Final = 16 * 1024 * 1024  # bytes of answers that are kept for those who ask the same again
MAX_KEPT: Final = 256 * 1024  # bytes of one of them with its context: larger ones would push out hundreds
LARGE: Final = 1024 * 1024  # bytes of an answer with which its query is one of those that run one at a time
_STEPS: Final = 64  # decoded steps: the heads of the actors that are asked most


class Queried(Struct, frozen=True, kw_only=True):
    """An answer, and the step that gave it.

    `asked` are the steps of other actors that it also depends on. If it `is_fixed`, the same query at `step` has the
    same answer for ever: it asked nobody, not even one who was not there, and its code is in the core.
    """

    actor: ActorId
    step: StepId
    height: int
    result: Blob | Tree
    asked: Sequence[StepId] = ()
    is_fixed: bool


class Queries:
    """Asks actors. From any event loop."""

    def __init__(
        self,
        lookup: Lookup,
        reader: Reader,
        engines: Mapping[str, Engine],
        watch: QueryWatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._reader = reader
        self._engines = engines
        self._watch = watch
        self._clock = clock
        self._pool = QueryPool(_is_large)
        self._read_step = lru_cache(_STEPS)(reader.step)
        self._answers: Recent[tuple[object, ...], Queried] = Recent(KEPT)

    def close(self) -> None:
        """Take no queries any more."""
        self._pool.close()

    async def query(self, actor: ActorId, name: str, context: Blob, *, at: StepId | None, timeout: float) -> Queried:
        """See Node.query."""
        if len(context.data) > MAX_CONTEXT:
            raise TooLarge(f"the context has {len(context.data):,} bytes: at most {MAX_CONTEXT:,} are allowed")
        asking = self._asking(timeout)
        request = QueryRequest(actor=str(actor), name=name, context=context)
        question = (actor, asking.choose(actor) if at is None else at, name, context)
        known = self._answers.get(question)
        if known is not None:
            return known
        try:
            answered = await self._on_a_thread(request, lambda: asking.run(asking.choose(actor, at), request), timeout)
        except WitError as error:
            raise _failure(error, asking.choose(actor, at)) from error
        if isinstance(answered.result, Error):
            raise QueryRefused(answered.result, answered.step)
        asked = [step for other, step in asking.steps.items() if other != actor]
        found = Queried(
            actor=actor,
            step=answered.step,
            height=answered.height,
            result=answered.result,
            asked=asked,
            is_fixed=not (asking.has_asked or asking.is_external),
        )
        self._keep(question, found, context)
        return found

    async def ask_for_a_step(self, request: QueryRequest) -> Answered:
        """What a step that runs is answered. Raises CallFailed; Busy and Held, which may be over later."""
        asking = self._asking(QUERY_SECONDS)
        chosen: list[StepId] = []

        def work() -> Answered:
            chosen.append(asking.choose(asking.resolve(request.actor)))
            return asking.run(chosen[0], request)

        try:
            return await self._on_a_thread(request, work, QUERY_SECONDS)
        except WitError as error:
            if error.code == QUERIES_HELD:
                raise Held(error.text) from error
            raise CallFailed(error.code, error.text, step=str(chosen[0]) if chosen else None) from error

    def _asking(self, seconds: float) -> Asking:
        until = self._clock() + seconds
        return Asking(
            self._lookup,
            self._reader,
            self._engines,
            read_step=self._read_step,
            until=until,
            clock=self._clock,
            watch=self._watch,
        )

    def _keep(self, question: tuple[object, ...], found: Queried, context: Blob) -> None:
        # Only bytes: a tree's names are the query's own dictionary, which it could still change.
        if found.is_fixed and isinstance(found.result, Blob):
            size = len(context.data) + len(found.result.data)
            if size <= MAX_KEPT:
                self._answers.put(question, found, size)

    async def _on_a_thread(self, request: QueryRequest, work: Callable[[], Answered], seconds: float) -> Answered:
        label = f"actor {request.actor}: its query {request.name!r}"
        job = self._pool.submit(label, work, owner=request.actor, name=request.name)
        try:
            # A query that can be awaited ends itself at its deadline: only one that goes on past it is given up.
            async with asyncio.timeout(seconds + GRACE_SECONDS):
                return await job.done
        except TimeoutError:
            raise too_late(request) from None
        except HostFailed as error:
            raise Busy(str(error)) from error
        finally:
            # Its deadline passed, or whoever asked went away. Nothing happens if it is done.
            self._pool.abandon(job)


_KNOWN: Final[Mapping[str, type[NodeError]]] = {
    NO_QUERIES: NoQueries,
    UNKNOWN_QUERY: UnknownQuery,
    BAD_ARGUMENTS: BadArguments,
    QUERY_TIMEOUT: QueryTimeout,
    QUERIES_HELD: Held,
}


def _is_large(answered: Answered) -> bool:
    return isinstance(answered.result, Blob) and len(answered.result.data) > LARGE


def _failure(error: WitError, step: StepId) -> NodeError:
    kind = _KNOWN.get(error.code)
    return QueryFailed(error.code, error.text, step) if kind is None else kind(error.text)
