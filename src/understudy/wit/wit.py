"""The comfortable form: functions that handle messages by their type, with typed payload and state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any, TypeVar, overload

from understudy.actors.contract import StateCheck
from understudy.actors.errors import WitError
from understudy.actors.query import UNKNOWN_QUERY, WUT, Blob
from understudy.objects.errors import BadName
from understudy.objects.message import check_type
from understudy.objects.names import check_name
from understudy.wit.answers import names_of
from understudy.wit.context import Context
from understudy.wit.flows.awaited import awaited_by, declared
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.flows.kept import Kept
from understudy.wit.flows.notice import FLOW
from understudy.wit.flows.record import FOLDER as FLOWS
from understudy.wit.flows.turn import Turn
from understudy.wit.handler import Handler, Role, state_kind
from understudy.wit.handling import Plan, begin, handle_async, needs_await, take, with_flows
from understudy.wit.parameters import kind_with_article, place_of
from understudy.wit.query_context import QueryContext
from understudy.wit.query_handler import QueryHandler
from understudy.wit.state import StateType
from understudy.wit.wut import describe

Function = TypeVar("Function", bound=Callable[..., Any])
Sends = Sequence[type] | Mapping[str, Any]


class Wit:
    """A wit made of handlers; `/wit` points to the instance, e.g. `/code:greeter:wit`.

    The parameters of a handler say what it needs: a payload by its annotated type (JSON; `bytes` gets the content as it
    is), `state` (JSON at `/state`, of the annotated type; changes that the handler makes to it are kept), and
    `core: Core`, `ctx: Context`, `message: Message`, `inbox`, `outbox`, `actor_id`, `step_id`, `store`.
    It returns None, an answer, which goes to the sender as a message of type `reply`, or a `NewState(…)`, for states that
    can't be changed in place.
    """

    def __init__(self) -> None:
        self._messages: dict[str, tuple[Callable[..., Any], type | None]] = {}
        self._sends: dict[str, Mapping[str, Any]] = {}
        self._waits: dict[str, Mapping[str, Any]] = {}
        self._genesis: Callable[..., Any] | None = None
        self._update: Callable[..., Any] | None = None
        self._queries: dict[str, Callable[..., Any]] = {}
        self._flows: dict[str, tuple[Callable[..., Any], type | None]] = {}
        self._kept = Kept()
        self._answers: dict[str, Callable[..., Any]] = {}
        self._plan: Plan | None = None

    def message(self, kind: str | type, *, sends: Sends = ()) -> Callable[[Function], Function]:
        """Handle messages of a type, or of a payload class, whose name is the type.

        `sends` says what the handler sends, for the query `wut`: payload classes, or types with their payload's type.
        """
        return self._registers("message", kind, sends, self._messages)

    def flow(self, kind: str | type, *, sends: Sends = (), waits: Sends = ()) -> Callable[[Function], Function]:
        """Begin a flow with each message of a type, or of a payload class: an `async def` whose awaits may last for weeks.

        It gets its payload and `ctx: FlowContext`. What it awaits of `ctx` is kept in the core, so it outlives restarts and
        updates; between its awaits the actor handles other messages. What it returns, or an `error`, goes to the sender.
        `waits` says which messages its `ctx.wait` waits for, in the same form as `sends`: `wut` shows them, and one that does
        not fit its class is refused.
        """
        return self._registers("flow", kind, sends, self._flows, waits)

    def genesis(self, function: Function) -> Function:
        """Handle the genesis message. A payload parameter gets the JSON at `/args`."""
        if self._genesis is not None:
            raise WitError(
                "AmbiguousWit", f"{place_of(function)}: there is a genesis handler already, {place_of(self._genesis)}"
            )
        self._genesis, self._plan = function, None
        return function

    def update(self, function: Function) -> Function:
        """Handle an update when `/wit_update` points to this wit: the core is patched already, the state is still the old one."""
        if self._update is not None:
            raise WitError(
                "AmbiguousWit", f"{place_of(function)}: there is an update handler already, {place_of(self._update)}"
            )
        self._update, self._plan = function, None
        return function

    @overload
    def query(self, name: str) -> Callable[[Function], Function]: ...
    @overload
    def query(self, name: Function) -> Function: ...

    def query(self, name: str | Function) -> Any:
        """Answer a query. Its name is the function's, or the one given: `@wit.query` or `@wit.query("name")`.

        Each parameter of the function besides `state`, `core`, `ctx`, `store`, `actor_id`, `step_id` and `context: Blob` is
        an argument: a key of the JSON object that the query is asked with, of the annotated type. The function can read but
        not write.
        It returns a Blob, a Tree, an Error, bytes, or anything else, which is answered as JSON.
        """
        return self._registers_name("query", name, self._queries)

    @overload
    def answer(self, name: str) -> Callable[[Function], Function]: ...
    @overload
    def answer(self, name: Function) -> Function: ...

    def answer(self, name: str | Function) -> Any:
        """Handle answers to requests, or the errors in their place: `@wit.answer` or `@wit.answer("name")`.

        `ctx.request(…, on_answer=FUNCTION, on_error=FUNCTION)` says which one is called. The core stores the name, so keep
        the function, or one under its name, as long as requests wait for it. It may have the parameters of a message
        handler, and `request: Request`. It returns None or a `NewState(…)`: nobody waits for an answer to an answer.
        """
        return self._registers_name("answer", name, self._answers)

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """All handlers."""
        others = [function for function in (self._genesis, self._update) if function is not None]
        messages = (function for function, _ in self._messages.values())
        return [*messages, *self._answers.values(), *others, *self._queries.values()]

    @property
    def has_update(self) -> bool:
        """True if there is an update handler."""
        return self._update is not None

    def prepare(self) -> None:
        """Resolve what every handler asks for. Raises WitError("WrongSignature") that names the parameter."""
        if self._plan is None:
            state, flows = self._state_type(), self._prepared_flows()
            self._plan = Plan(
                state=state,
                messages={
                    type: Handler(function, Role.MESSAGE, kind, type, state, self._sends[type])
                    for type, (function, kind) in self._messages.items()
                },
                genesis=None if self._genesis is None else Handler(self._genesis, Role.GENESIS, None, "genesis", state),
                update=None if self._update is None else Handler(self._update, Role.UPDATE, None, "update", state),
                queries={name: QueryHandler(function, state) for name, function in self._queries.items()},
                flows=flows,
                awaited=awaited_by(flows),
                answers={
                    name: Handler(function, Role.ANSWER, None, name, state) for name, function in self._answers.items()
                },
                answer_names=names_of(self._answers),
                is_async=False,
            )
            plan = self._plan
            plan.is_async = any(
                handler is not None and handler.is_async
                for handler in (*plan.messages.values(), *plan.answers.values(), plan.genesis, plan.update)
            )

    def __call__(self, ctx: Context) -> Awaitable[None] | None:
        """Handle all messages of a step in order; an awaitable if one of their handlers is asynchronous."""
        plan = self._plan
        if plan is None:
            self.prepare()
            return self(ctx)
        ctx.answer_names = plan.answer_names
        turn = self._turn(plan, ctx)
        if turn is not None:
            return with_flows(plan, ctx, turn)
        if plan.is_async and needs_await(plan, ctx):
            return handle_async(plan, ctx)
        for delivery in ctx.given.messages:
            handler = begin(plan, ctx, delivery)
            if handler is not None:
                result = handler.call(ctx)
                if result is not None or handler.old is not None:
                    take(plan, ctx, handler, result)
        plan.state.write(ctx)
        return None

    def answer_query(self, ctx: QueryContext) -> Any:
        """What a query returns, or an awaitable of it. Raises WitError(UNKNOWN_QUERY)."""
        self.prepare()
        assert self._plan is not None
        handler = self._plan.queries.get(ctx.name)
        if handler is None and ctx.name == WUT:
            return self._describe(self._plan)
        if handler is None:
            known = ", ".join(sorted({*self._plan.queries, WUT}))
            raise WitError(UNKNOWN_QUERY, f"there is no query {ctx.name!r}; there are: {known}")
        return handler.call(ctx)

    def check_state(self, data: bytes) -> StateCheck:
        """How this wit reads a stored state: why it can't be read, or what would be lost."""
        self.prepare()
        assert self._plan is not None
        return self._plan.state.check(data)

    def let_flows_go(self) -> None:
        """Keep no flow's code in the process: it is run again at its next answer."""
        self._kept.let_go()

    def _registers(
        self,
        what: str,
        kind: str | type,
        sends: Sends,
        into: dict[str, tuple[Callable[..., Any], type | None]],
        waits: Sends = (),
    ) -> Callable[[Function], Function]:
        """A decorator that registers a function for messages of a type."""
        if not isinstance(kind, str | type):
            raise WitError(
                "WrongSignature",
                f'@wit.{what} got {place_of(kind)}: write @wit.{what}("type"), or the class of a payload',
            )
        type_text, payload = (kind, None) if isinstance(kind, str) else (kind.__name__, kind)
        try:
            check_type(type_text)
        except BadName as error:
            raise WitError("WrongSignature", f"@wit.{what}({kind!r}): {error}") from error

        def register(function: Function) -> Function:
            other = self._messages.get(type_text) or self._flows.get(type_text)
            if other is not None:
                raise WitError(
                    "AmbiguousWit",
                    f"{place_of(function)}: {type_text!r} messages have a handler already, {place_of(other[0])}",
                )
            into[type_text] = (function, payload)
            self._sends[type_text], self._waits[type_text] = declared(sends), declared(waits)
            self._plan = None
            return function

        return register

    def _registers_name(self, what: str, name: str | Function, into: dict[str, Callable[..., Any]]) -> Any:
        """A decorator that registers a function under a name, or the function, registered under its own name."""

        def register(function: Function) -> Function:
            key = name if isinstance(name, str) else function.__name__
            try:
                check_name(key, what=f"{what} name")
            except BadName as error:
                raise WitError("WrongSignature", f"@wit.{what}({key!r}): {error}") from error
            if key in into:
                text = f"there is @wit.{what}({key!r}) already, {place_of(into[key])}"
                raise WitError("AmbiguousWit", f"{place_of(function)}: {text}")
            into[key], self._plan = function, None
            return function

        return register if isinstance(name, str) else register(name)

    def _turn(self, plan: Plan, ctx: Context) -> Turn | None:
        """What the flows do in a step; None if it has nothing to do with flows."""
        if ctx.abi.is_first or ctx.entry != "wit" or ctx.given.parent is None:
            return None
        # An update may have taken the last flow out of the code, while some are under way. Who handles messages of our
        # type has no flows, but a folder of that name.
        if not plan.flows and (FLOW in plan.messages or not ctx.changes.had_top(FLOWS)):
            return None
        return Turn(ctx, plan.flows, plan.awaited, plan.state, self._kept)

    def _prepared_flows(self) -> dict[str, FlowHandler]:
        if self._flows and FLOW in self._messages:
            text = f"{FLOW!r} messages are what the runtime tells flows: a wit with flows has no handler for them"
            raise WitError("AmbiguousWit", f"{place_of(self._messages[FLOW][0])}: {text}")
        return {
            type: FlowHandler(function, kind, type, self._sends[type], self._waits[type])
            for type, (function, kind) in self._flows.items()
        }

    def _describe(self, plan: Plan) -> Blob:
        if plan.wut is None:
            handlers: dict[str, Handler | FlowHandler] = {**plan.messages, **plan.flows}
            plan.wut = describe(handlers=handlers, genesis=plan.genesis, queries=plan.queries, awaited=plan.awaited)
        return plan.wut

    def _state_type(self) -> StateType:
        first: tuple[Any, Callable[..., Any]] | None = None
        for function in self.functions:
            kind = state_kind(function)
            if kind is Parameter.empty:
                continue
            if first is not None and first[0] != kind:
                here, there = (kind_with_article(each) for each in (kind, first[0]))
                text = f"parameter 'state' is {here}, but {there} in {place_of(first[1])}: a wit has one type of state"
                if function is self._update or first[1] is self._update:
                    text += "; an update gets the old one under another name and returns the new one: old: Old -> New"
                raise WitError("WrongSignature", f"{place_of(function)}: {text}")
            first = (kind, function)
        if first is None:
            return StateType()
        try:
            return StateType(first[0])
        except TypeError as error:
            raise WitError(
                "WrongSignature", f"{place_of(first[1])}: parameter 'state' can't be filled: {error}"
            ) from error
