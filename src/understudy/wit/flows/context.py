"""What the code of a flow is given as `ctx`: the means whose answers stand in the flow's record."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

import msgspec

from understudy.actors.calls import Calls
from understudy.actors.contract import NO_HEADERS
from understudy.actors.errors import WitError
from understudy.objects.codec import Block
from understudy.objects.duration import duration_us
from understudy.objects.ids import ActorId, Id, TreeId, parse
from understudy.objects.journal import Entry
from understudy.objects.mailbox import QUEUE
from understudy.objects.message import check_type
from understudy.objects.timer import check_instant
from understudy.store.reader import Reader
from understudy.wit.asking import ask as ask_another
from understudy.wit.asking import one_context
from understudy.wit.content import decode_or_refuse, decoder_for, encode_json, type_of
from understudy.wit.effect import effect, refuse_in_effect
from understudy.wit.flows.awaiting import Ask, Await, Kind, digest_of
from understudy.wit.networked import Networked
from understudy.wit.requests import Duration, due_after
from understudy.wit.secret import check_secret_name
from understudy.wit.spawning import Prototype
from understudy.wit.verdict import Verdict

if TYPE_CHECKING:
    from httpx import AsyncClient

    from understudy.wit.flows.flow import Flow

Value = TypeVar("Value")
P = ParamSpec("P")
_SECOND_US = 1_000_000
_NOTHING = b"null"  # what is answered at once to code that does not let go
_verdict = msgspec.json.Decoder(Verdict).decode


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a flow sends."""

    to: str
    content: bytes | Id
    type: str
    lane: str = QUEUE
    headers: Mapping[str, str] = NO_HEADERS


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a flow waits for: its type, and what fields of its payload must be."""

    type: str
    fields: Mapping[str, Any]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a capability."""

    capability: str
    request: bytes
    beside: object


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """Another actor to be made."""

    prototype: Any
    args: Any
    like: str | Id | None
    nonce: str | None


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A flow of the same actor to be started."""

    type: str
    payload: bytes


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """A function that reads or changes the state."""

    function: Callable[..., Any]
    arguments: Sequence[Any]
    named: Mapping[str, Any]


class FlowContext(Networked):
    """One flow while its code runs. What it asks for is recorded with its answers, and done once however often the code runs."""

    __slots__ = ("_calls", "_decoders", "_flow", "blocked_loop")

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._calls = _FlowCalls(flow)
        self._decoders: dict[Any, Callable[[bytes], Any]] = {}
        self._network = None
        self._secrets = {}
        self.blocked_loop = None

    @property
    def flow_id(self) -> str:
        """The flow's id: that of the message that began it."""
        return self._flow.id

    @property
    def actor_id(self) -> ActorId:
        """The actor that the flow belongs to."""
        return self._flow.turn.step.actor_id

    @property
    def sender(self) -> str | None:
        """Who began the flow and gets its answer; None for a child flow."""
        return self._flow.record.begin.sender

    @property
    def time_us(self) -> int:
        """The time of the step that the flow goes on in, in microseconds since 1970."""
        return self._flow.time

    def now(self) -> datetime:
        """The time of the step that the flow goes on in, in UTC. It passes only while the flow awaits something."""
        return self._flow.now()

    @property
    def random(self) -> Random:
        """Random numbers from the seed of the step that the flow began in."""
        return self._flow.random

    def log(self, text: object) -> None:
        """Write a line into the log of the step; once, however often the code runs."""
        if self._flow.is_let_go:
            return
        step = self._flow.turn.step
        if self._flow.is_live:
            step.log(text)

    @overload
    def request(
        self,
        to: str | Id,
        content: Any,
        *,
        returns: type[Value],
        type: str | None = None,
        timeout: Duration | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Await[Value]: ...
    @overload
    def request(
        self,
        to: str | Id,
        content: Any,
        *,
        type: str | None = None,
        timeout: Duration | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Await[Any]: ...

    def request(
        self,
        to: str | Id,
        content: Any,
        *,
        returns: Any = Any,
        type: str | None = None,
        timeout: Duration | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Await[Any]:
        """Send to an actor, by id or name, at once; awaited, it gives the answer's content as the type `returns`, or plain JSON.

        Raises CallFailed with the code of an `error` that comes back, e.g. a Refusal's, and TimeoutError after `timeout`.
        """
        delay = self._delay(timeout)
        letter = self._letter(to, content, type, QUEUE, headers)
        awaited = self._ask(
            Kind.REQUEST,
            f"request {letter.to} {letter.type}",
            letter,
            digest_of(bytes(letter.content), _encoded(letter.headers)),
            decode=self._decoder(returns, f"the answer of {letter.to} to {letter.type!r}"),
        )
        self._limit(awaited, delay, timeout, f"{letter.to} did not answer {letter.type!r}")
        return awaited

    def send(
        self,
        to: str | Id,
        content: Any,
        *,
        type: str | None = None,
        lane: str = QUEUE,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> str:
        """Send a message that is not waited for; gives its id."""
        letter = self._letter(to, content, type, lane, headers)
        digest = digest_of(bytes(letter.content), lane.encode(), _encoded(letter.headers))
        return self._at_once(f"send {letter.to} {letter.type}", letter, digest).decode()

    def sleep(self, duration: Duration) -> Await[None]:
        """Wait for seconds, or for a duration like "3 days"."""
        delay = duration_us(duration)
        due = check_instant(self._flow.time + delay, what="the time after the sleep")
        awaited: Await[None] = self._ask(Kind.TIMER, f"sleep {delay / _SECOND_US:g} s", due)
        awaited.go_off = _nothing
        return awaited

    @overload
    def wait(self, kind: type[Value], *, timeout: Duration | None = None, **fields: Any) -> Await[Value]: ...
    @overload
    def wait(self, kind: str, *, timeout: Duration | None = None, **fields: Any) -> Await[Any]: ...

    def wait(self, kind: Any, *, timeout: Duration | None = None, **fields: Any) -> Await[Any]:
        """Wait for a message to this actor: of a payload class, whose name is its type, or of a type; gives its payload.

        Of the payload's fields, those that are named here must be as they are here: `ctx.wait(Approved, order=order.id)`.
        It waits from this call on, also where the result is awaited later.
        A message that several flows wait for goes to the one that has waited longest. Raises TimeoutError.
        """
        delay = self._delay(timeout)
        type_text = kind if isinstance(kind, str) else kind.__name__
        check_type(type_text)
        for name in fields:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is no field that a flow can wait for: it must be a name as Python has them")
        plain = msgspec.json.decode(encode_json(fields))
        shown = "".join(f" {name}={msgspec.json.encode(value).decode()}" for name, value in sorted(plain.items()))
        decode = self._decoder(Any if isinstance(kind, str) else kind, f"the content of the message {type_text!r}")
        waiting = Waiting(type=type_text, fields=plain)
        awaited = self._ask(Kind.WAIT, f"wait {type_text}{shown}", waiting, decode=decode)
        self._limit(awaited, delay, timeout, f"no message {type_text!r} came{shown and ' with' + shown}")
        return awaited

    def start(self, flow: Callable[..., Any] | str, payload: Any = None) -> Await[Any]:
        """Start another flow of this actor, by its function or message type; awaited, it gives what that returns.

        It has a record of its own. If this one is cancelled, or does not want it any more, it is cancelled too.
        """
        type = self._flow.turn.type_of_flow(flow)
        content = encode_json(payload)
        return self._ask(Kind.CHILD, f"start {type}", Child(type=type, payload=content), digest_of(content), _read_json)

    def with_state(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Let a function read or change the actor's state: `function(state, …)`. Gives what it returns, which must be JSON.

        It is called once, on the state as it is in that moment, whatever other flows and messages did meanwhile.
        For states that can't be changed in place, it returns a `NewState(…, reply=result)`.
        """
        name = getattr(function, "__qualname__", type(function).__name__)
        digest = digest_of(encode_json([arguments, named]))
        return _read_json(
            self._at_once(f"state {name}", Touch(function=function, arguments=arguments, named=named), digest)
        )

    def spawn(
        self,
        prototype: Prototype | None = None,
        args: Any = None,
        *,
        like: str | Id | None = None,
        nonce: str | None = None,
    ) -> ActorId:
        """Make another actor and get its id at once, as `Context.spawn` does. A path is one in the actor's core."""
        of = (str(like).encode(),) if like is not None else ()
        digest = digest_of(encode_json(args), (nonce or "").encode(), *of)
        found = self._at_once("spawn", Spawn(prototype=prototype, args=args, like=like, nonce=nonce), digest)
        return ActorId(TreeId(parse(found.decode())))

    async def query(self, actor: str | Id, name: str, /, context: Any = None, **arguments: Any) -> Any:
        """Ask another actor at its newest durable step: a Blob or a Tree. Raises CallFailed for an error."""
        return await ask_another(self, actor, name, one_context(context, arguments), raises=True)

    async def verify(self, actor: str | Id) -> Verdict:
        """Have another actor's history checked and replayed. Raises CallFailed, e.g. if there is no such actor."""
        return _verdict(await self._calls.call("verify", encode_json({"actor": str(actor)})))

    @overload
    async def effect(
        self, function: Callable[P, Coroutine[Any, Any, Value]], /, *arguments: P.args, **named: P.kwargs
    ) -> Value: ...
    @overload
    async def effect(self, function: Callable[P, Value], /, *arguments: P.args, **named: P.kwargs) -> Value: ...

    async def effect(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Have the host run a plain function, as `Context.effect` does; its result stands in the flow's record."""
        return await effect(self, function, arguments, named)

    if TYPE_CHECKING:
        # In a step it depends on who asks; a flow awaits.
        @property
        def http(self) -> AsyncClient: ...

    def secret(self, name: str) -> str:
        """A marker for a secret of the operator's, as `Context.secret` gives it; it stays the same as long as the flow."""
        begin = self._flow.record.begin
        check_secret_name(name)
        digest = sha256(f"{self._flow.id}\n{begin.seed}\n{name}".encode()).hexdigest()
        marker = f"secret-{name}-{digest[:40]}"
        self._secrets[marker] = name
        return marker

    @property
    def reader(self) -> Reader:
        """What a library of ours may read."""
        return self._flow.turn.step.reader

    @property
    def calls(self) -> Calls:
        """How the flow reaches the world."""
        refuse_in_effect()
        return self._calls

    def _decoder(self, kind: Any, what: str) -> Callable[[bytes], Any]:
        try:
            decode = self._decoders.get(kind) or self._decoders.setdefault(kind, decoder_for(kind))
        except TypeError:
            # An annotation that can't be hashed; or one that JSON can't become, which is said again.
            decode = decoder_for(kind)
        return lambda data: decode_or_refuse(decode, data, what)

    def _letter(self, to: str | Id, content: Any, type: str | None, lane: str, headers: Mapping[str, str]) -> Letter:
        kind = type_of(content) if type is None else type
        if not isinstance(content, bytes):
            content = encode_json(content)
        return Letter(to=str(to), content=content, type=kind, lane=lane, headers=dict(sorted(headers.items())))

    def _ask(
        self, kind: Kind, what: str, work: Any, digest: str = "", decode: Callable[[bytes], Any] = bytes
    ) -> Await[Any]:
        return self._flow.ask(Ask(kind=kind, what=what, digest=digest, decode=decode, work=work))

    def _at_once(self, what: str, work: Any, digest: str) -> bytes:
        awaited = self._ask(Kind.NOW, what, work, digest)
        answer: bytes = _NOTHING if self._flow.is_let_go else awaited.result()
        return answer

    def _delay(self, timeout: Duration | None) -> int | None:
        """A time-out in microseconds. To be asked before what it is for: who gives a wrong one has asked for nothing."""
        return None if timeout is None else due_after(self._flow.time, timeout) - self._flow.time

    def _limit(self, awaited: Await[Any], delay: int | None, timeout: object, what: str) -> None:
        """Have an ask end with TimeoutError."""
        if delay is None:
            return
        loop = self._flow.loop

        def give_up() -> None:
            if not awaited.done():
                awaited.set_exception(TimeoutError(f"{what} within {timeout}"))

        timer = loop.call_later(delay / _SECOND_US, give_up)
        awaited.add_done_callback(lambda _: timer.cancel())


class _FlowCalls:
    """The calls of a flow: each is made in a step of its own, and its answer stands in the record."""

    entries: Sequence[Entry] = ()
    blocks: Sequence[Block] = ()
    unanswered: Exception | None = None

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def close(self) -> None:
        """Nothing: what a flow asks for ends with the flow."""

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """Ask a capability. Raises CallFailed."""
        work = Call(capability=capability, request=request, beside=beside)
        awaited: Await[bytes] = self._flow.ask(
            Ask(kind=Kind.CALL, what=f"call {capability}", digest=digest_of(request), work=work)
        )
        return await awaited

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> NoReturn:
        """Raise WitError: a flow that waits for an answer lets its actor do other things meanwhile."""
        raise WitError("NotInAFlow", f"a flow awaits what it asks of {capability!r}, in an `async def`")


def _encoded(headers: Mapping[str, str]) -> bytes:
    return encode_json(headers) if headers else b""


def _nothing() -> None:
    pass


_read_json = msgspec.json.Decoder().decode
