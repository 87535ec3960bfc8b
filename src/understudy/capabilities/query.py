"""The capability behind `query_a_wit`: what another actor answers at its newest durable step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from understudy.actors.contract import Reply
from understudy.actors.errors import CallFailed
from understudy.actors.query import Error, QueryRequest, Result, read_request, result_bytes
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, StepId

NAME: Final = "query"

Ask = Callable[[QueryRequest], Awaitable[tuple[Result, StepId]]]


class QueryCapability:
    """Answers a query with its result, and names the step that was asked."""

    def __init__(self, ask: Ask) -> None:
        """`ask` gives the answer and the step. It may raise CallFailed, and Retry where it can't ask now."""
        self._ask = ask

    @property
    def name(self) -> str:
        """`query`."""
        return NAME

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> Reply:
        """The answer. Raises CallFailed: BadRequest, NoSuchActor, UnknownQuery, … or the error that the query answered."""
        try:
            wanted = read_request(request)
        except WrongKind as error:
            raise CallFailed("BadRequest", str(error)) from error
        result, step = await self._ask(wanted)
        if isinstance(result, Error):
            raise CallFailed(result.code, result.text, step=str(step))
        return Reply(result_bytes(result), step)
