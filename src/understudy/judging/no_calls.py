"""A query that is asked again for a verdict: it reaches nobody, and shows if it tried."""

from __future__ import annotations

from typing import NoReturn

from understudy.actors.errors import CallFailed, WitError
from understudy.actors.query import QUERY_TIMEOUT, QueryInput, QueryProgram, Result
from understudy.judging.virtual_loop import Stuck, run_virtually
from understudy.objects.codec import Block
from understudy.objects.journal import Entry


class NoCalls:
    """How a query that is asked again reaches others: not at all, and it shows that it tried."""

    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()
        self.blocks: tuple[Block, ...] = ()
        self.unanswered: Exception | None = None
        self.asked = False

    def close(self) -> None:
        """Nothing is recorded here."""

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> NoReturn:
        """Raise CallFailed."""
        self.call_and_wait(capability, request)

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> NoReturn:
        """Raise CallFailed."""
        self.asked = True
        raise CallFailed("NotNow", "a query that is asked again for a verdict asks nobody")


def ask_nobody(program: QueryProgram, given: QueryInput) -> Result:
    """Run a query to its end, on virtual time. Raises WitError, StoreError."""
    found = program.run(given)
    if isinstance(found, Result):
        return found
    try:
        return run_virtually(found, on_idle=lambda timer: False, on_stuck=lambda: False)
    except Stuck as error:
        raise WitError(QUERY_TIMEOUT, str(error)) from error
