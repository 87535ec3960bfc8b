"""One question and all those it leads to: they share a deadline, and see each actor at one step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from inspect import isawaitable
from typing import Final

from msgspec import Struct

from understudy.actors.contract import Engine
from understudy.actors.errors import CallFailed, WitError
from understudy.actors.query import QUERY_TIMEOUT, Error, QueryRequest, Result, read_request, result_bytes
from understudy.engines.tasks import hide_task
from understudy.kernel.query import QueryPlan, check_result, prepare_query
from understudy.node.asking.watch import QueryWatch
from understudy.node.errors import Ambiguous, NotFound
from understudy.node.holds import Hold
from understudy.node.looking.lookup import Lookup
from understudy.node.running.blocking import run_to_end
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, StepId
from understudy.objects.journal import Entry
from understudy.objects.step import Step
from understudy.store.reader import Reader

MAX_DEPTH: Final = 8  # a query that asks a query that asks …: deeper is a cycle, or as bad as one
# The words in which asking fails, beside those of actors/query.py.
TOO_DEEP: Final = "TooDeep"
NO_SUCH_ACTOR: Final = "NoSuchActor"
AMBIGUOUS: Final = "Ambiguous"
QUERY: Final = "query"  # the only capability that a query has


class Answered(Struct, frozen=True, kw_only=True):
    """What a query answered, and at which step."""

    step: StepId
    height: int
    result: Result


class Asking:
    """One question to the actors of a store, up to a moment of a clock.

    `steps` are those asked so far, one per actor. `has_asked` says whether a query tried to ask anybody, which need not
    have been there; `is_external`, whether code answered that is in no core.
    """

    def __init__(
        self,
        lookup: Lookup,
        reader: Reader,
        engines: Mapping[str, Engine],
        *,
        read_step: Callable[[StepId], Step],
        until: float,
        clock: Callable[[], float],
        watch: QueryWatch,
    ) -> None:
        self.steps: dict[ActorId, StepId] = {}
        self.has_asked = False
        self.is_external = False
        self._holds: dict[ActorId, Hold | None] = {}
        self._lookup = lookup
        self._reader = reader
        self._read_step = read_step
        self._engines = engines
        self._until = until
        self._clock = clock
        self._watch = watch
        self._question = watch.new_question()

    def resolve(self, text: str) -> ActorId:
        """The actor that an id or a name means. Raises CallFailed."""
        try:
            return self._lookup.resolve(text)
        except Ambiguous as error:
            raise CallFailed(AMBIGUOUS, str(error)) from error
        except NotFound as error:
            raise CallFailed(NO_SUCH_ACTOR, str(error)) from error

    def choose(self, actor: ActorId, at: StepId | None = None) -> StepId:
        """The step that an actor is asked at: the newest durable one at its first question. Raises NotFound, NotThatStep."""
        if actor not in self.steps:
            self._holds[actor] = self._watch.hold_on(actor)
            self.steps[actor] = self._lookup.newest(actor) if at is None else self._lookup.check_step(actor, at)
        return self.steps[actor]

    def run(self, step: StepId, request: QueryRequest, *, depth: int = 1) -> Answered:
        """Run a query to its end; blocks. Raises WitError."""
        with self._running(step, request, depth):
            plan = self._begin(step, request, depth)
            result = plan.program.run(plan.given)
            if isawaitable(result):
                result = run_to_end(self._finish(result, request))
        return self._checked(plan, result)

    async def run_async(self, step: StepId, request: QueryRequest, *, depth: int) -> Answered:
        """The same for a caller that can await."""
        with self._running(step, request, depth):
            plan = self._begin(step, request, depth)
            result = plan.program.run(plan.given)
            if isawaitable(result):
                result = await self._finish(result, request)
        return self._checked(plan, result)

    def _running(self, step: StepId, request: QueryRequest, depth: int) -> AbstractContextManager[None]:
        actor = self._read_step(step).actor
        return self._watch.running(
            actor, request.name, hold_before=self._holds.get(actor), question=self._question, depth=depth
        )

    def _begin(self, step_id: StepId, request: QueryRequest, depth: int) -> QueryPlan:
        if depth > MAX_DEPTH:
            text = f"the query {request.name!r} was not asked: queries ask each other {MAX_DEPTH} deep at most"
            raise WitError(TOO_DEEP, f"{text}; do they ask in a circle?")
        if self._clock() >= self._until:
            raise too_late(request)
        plan = prepare_query(
            self._reader,
            step_id,
            self._read_step(step_id),
            name=request.name,
            context=request.context,
            calls=NestedCalls(self, depth),
            engines=self._engines,
        )
        self.is_external = self.is_external or plan.program.is_external
        return plan

    async def _finish(self, result: Awaitable[Result], request: QueryRequest) -> Result:
        hide_task()
        try:
            return await asyncio.wait_for(result, self._until - self._clock())
        except TimeoutError:
            raise too_late(request) from None

    def _checked(self, plan: QueryPlan, result: Result) -> Answered:
        given = plan.given
        return Answered(step=given.step_id, height=given.step.height, result=check_result(self._reader, result))


class NestedCalls:
    """How a query asks other actors: on its own thread, at steps that do not change while the question lasts."""

    def __init__(self, asking: Asking, depth: int) -> None:
        self.entries: Sequence[Entry] = ()
        self.blocks: Sequence[Block] = ()
        self.unanswered: Exception | None = None
        self._asking = asking
        self._depth = depth

    def close(self) -> None:
        """Nothing is recorded here."""

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """Ask another actor. Raises CallFailed."""
        wanted, step = self._find(capability, request)
        try:
            return reply_bytes(await self._asking.run_async(step, wanted, depth=self._depth + 1))
        except WitError as error:
            raise CallFailed(error.code, error.text, step=str(step)) from error

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """Ask another actor. Raises CallFailed."""
        wanted, step = self._find(capability, request)
        try:
            return reply_bytes(self._asking.run(step, wanted, depth=self._depth + 1))
        except WitError as error:
            raise CallFailed(error.code, error.text, step=str(step)) from error

    def _find(self, capability: str, request: bytes) -> tuple[QueryRequest, StepId]:
        if capability != QUERY:
            raise CallFailed("NoCapability", f"a query can ask other actors, but there is no {capability!r} for it")
        wanted = read_request(request)
        self._asking.has_asked = True
        return wanted, self._asking.choose(self._asking.resolve(wanted.actor))


def reply_bytes(answered: Answered) -> bytes:
    """The reply to the call `query`. Raises CallFailed for an Error that the query answered."""
    result = answered.result
    if isinstance(result, Error):
        raise CallFailed(result.code, result.text, step=str(answered.step))
    return result_bytes(result)


def too_late(request: QueryRequest) -> WitError:
    """The failure of a query whose deadline passed."""
    return WitError(
        QUERY_TIMEOUT, f"the query {request.name!r} of {request.actor} had no answer when its deadline passed"
    )
