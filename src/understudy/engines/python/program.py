"""A loaded wit: it runs steps, and makes a result of whatever happens in the author's code."""

from __future__ import annotations

import contextvars
from asyncio import CancelledError, get_running_loop
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final, TypeVar

from understudy.actors.author_errors import is_a, is_interrupt
from understudy.actors.contract import Outgoing, StepInput, StepResult
from understudy.actors.errors import NEEDS_WORLD, CallNeedsWorld, Retry, WitError
from understudy.engines.python.failure import Belongs, is_cancelled, outcome_of, reason_of
from understudy.engines.python.importer import Version
from understudy.engines.python.inject import inject
from understudy.engines.python.query import PythonQuery
from understudy.engines.python.settings import SETTINGS
from understudy.engines.room import DEPTH, at_depth, load_in_room, put_back
from understudy.engines.tasks import Unfinished, abandon, hide_task
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.objects.step import FAILED, Outcome
from understudy.objects.tree import is_tree_node
from understudy.objects.wording import type_with_article
from understudy.store.errors import Missing, StoreError
from understudy.wit.abi import PYTHON_2, Abi, abi_of
from understudy.wit.context import Context
from understudy.wit.core import Core
from understudy.wit.draft import Draft
from understudy.wit.outbox import Sent, check_outgoing, check_sent_count
from understudy.wit.parameters import Fill
from understudy.wit.query_handler import inject_query
from understudy.wit.running import RUNNING
from understudy.wit.wit import Wit

WIT_UPDATE: Final = "wit_update"
WIT_QUERY: Final = "wit_query"
_T = TypeVar("_T")
IN_CORE: Final[Mapping[str, str]] = {}


