"""What flows ask for, carried out in a step: messages, timers, waits, calls, other actors, the state."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter
from typing import Any, Protocol

from understudy.actors.errors import WitError
from understudy.objects.names import is_outside
from understudy.objects.timer import Timer
from understudy.wit.content import encode_json
from understudy.wit.context import UNREAD, Context
from understudy.wit.flows import index
from understudy.wit.flows.awaiting import Await, Kind
from understudy.wit.flows.context import Letter, Spawn, Touch
from understudy.wit.flows.flow import Flow
from understudy.wit.flows.index import Place
from understudy.wit.flows.notice import FLOW, Notice
from understudy.wit.outbox import Sent
from understudy.wit.parameters import kind_with_article, parameters_of, place_of
from understudy.wit.requests import FOLDER as REQUESTS
from understudy.wit.requests import close_request, open_request
from understudy.wit.state import StateType
from understudy.wit.timers import drop_timer, put_timer


class Asks:
    """Carries out in one step what flows ask for."""

    def __init__(self, step: Context, state: StateType) -> None:
        self._step = step
        self.state = state

    def carry_out(self, flow: Flow, awaited: Await[Any]) -> bytes | None:
        """Do what a flow asks for the first time; gives the answer, if it is there at once."""
        work = awaited.ask.work
        match awaited.ask.kind:
            case Kind.REQUEST:
                self._request(flow, awaited, work)
            case Kind.WAIT:
                awaited.key = index.add_wait(self._step.core, work.type, work.fields, Place(flow.id, awaited.n))
            case Kind.TIMER:
                self._set_timer(flow, awaited, work)
            case Kind.CALL:
                self.ask_for_call(flow.id, awaited.n)
            case _:
                return self._at_once(flow, awaited, work)
        return None

    def take_back(self, flow: str, open: Open) -> None:
        """Forget what would have led an answer to a flow."""
        core = self._step.core
        if open.message is not None:
            self.forget_request(open.message)
        if open.key is not None:
            index.remove_wait(core, open.key, Place(flow, open.n))
        if open.due is not None:
            drop_timer(core, timer_name(flow, open.n))

    def _request(self, flow: Flow, awaited: Await[Any], letter: Letter) -> None:
        if is_outside(letter.to):
            raise WitError(
                "NotAnActor", f"{letter.to} is outside: it gets messages and answers none, so send instead of request"
            )
        self._send(flow, awaited, letter)
        self._expect(flow.id, awaited.n)

    def _expect(self, flow: str, n: int) -> None:
        """Have what comes back for the message that was sent last answer an ask."""
        step = self._step
        sent = step.outbox.sent[-1]
        try:
            open_request(step.core, step.given, None, Sent(step.outbox, len(step.outbox) - 1), flow=flow, about=n)
        except WitError:
            # Not one that nobody would hear the answer of.
            step.outbox.sent.remove(sent)
            raise

    def _send(self, flow: Flow, awaited: Await[Any], letter: Letter) -> None:
        sent = self._step.outbox.send(
            flow.places.get(letter.to, letter.to),
            type=letter.type,
            content=letter.content,
            lane=letter.lane,
            headers=letter.headers,
        )
        awaited.message, awaited.to = str(sent.id), sent.to

    def _set_timer(self, flow: Flow, awaited: Await[Any], due: int) -> None:
        content = encode_json(Notice(flow=flow.id, ask=awaited.n))
        put_timer(self._step.core, timer_name(flow.id, awaited.n), Timer(type=FLOW, content=content, at=due))
        awaited.due = due

    def ask_for_call(self, flow: str, n: int) -> None:
        """Have a call made in a step of its own. If that step fails, its error is the answer."""
        self._step.outbox.send(self._step.actor_id, type=FLOW, content=encode_json(Notice(flow=flow, ask=n)))
        self._expect(flow, n)

    def forget_request(self, message: str) -> None:
        """No answer to a message is waited for any more, if one was: none comes, or it was taken."""
        if f"{REQUESTS}/{message}" in self._step.core:
            close_request(self._step.core, message)

    def _at_once(self, flow: Flow, awaited: Await[Any], work: Any) -> bytes:
        match work:
            case Letter():
                self._send(flow, awaited, work)
                return str(awaited.message).encode()
            case Spawn(prototype=prototype, args=args, like=like, nonce=nonce):
                return str(self._step.spawn(prototype, args, like=like, nonce=nonce)).encode()
            case Touch(function=function, arguments=arguments, named=named):
                return self._state_for(function).touch(self._step, lambda state: function(state, *arguments, **named))
            case _:
                raise AssertionError(work)

    def _state_for(self, function: Callable[..., Any]) -> StateType:
        """The type of the state. If no handler says which it is, the functions that touch it do."""
        kind = _state_kind(function)
        if kind in (Parameter.empty, self.state.kind):
            return self.state
        if self.state.is_declared or self._step._state is not UNREAD:
            here, there = kind_with_article(kind), kind_with_article(self.state.kind)
            text = f"the state is {here} here, and {there} elsewhere: a wit has one type of state"
            raise WitError("WrongSignature", f"{place_of(function)}: {text}")
        self.state = StateType(kind)
        return self.state


class Open(Protocol):
    """What a flow waits for: an ask that runs, or one in a record."""

    @property
    def n(self) -> int:
        """Its number."""

    @property
    def message(self) -> str | None:
        """The message that was sent for it."""

    @property
    def key(self) -> str | None:
        """Where the core says that messages of a type are waited for."""

    @property
    def due(self) -> int | None:
        """When its timer goes off."""


def timer_name(flow: str, n: int) -> str:
    """The name of the timer that an ask of a flow waits for."""
    return f"{FLOW}-{flow}-{n}"


def _state_kind(function: Callable[..., Any]) -> Any:
    parameters, _ = parameters_of(function)
    return parameters[0].kind if parameters else Parameter.empty
