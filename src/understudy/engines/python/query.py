"""A loaded query: it is run, and whatever happens in its code becomes a result or an error."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections.abc import Awaitable
from contextvars import Context
from inspect import isawaitable
from typing import Any, Final, NoReturn

from understudy.actors.author_errors import is_a, is_interrupt, own_code
from understudy.actors.errors import WitError
from understudy.actors.query import BAD_ARGUMENTS, UNKNOWN_QUERY, QueryInput, Result
from understudy.engines.python.failure import Belongs, is_cancelled, outcome_of
from understudy.engines.room import DEPTH, at_depth, put_back
from understudy.engines.tasks import hide_task
from understudy.store.errors import Missing, StoreError
from understudy.wit.parameters import Fill
from understudy.wit.query_context import QueryContext
from understudy.wit.query_handler import as_result
from understudy.wit.running import RUNNING

_AS_THEY_ARE: Final = frozenset(
    {UNKNOWN_QUERY, BAD_ARGUMENTS}
)  # mistakes of who asked, so no line of the code is shown


class PythonQuery:
    """The queries of one version of the code."""

    __slots__ = ("_belongs", "_call", "_context", "is_external", "limit")

    def __init__(self, call: Fill, belongs: Belongs, *, is_external: bool, context: Context) -> None:
        """`is_external`: the code is not in the core."""
        self.is_external = is_external
        self.limit: int | None = None  # of recursion, if the code set one while it was imported
        self._call = call
        self._belongs = belongs
        self._context = context

    def run(self, given: QueryInput) -> Result | Awaitable[Result]:
        """Run one query. Raises WitError, StoreError when the store fails, KeyboardInterrupt from the terminal."""
        context = self._context.copy()
        put_back(self.limit)
        try:
            return context.run(self._run, given, context)
        finally:
            put_back()

    def _run(self, given: QueryInput, context: Context) -> Result | Awaitable[Result]:
        ctx = QueryContext(given)
        RUNNING.set(ctx)
        try:
            returned = at_depth(DEPTH, self._call, ctx)
            return self._await(ctx, returned, context) if isawaitable(returned) else as_result(returned)
        except BaseException as error:
            self._fail(error)

    async def _await(self, ctx: QueryContext, returned: Awaitable[Any], context: Context) -> Result:
        hide_task()
        # In a task of its own, as a step is: the query may cancel the one that it runs in.
        try:
            return await get_running_loop().create_task(self._await_query(ctx, returned), context=context)
        except CancelledError as error:
            if is_cancelled():
                # Its deadline passed.
                raise
            self._fail(error)

    async def _await_query(self, ctx: QueryContext, returned: Awaitable[Any]) -> Result:
        ctx.blocked_loop = None
        put_back(self.limit)
        try:
            return as_result(await returned)
        except BaseException as error:
            if is_a(error, CancelledError) and is_cancelled():
                raise
            self._fail(error)
        finally:
            put_back()

    def _fail(self, error: BaseException) -> NoReturn:
        if is_interrupt(error) or (is_a(error, StoreError) and not is_a(error, Missing)):
            raise error
        if is_a(error, WitError) and own_code(error) in _AS_THEY_ARE:
            raise error
        outcome = outcome_of(error, self._belongs)
        raise WitError(outcome.code, outcome.text) from error
