"""How a wit handles the messages of a step: what is prepared of its handlers, which one a message is for, and what becomes
of what that returns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import Any

from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.actors.errors import Refusal, WitError
from understudy.actors.query import Blob
from understudy.objects.message import ERROR
from understudy.objects.wording import with_article
from understudy.wit.answers import AnswerNames, describe_unheard, handler_of, is_late
from understudy.wit.content import read_content
from understudy.wit.context import Context
from understudy.wit.flows.awaited import Awaited
from understudy.wit.flows.handler import FlowHandler
from understudy.wit.flows.index import Place
from understudy.wit.flows.turn import Turn
from understudy.wit.handler import Handler, Role
from understudy.wit.outbox import Sent
from understudy.wit.parameters import place_of
from understudy.wit.query_handler import QueryHandler
from understudy.wit.requests import Request, answered_by, close_request, find_request
from understudy.wit.running import current_loop
from understudy.wit.state import NewState, StateType


class Plan(Struct, kw_only=True):
    """The handlers of a wit, with what each asks for resolved."""

    state: StateType
    messages: dict[str, Handler]
    genesis: Handler | None
    update: Handler | None
    queries: dict[str, QueryHandler]
    flows: dict[str, FlowHandler]
    awaited: dict[str, Awaited]
    answers: dict[str, Handler]
    answer_names: AnswerNames
    is_async: bool
    wut: Blob | None = None


def begin(plan: Plan, ctx: Context, delivery: Delivery) -> Handler | None:
    """The handler of the message that is handled from now on, if it has one; the request that it answers is closed."""
    handler = _choose(plan, ctx, delivery)
    ctx._delivery = delivery
    request, answered = ctx.request_in_hand, answered_by(delivery.message)
    if request is not None:
        close_request(ctx.core, str(answered))
    if handler is None and (plan.answers or plan.flows) and answered is not None:
        ctx.log(describe_unheard(delivery.message, request))
    return handler


def take(plan: Plan, ctx: Context, handler: Handler, result: Any) -> None:
    """What a handler returned: an answer, or a new state. Raises WitError("BadResult") for what can be neither."""
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


def needs_await(plan: Plan, ctx: Context) -> bool:
    """True if the handler of one of the step's messages is asynchronous."""
    handlers = [_choose(plan, ctx, delivery) for delivery in ctx.given.messages]
    return any(handler is not None and handler.is_async for handler in handlers)


async def handle_async(plan: Plan, ctx: Context) -> None:
    """Handle all messages of a step in order, where a handler may have to be awaited."""
    for delivery in ctx.given.messages:
        await _handle_one(plan, ctx, delivery)
    plan.state.write(ctx)


def with_flows(plan: Plan, ctx: Context, turn: Turn) -> Awaitable[None] | None:
    """Handle the messages of a step that may be for flows; an awaitable if something of it has to be awaited."""
    deliveries = ctx.given.messages
    calls = turn.calls_of(deliveries)
    if calls or (plan.is_async and any(_is_for_async(plan, delivery) for delivery in deliveries)):
        return _with_flows_async(plan, ctx, turn, calls)
    try:
        for delivery in deliveries:
            if not turn.take(delivery):
                handler = begin(plan, ctx, delivery)
                if handler is not None:
                    result = handler.call(ctx)
                    if result is not None or handler.old is not None:
                        take(plan, ctx, handler, result)
        turn.finish()
    except BaseException:
        turn.abandon()
        raise
    turn.write_state()
    return None


def _choose(plan: Plan, ctx: Context, delivery: Delivery) -> Handler | None:
    """The handler of a message; None if it passes without one. Raises Refusal("NoHandler", "NotAwaited")."""
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
        if type in plan.awaited:
            plan.awaited[type].refuse(
                read_content(ctx.given.store, delivery.message.content, f"the content of the message {type!r}")
            )
        known = ", ".join(sorted({*plan.messages, *plan.flows, *plan.awaited})) or "none"
        waits = ", and no flow waits for this one now" if plan.flows else ""
        raise Refusal("NoHandler", f"there is no handler for messages of type {type!r}{waits}; there are: {known}")
    return handler


def _request(plan: Plan, ctx: Context, delivery: Delivery) -> Request | None:
    """The request that a message answers."""
    if ctx.abi.is_first or answered_by(delivery.message) is None:
        return None
    return find_request(ctx.core, delivery.message, is_ours=bool(plan.answers))


async def _handle_one(plan: Plan, ctx: Context, delivery: Delivery) -> None:
    handler = begin(plan, ctx, delivery)
    if handler is not None:
        # A `def` among `async def`s runs where an event loop runs, and still can't await.
        ctx.blocked_loop = None if handler.is_async else current_loop()
        result = handler.call(ctx)
        if isawaitable(result):
            result = await result
        if result is not None or handler.old is not None:
            take(plan, ctx, handler, result)


async def _with_flows_async(plan: Plan, ctx: Context, turn: Turn, calls: Sequence[Place]) -> None:
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


def _is_for_async(plan: Plan, delivery: Delivery) -> bool:
    # An answer may be for any of the handlers of answers; which one is looked up when its turn comes.
    handlers = [plan.messages.get(delivery.message.type), *(plan.answers.values() if delivery.message.re else ())]
    return any(handler is not None and handler.is_async for handler in handlers)


def _take_as_python_1(plan: Plan, ctx: Context, handler: Handler, result: Any) -> None:
    if handler.returns_state or plan.state.is_state(result):
        plan.state.replace(ctx, result)
    else:
        ctx.reply(result)