class PythonProgram:
    """One wit of one version of the code. While it is held, so are its modules."""

    __slots__ = (
        *(
            "__weakref__",
            "_belongs",
            "_call",
            "_context",
            "_first",
            "_load_first",
            "_source",
            "entry",
            "function",
            "limit",
            "looked_at",
            "query",
            "stamp",
            "used",
            "version",
        ),
    )

    def __init__(
        self,
        function: Any,
        *,
        entry: str,
        belongs: Belongs,
        source: Mapping[str, str] = IN_CORE,
        version: Version | None = None,
        first: Callable[[], PythonProgram] | None = None,
    ) -> None:
        """`source` holds the digest of code that is not in the core, by ABI. `first` loads what runs steps of `python/1`,
        whose modules had other names; without it, this program runs them.

        Raises WitError("WrongSignature", "NotCallable", "MissingFunction").
        """
        self.function = function
        self.entry = entry
        self._source = source
        self.version = version
        self.stamp = 0
        self.used = 0.0
        self.limit: int | None = None  # of recursion, if the code set one while it was imported
        self.looked_at: set[str] = (
            set()
        )  # types of messages whose first step a node has looked at, for what no record holds
        self._belongs = belongs
        self._load_first = first
        self._first: PythonProgram | None = None
        # Copied for each step: context variables that one step sets are not seen by the next, live and in a replay.
        self._context = contextvars.Context() if version is None else version.context
        # There too: annotations that are text are looked up in the modules of the version whose context it is.
        self._call: Fill = self.within(self._prepare, function)
        self.query = self._as_query()

    def keep_limit(self, limit: int | None) -> None:
        """Heed the recursion limit that modules set while they were imported, now or for another program of theirs."""
        if self.version is not None:
            limit = self.version.limit = limit or self.version.limit
        self.limit = limit
        if self.query is not None:
            self.query.limit = limit

    def within(self, work: Callable[..., _T], *args: Any) -> _T:
        """Run the runtime's own work in the wit's context, so that lookups find its version."""
        return self._context.copy().run(work, *args)

    def _prepare(self, function: Any) -> Fill:
        entry = self.entry
        if isinstance(function, Wit):
            function.prepare()
            if entry == WIT_UPDATE and not function.has_update:
                raise WitError("MissingFunction", f"/{entry} points to a Wit that has no @wit.update handler")
            return function.__call__
        if isinstance(function, type) or not callable(function):
            what = "a class" if isinstance(function, type) else type_with_article(function)
            raise WitError("NotCallable", f"/{entry} names {what}: it must be a function (def or async def) or a Wit")
        return inject_query(function) if entry == WIT_QUERY else inject(function)

    @property
    def engine(self) -> str:
        """The engine text of a new step."""
        return self.engine_under(PYTHON_2)

    def engine_under(self, abi: Abi) -> str:
        """The engine text of a step under some rules."""
        name = abi.name if abi.is_first else abi.name + SETTINGS
        return f"{name};source={self._source[abi.name]}" if self._source else name

    @property
    def problems(self) -> Sequence[str]:
        """What is broken in modules of the core that the wit does not need."""
        return () if self.version is None else self.version.problems or ()

    def _as_query(self) -> PythonQuery | None:
        """What answers queries; None if this is neither a `/wit_query` nor a Wit."""
        if isinstance(self.function, Wit):
            return PythonQuery(
                self.function.answer_query, self._belongs, is_external=self.version is None, context=self._context
            )
        if self.entry == WIT_QUERY:
            return PythonQuery(self._call, self._belongs, is_external=self.version is None, context=self._context)
        return None

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        """Run one step. Raises only StoreError when the store fails, and KeyboardInterrupt from the terminal."""
        if self._load_first is not None and abi_of(given.abi).is_first:
            if self._first is None:
                first, limit = load_in_room(self._load_first)
                first.keep_limit(limit)
                self._first = first
            return self._first.run(given)
        context = self._context.copy()
        put_back(self.limit)
        try:
            return context.run(self._run, given, context)
        finally:
            put_back()

    def _run(self, given: StepInput, context: contextvars.Context) -> StepResult | Awaitable[StepResult]:
        ctx = Context(given, self.entry)
        RUNNING.set(ctx)
        try:
            returned = at_depth(DEPTH, self._call, ctx)
            if returned is not None and isawaitable(returned):
                return Unfinished(self._await(given, ctx, returned, context), returned)
            given.calls.close()
            return self._result(given, ctx, returned)
        except BaseException as error:
            given.calls.close()
            return self._failed(given, ctx, error)

    async def _await(
        self, given: StepInput, ctx: Context, returned: Awaitable[Any], context: contextvars.Context
    ) -> StepResult:
        hide_task()
        # In a task of its own: what the wit does to the task that it runs in is told from what the node does to ours.
        task = get_running_loop().create_task(self._await_wit(given, ctx, returned), context=context)
        try:
            return await task
        except CancelledError as error:
            if is_cancelled():
                # The node stopped it, and knows why.
                raise
            return self._failed(given, ctx, error)
        finally:
            if task.done():
                # Cancelled before it began, it has awaited nothing.
                abandon(returned)

    async def _await_wit(self, given: StepInput, ctx: Context, returned: Awaitable[Any]) -> StepResult:
        put_back(self.limit)
        try:
            answer = await returned
            # Here, before the loop runs anything else: tasks that are left behind must not change the result.
            given.calls.close()
            return self._result(given, ctx, answer)
        except BaseException as error:
            given.calls.close()
            if is_a(error, CancelledError) and is_cancelled():
                # The whole step is cancelled. A CancelledError of another task, which the wit cancelled itself, is a failure of the wit.
                raise
            # GeneratorExit too, which a task would not hand on; if it comes from a loop that ends, nobody looks.
            return self._failed(given, ctx, error)
        finally:
            put_back()

    def _result(self, given: StepInput, ctx: Context, returned: Any) -> StepResult:
        ctx.close()
        if given.calls.unanswered is not None:
            raise given.calls.unanswered
        if returned is None or isinstance(returned, Sent):
            return StepResult(
                engine=self.engine_under(ctx.abi), core=ctx.sealed_core(), sent=ctx.sent(), log=ctx.logged()
            )
        if isinstance(returned, Draft):
            core, sent = _drafted_core(ctx, returned), [*ctx.sent(), *_drafted_messages(ctx, returned)]
            check_sent_count(len(sent))
            return StepResult(engine=self.engine_under(ctx.abi), core=core, sent=sent, log=ctx.logged())
        if isinstance(returned, Id) and returned == given.parent:
            if ctx.core_changed() or ctx.sent():
                text = "the wit returned the last step's id, which says that nothing changed, but it changed the core"
                raise WitError("BadResult", f"{text} or sent messages: return None instead")
            return StepResult(engine=self.engine_under(ctx.abi), core=given.core, log=ctx.logged())
        text = f"the wit returned {_describe(returned)}; return None, a Draft, or the last step's id if nothing changed"
        raise WitError("BadResult", text)

    def _failed(self, given: StepInput, ctx: Context, error: BaseException) -> StepResult:
        ctx.close()
        if given.calls.unanswered is not None and not is_interrupt(error):
            # The wit may have caught it and failed later, which would not happen again in a replay.
            error = given.calls.unanswered
            if is_a(error, CallNeedsWorld):
                outcome = Outcome(FAILED, NEEDS_WORLD, str(error))
                return StepResult(engine=self.engine_under(ctx.abi), core=given.core, log=ctx.logged(), outcome=outcome)
        if is_a(error, Retry):
            return StepResult(
                engine=self.engine_under(ctx.abi), core=given.core, log=ctx.logged(), retry=reason_of(error)
            )
        # A failure of the store is no failure of the wit, and must not be in its history.
        if is_interrupt(error) or (is_a(error, StoreError) and not is_a(error, Missing)):
            raise error
        outcome = outcome_of(error, self._belongs)
        return StepResult(engine=self.engine_under(ctx.abi), core=given.core, log=ctx.logged(), outcome=outcome)


def _drafted_core(ctx: Context, draft: Draft) -> TreeId:
    if draft.core is None:
        return ctx.sealed_core()
    if isinstance(draft.core, Core):
        return draft.core.seal()
    if ctx.core_changed():
        raise WitError("BadResult", "the draft has a core of its own, but the wit also changed the one it was given")
    store = ctx.given.store
    try:
        if isinstance(draft.core, bytes) and not ids.is_raw(draft.core) and is_tree_node(store.node(draft.core)):
            return TreeId(Id(draft.core))
    except ObjectError as error:
        raise WitError("BadResult", f"the draft's core can't be read: {error}") from error
    raise WitError("BadResult", f"the draft's core is {_describe(draft.core)}, not the id of a tree")


def _drafted_messages(ctx: Context, draft: Draft) -> list[Outgoing]:
    if not isinstance(draft.send, Sequence) or not all(isinstance(message, Outgoing) for message in draft.send):
        raise WitError("BadResult", "the draft's `send` must be a list of Outgoing(to=…, type=…, content=…)")
    messages = [check_outgoing(message) for message in draft.send]
    for message in messages:
        # A link to a missing block would stop the recipient, and make this history impossible to export.
        if not ctx.given.store.has(message.content):
            raise Missing(message.content)
    return messages


def _describe(value: Any) -> str:
    return f"the id {value}, which is not the last step's" if isinstance(value, Id) else type_with_article(value)
