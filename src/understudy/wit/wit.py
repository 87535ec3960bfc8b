"""The comfortable form: functions that handle messages by their type, with typed payload and state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import Parameter, isawaitable
from typing import Any, TypeVar, overload

from msgspec import Struct

from understudy.actors.contract import Delivery, StateCheck
from understudy.actors.errors import Refusal, WitError
from understudy.actors.query import UNKNOWN_QUERY, WUT, Blob
from understudy.objects.errors import BadName
from understudy.objects.message import ERROR, check_type
from understudy.objects.names import check_name
from understudy.objects.wording import with_article
from understudy.wit.answers import AnswerNames, describe_unheard, handler_of, is_late, names_of
from understudy.wit.context import Context
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.flows.index import Place
from understudy.wit.flows.kept import Kept
from understudy.wit.flows.notice import FLOW
from understudy.wit.flows.record import FOLDER as FLOWS
from understudy.wit.flows.turn import Turn
from understudy.wit.handler import Handler, Role, state_kind
from understudy.wit.outbox import Sent
from understudy.wit.parameters import kind_with_article, place_of
from understudy.wit.query_context import QueryContext
from understudy.wit.query_handler import QueryHandler
from understudy.wit.requests import Request, answered_by, close_request, find_request
from understudy.wit.running import current_loop
from understudy.wit.state import NewState, StateType
from understudy.wit.wut import describe

Function = TypeVar("Function", bound=Callable[..., Any])
Sends = Sequence[type] | Mapping[str, Any]


class Wit:
    """A wit made of handlers; `/wit` points to the instance, e.g. `/code:greeter:wit`.

    A handler asks for what it needs: a payload by its annotated type (JSON; `bytes` gets the content as it is), `state`
    (JSON at `/state`, of the annotated type; what the handler changes in it or the new state that it returns is kept),
    and `core: Core`, `ctx: Context`, `message: Message`, `inbox`, `outbox`, `actor_id`, `step_id`, `store`.
    It returns None, an answer, which goes to the sender as a message of type `reply`, or a `NewState(…)`, for states that
    can't be changed in place.
    """

    def __init__(self) -> None:
        self._messages: dict[str, tuple[Callable[..., Any], type | None]] = {}
        self._sends: dict[str, Mapping[str, Any]] = {}
        self._genesis: Callable[..., Any] | None = None
        self._update: Callable[..., Any] | None = None
        self._queries: dict[str, Callable[..., Any]] = {}
        self._flows: dict[str, tuple[Callable[..., Any], type | None]] = {}
        self._kept = Kept()
        self._answers: dict[str, Callable[..., Any]] = {}
        self._plan: _Plan | None = None

    def message(self, kind: str | type, *, sends: Sends = ()) -> Callable[[Function], Function]:
        """Handle messages of a type, or of a payload class, whose name is the type.

        `sends` says what the handler sends, for those who ask `wut`: payload classes, or types with their payload's type.
        """
        return self._registers("message", kind, sends, self._messages)

    def flow(self, kind: str | type, *, sends: Sends = ()) -> Callable[[Function], Function]:
        """Begin a flow with each message of a type, or of a payload class: an `async def` whose awaits may last for weeks.

        It gets its payload and `ctx: FlowContext`. What it awaits of `ctx` is kept in the core, so it outlives restarts and
        updates; between its awaits the actor handles other messages. What it returns, or an `error`, goes to the sender.
        """
        return self._registers("flow", kind, sends, self._flows)

    def genesis(self, function: Function) -> Function:
        """Handle the genesis message. A payload parameter gets the JSON at `/args`."""
        if self._genesis is not None:
            raise WitError(
                "AmbiguousWit", f"{place_of(function)}: there is a genesis handler already, {place_of(self._genesis)}"
            )
        self._genesis, self._plan = function, None
        return function

    def update(self, function: Function) -> Function:
        """Handle an update when `/wit_update` points to this wit: the core is already patched, the state still old."""
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
        """Answer a query by the function's name, or by the one given: `@wit.query` or `@wit.query("name")`.

        What the function asks for beside `state`, `core`, `ctx`, `store`, `actor_id`, `step_id` and `context: Blob` is an
        argument: a key of the JSON object that the query is asked with, of the annotated type. It can read and not write.
        It returns a Blob, a Tree, an Error, bytes, or anything else, which is answered as JSON.
        """
        if not isinstance(name, str):
            self._register_query(name.__name__, name)
            return name

        def register(function: Function) -> Function:
            self._register_query(name, function)
            return function

        return register

    @overload
    def answer(self, name: str) -> Callable[[Function], Function]: ...
    @overload
    def answer(self, name: Function) -> Function: ...

    def answer(self, name: str | Function) -> Any:
        """Handle answers to requests, or the errors in their place: `@wit.answer` or `@wit.answer("name")`.

        `ctx.request(…, on_answer=FUNCTION, on_error=FUNCTION)` says which one hears of which. The core keeps the name, so keep
        the function, or one under its name, as long as requests wait for it. It asks for what a message handler asks for, and
        for `request: Request`. It returns None or a `NewState(…)`: nobody waits for an answer to an answer.
        """
        if not isinstance(name, str):
            self._register_answer(name.__name__, name)
            return name

        def register(function: Function) -> Function:
            self._register_answer(name, function)
            return function

        return register

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
            state = self._state_type()
            self._plan = _Plan(
                state=state,
                messages={
                    type: Handler(function, Role.MESSAGE, kind, type, state, self._sends[type])
                    for type, (function, kind) in self._messages.items()
                },
                genesis=None if self._genesis is None else Handler(self._genesis, Role.GENESIS, None, "genesis", state),
                update=None if self._update is None else Handler(self._update, Role.UPDATE, None, "update", state),
                queries={name: QueryHandler(function, state) for name, function in self._queries.items()},
                flows=self._prepared_flows(),
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
        deliveries = ctx.given.messages
        ctx.answer_names = plan.answer_names
        turn = self._turn(plan, ctx)
        if turn is not None:
            return _with_flows(plan, ctx, turn)
        if plan.is_async and any(
            handler is not None and handler.is_async for handler in _chosen(plan, ctx, deliveries)
        ):
            return _handle_async(plan, ctx, deliveries)
        for delivery in deliveries:
            handler = _begin(plan, ctx, delivery)
            if handler is not None:
                result = handler.call(ctx)
                if result is not None or handler.old is not None:
                    _take(plan, ctx, handler, result)
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
        """What this wit makes of a stored state: why it can't be read, or what is lost."""
        self.prepare()
        assert self._plan is not None
        return self._plan.state.check(data)

    def _registers(
        self, what: str, kind: str | type, sends: Sends, into: dict[str, tuple[Callable[..., Any], type | None]]
    ) -> Callable[[Function], Function]:
        """What takes a function for messages of a type."""
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

        declared = sends if isinstance(sends, Mapping) else {each.__name__: each for each in sends}

        def register(function: Function) -> Function:
            other = self._messages.get(type_text) or self._flows.get(type_text)
            if other is not None:
                raise WitError(
                    "AmbiguousWit",
                    f"{place_of(function)}: {type_text!r} messages have a handler already, {place_of(other[0])}",
                )
            into[type_text] = (function, payload)
            self._sends[type_text] = declared
            self._plan = None
            return function

        return register

    def _turn(self, plan: _Plan, ctx: Context) -> Turn | None:
        """What the flows do in a step; None if it has nothing to do with flows."""
        if ctx.abi.is_first or ctx.entry != "wit" or ctx.given.parent is None:
            return None
        # An update may have taken the last flow out of the code, while some are under way. Who handles messages of our
        # type has no flows, but a folder of that name.
        if not plan.flows and (FLOW in plan.messages or not ctx.core.changes.had_top(FLOWS)):
            return None
        return Turn(ctx, plan.flows, plan.state, self._kept)

    def _prepared_flows(self) -> dict[str, FlowHandler]:
        if self._flows and FLOW in self._messages:
            text = f"{FLOW!r} messages are what the runtime tells flows: a wit with flows has no handler for them"
            raise WitError("AmbiguousWit", f"{place_of(self._messages[FLOW][0])}: {text}")
        return {
            type: FlowHandler(function, kind, type, self._sends[type]) for type, (function, kind) in self._flows.items()
        }

    def _describe(self, plan: _Plan) -> Blob:
        if plan.wut is None:
            plan.wut = describe(handlers={**plan.messages, **plan.flows}, genesis=plan.genesis, queries=plan.queries)
        return plan.wut

    def _register_query(self, name: str, function: Callable[..., Any]) -> None:
        try:
            check_name(name, what="query name")
        except BadName as error:
            raise WitError("WrongSignature", f"@wit.query({name!r}): {error}") from error
        if name in self._queries:
            other = place_of(self._queries[name])
            raise WitError("AmbiguousWit", f"{place_of(function)}: there is a query {name!r} already, {other}")
        self._queries[name], self._plan = function, None

    def _register_answer(self, name: str, function: Callable[..., Any]) -> None:
        try:
            check_name(name, what="the name of an answer's handler")
        except BadName as error:
            raise WitError("WrongSignature", f"@wit.answer({name!r}): {error}") from error
        if name in self._answers:
            other = place_of(self._answers[name])
            raise WitError("AmbiguousWit", f"{place_of(function)}: {name!r} handles answers already, {other}")
        self._answers[name], self._plan = function, None

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


class _Plan(Struct, kw_only=True):
    state: StateType
    messages: dict[str, Handler]
    genesis: Handler | None
    update: Handler | None
    queries: dict[str, QueryHandler]
    flows: dict[str, FlowHandler]
    answers: dict[str, Handler]
    answer_names: AnswerNames
    is_async: bool
    wut: Blob | None = None


def _choose(plan: _Plan, ctx: Context, delivery: Delivery) -> Handler | None:
    """The handler of a message; None if it passes without one. Raises Refusal("NoHandler")."""
    ctx.request_in_hand = None
    if ctx.entry == "wit_update":
        return plan.update if plan.update is not None and plan.update.has_work(ctx) else None
    if ctx.given.parent is None:
        return plan.genesis
    type = delivery.message.type
    ctx.request_in_hand = _request(plan, ctx, delivery)
    if ctx.request_in_hand is not None:
        return handler_of(ctx.request_in_hand, delivery.message, plan.answers, plan.messages)
    handler = plan.messages.get(type)
    if handler is None and type != ERROR and not ((plan.answers or plan.flows) and is_late(delivery.message)):
        known = ", ".join(sorted({*plan.messages, *plan.flows})) or "none"
        waits = ", and no flow waits for this one now" if plan.flows else ""
        raise Refusal("NoHandler", f"there is no handler for messages of type {type!r}{waits}; there are: {known}")
    return handler


def _request(plan: _Plan, ctx: Context, delivery: Delivery) -> Request | None:
    """The request that a message answers."""
    if ctx.abi.is_first or answered_by(delivery.message) is None:
        return None
    return find_request(ctx.core, delivery.message, is_ours=bool(plan.answers))


def _begin(plan: _Plan, ctx: Context, delivery: Delivery) -> Handler | None:
    """The handler of a message, which is the one in hand from here on; the request that it answers is closed."""
    handler = _choose(plan, ctx, delivery)
    ctx._delivery = delivery
    request, answered = ctx.request_in_hand, answered_by(delivery.message)
    if request is not None:
        close_request(ctx.core, str(answered))
    if handler is None and (plan.answers or plan.flows) and answered is not None:
        ctx.log(describe_unheard(delivery.message, request))
    return handler


def _chosen(plan: _Plan, ctx: Context, deliveries: Sequence[Delivery]) -> list[Handler | None]:
    return [_choose(plan, ctx, delivery) for delivery in deliveries]


async def _handle_async(plan: _Plan, ctx: Context, deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        await _handle_one(plan, ctx, delivery)
    plan.state.write(ctx)


async def _handle_one(plan: _Plan, ctx: Context, delivery: Delivery) -> None:
    handler = _begin(plan, ctx, delivery)
    if handler is not None:
        # A `def` among `async def`s runs where an event loop runs, and still can't await.
        ctx.held_loop = None if handler.is_async else current_loop()
        result = handler.call(ctx)
        if isawaitable(result):
            result = await result
        if result is not None or handler.old is not None:
            _take(plan, ctx, handler, result)


def _with_flows(plan: _Plan, ctx: Context, turn: Turn) -> Awaitable[None] | None:
    """Handle the messages of a step that may be for flows; an awaitable if something of it has to be awaited."""
    deliveries = ctx.given.messages
    calls = turn.calls_of(deliveries)
    if calls or (plan.is_async and any(_is_for_async(plan, delivery) for delivery in deliveries)):
        return _with_flows_async(plan, ctx, turn, calls)
    try:
        for delivery in deliveries:
            if not turn.take(delivery):
                handler = _begin(plan, ctx, delivery)
                if handler is not None:
                    result = handler.call(ctx)
                    if result is not None or handler.old is not None:
                        _take(plan, ctx, handler, result)
        turn.finish()
    except BaseException:
        turn.abandon()
        raise
    turn.write_state()
    return None


async def _with_flows_async(plan: _Plan, ctx: Context, turn: Turn, calls: Sequence[Place]) -> None:
    try:
        await turn.make_calls(calls)
        for delivery in ctx.given.messages:
            if not turn.take(delivery):
                await _handle_one(plan, ctx, delivery)
        turn.finish()
    except BaseException:
        turn.abandon()
        raise
    turn.write_state()


def _is_for_async(plan: _Plan, delivery: Delivery) -> bool:
    # An answer may be for any of the handlers of answers; which one is looked up when its turn comes.
    handlers = [plan.messages.get(delivery.message.type), *(plan.answers.values() if delivery.message.re else ())]
    return any(handler is not None and handler.is_async for handler in handlers)


def _take(plan: _Plan, ctx: Context, handler: Handler, result: Any) -> None:
    if isinstance(result, Sent):
        # `return ctx.send(…)`: it was sent, and there is nothing to answer.
        return
    if ctx.abi.is_first:
        _take_as_python_1(plan, ctx, handler, result)
    elif isinstance(result, NewState):
        plan.state.replace(ctx, result.value)
        if result.reply is not None:
            ctx.reply(result.reply)
    elif handler.role is Role.ANSWER:
        text = f"a handler of answers returned {with_article(type(result).__name__)}, and nobody waits for an answer to an answer"
        raise WitError("BadResult", f"{place_of(handler.function)}: {text}: see ctx.reply(…, to=request.origin)")
    elif handler.role is not Role.MESSAGE:
        plan.state.begin(ctx, result, handler.role.value)
    elif plan.state.is_state(result) and result is not ctx._state:
        # Nearly always meant as the new state, and then lost if it were sent.
        name = type(result).__name__
        text = f"a handler returned {with_article(name)} that is not the state: NewState({name}(…)) makes it the state"
        raise WitError("BadResult", f"{place_of(handler.function)}: {text}, ctx.reply(…) answers with it")
    else:
        ctx.reply(result)


def _take_as_python_1(plan: _Plan, ctx: Context, handler: Handler, result: Any) -> None:
    if handler.returns_state or plan.state.is_state(result):
        plan.state.replace(ctx, result)
    else:
        ctx.reply(result)
