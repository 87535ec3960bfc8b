"""What a wit gets besides its messages: its actor and the time, and how it answers, sends and makes other actors."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, ParamSpec, TypeVar, overload

import msgspec

from understudy.actors.calls import Calls
from understudy.actors.contract import NO_HEADERS, Delivery, Outgoing, StepInput
from understudy.actors.errors import WitError
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.mailbox import QUEUE, UPDATE
from understudy.objects.message import ERROR, GENESIS
from understudy.objects.patch import patch_block
from understudy.store.maps import edit_tree
from understudy.store.reader import Frozen, Reader
from understudy.wit.abi import abi_of
from understudy.wit.answers import NO_ANSWERS, Answering, AnswerNames, name_in
from understudy.wit.asking import ask, one_context
from understudy.wit.content import encode_json, put_bytes, type_of
from understudy.wit.core import Changes, Core
from understudy.wit.effect import effect, refuse_in_effect
from understudy.wit.errors import step_over
from understudy.wit.inbox import Inbox
from understudy.wit.message import Message
from understudy.wit.networked import Networked
from understudy.wit.outbox import Outbox, Sent
from understudy.wit.requests import Duration, Origin, Request, open_request
from understudy.wit.scheduling import Scheduling
from understudy.wit.secret import marker_of
from understudy.wit.spawning import Prototype, Spawned, core_of, stage
from understudy.wit.verdict import Verdict

MAX_LOG: Final = 1024 * 1024  # characters; what a step's log may hold, so that no more is kept in memory
P = ParamSpec("P")
Value = TypeVar("Value")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNREAD: Final = object()  # the state was not asked for yet; None is a state
_verdict = msgspec.json.Decoder(Verdict).decode


class Context(Scheduling, Networked):
    """One step while it runs. Everything in it is recorded, so a replay sees the same."""

    __slots__ = (
        "_changes",
        "_core",
        "_delivery",
        "_inbox",
        "_is_over",
        "_log",
        "_log_left",
        "_outbox",
        "_random",
        "_spawned",
        "_state",
        "_state_bytes",
        "abi",
        "answer_names",
        "blocked_loop",
        "entry",
        "given",
        "request_in_hand",
        "timers_named",
    )

    def __init__(self, given: StepInput, entry: str) -> None:
        self.given = given
        self.entry = entry
        self.abi = abi_of(given.abi)
        self.blocked_loop: AbstractEventLoop | None = None
        self.answer_names: AnswerNames = NO_ANSWERS
        self.request_in_hand: Request | None = None
        self._state: Any = UNREAD
        self._state_bytes: bytes | None = None
        self._delivery: Delivery | None = given.messages[0] if len(given.messages) == 1 else None
        self._changes: Changes | None = None
        self._core: Core | None = None
        self._inbox: Inbox | None = None
        self._outbox: Outbox | None = None
        self._random: Random | None = None
        self._log: list[str] = []
        self._log_left = MAX_LOG
        self._spawned = 0
        self.timers_named = 0
        self._network = None
        self._secrets = {}
        self._is_over = False

    @property
    def actor_id(self) -> ActorId:
        """The actor that steps; `str()` gives the text form."""
        return self.given.actor

    @property
    def step_id(self) -> StepId | None:
        """The last step; None at genesis."""
        return self.given.parent

    @property
    def height(self) -> int:
        """The height of the step that is being made; 0 at genesis."""
        return self.given.height

    @property
    def time_us(self) -> int:
        """The step's recorded time in microseconds since 1970."""
        return self.given.time

    def now(self) -> datetime:
        """The step's recorded time, in UTC. It does not pass during a step."""
        return _EPOCH + timedelta(microseconds=self.given.time)

    @property
    def random(self) -> Random:
        """Random numbers from the step's recorded seed. For games and samples, not for secrets: the seed is public."""
        if self._random is None:
            self._random = Random(self.given.seed)
        return self._random

    @property
    def core(self) -> Core:
        """The actor's core."""
        if self._core is None:
            self._core = Core.of(self.changes, self.abi.encode)
        return self._core

    @property
    def changes(self) -> Changes:
        """What `core` is a view of."""
        if self._changes is None:
            self._changes = Changes(self.given.store, self.given.core)
            self._changes.is_over = self._is_over
        return self._changes

    def read_top(self, name: str) -> bytes | None:
        """The bytes of a blob in the core's root as it is now, None if there is nothing."""
        return self.changes.read_top(name)

    @property
    def inbox(self) -> Inbox:
        """The new messages, and the last message of each sender before."""
        if self._inbox is None:
            self._inbox = Inbox(self.given)
        return self._inbox

    @property
    def outbox(self) -> Outbox:
        """What the step will send."""
        if self._outbox is None:
            self._outbox = Outbox(self.given, self.abi)
            self._outbox.is_over = self._is_over
        return self._outbox

    @property
    def message(self) -> Message:
        """The message that is being handled. Raises ValueError if the step has several: then use `inbox`."""
        return Message(self.delivery, self.given.store)

    @property
    def delivery(self) -> Delivery:
        """The message that is being handled, as the kernel has it. Raises ValueError if the step has several."""
        if self._delivery is None:
            raise ValueError(
                f"the step consumes {len(self.given.messages)} messages: say which one, e.g. reply(…, to=message)"
            )
        return self._delivery

    def close(self) -> None:
        """The step is over: a timer, task or thread that the wit left behind gets an error from now on."""
        self._is_over = True
        if self._changes is not None:
            self._changes.is_over = True
        if self._outbox is not None:
            self._outbox.is_over = True

    def log(self, text: object) -> None:
        """Write a line into the step's log, which is part of the record. Raises WitError("StepOver") after the step."""
        if self._is_over:
            raise step_over("log")
        line = str(text)
        if self._log_left < 0:
            return
        # One character too many is kept, so that the log shows that it was cut.
        self._log.append(line[: self._log_left + 1])
        self._log_left -= len(line)

    def reply(
        self,
        content: Any,
        type: str = "reply",
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        to: Message | Origin | None = None,
    ) -> Sent:
        """Answer the message that is being handled, or the one given, whose id is the answer's `re`.

        In the handler of an answer, `to=request.origin` answers the message that led to the request.

        Raises ValueError for one of type `error`.
        """
        if to is None:
            delivery = self.delivery
            id, sender, kind = str(delivery.id), delivery.message.sender, delivery.message.type
        elif isinstance(to, Origin):
            id, sender, kind = to.id, to.sender, to.type
        else:
            id, sender, kind = str(to.id), to.sender, to.type
        if kind == ERROR:
            raise ValueError("nothing answers a message of type 'error': two actors could answer each other for ever")
        return self.outbox.send(sender, type=type, content=content, re=id, headers=headers)

    def send(
        self,
        to: str | Id,
        content: Any,
        *,
        type: str | None = None,
        lane: str = QUEUE,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Sent:
        """Send to an actor, by id or name, or to a party outside: bytes as they are, an id as a link, else as JSON. The
        result has the message's id, which an answer or an `error` to it carries as `re`.
        Without a type, it is the name of the content's class: `@wit.message(Greet)` handles `send(to, Greet("Ann"))`.
        """
        if type is None:
            type = type_of(content)
        return self.outbox.send(to, type=type, content=content, lane=lane, headers=headers)

    def request(
        self,
        to: str | Id,
        content: Any,
        *,
        on_answer: Answering,
        on_error: Answering | None = None,
        timeout: Duration | None = None,
        about: Any = None,
        type: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Sent:
        """Send to an actor, by id or name; a function that `@wit.answer` marks handles its answer.

        `on_error` gets a failure instead, as a `Failure`, also if no answer came within `timeout` ("30s", 3.5 seconds).
        Only their names are stored, in the core at `/requests/ID`, so restarts and updates don't matter. `about` is plain
        JSON that the handler gets back in its `request: Request`. Raises TypeError for a function without `@wit.answer`,
        ValueError for a party outside, WitError("TooManyRequests"), BadTimer, and all that `send` raises.
        """
        names = [name_in(self.answer_names, handler) for handler in (on_answer, on_error)]
        sent = self.send(to, content, type=type, headers=headers)
        open_request(self.core, self.given, self._delivery, sent, *names, about=about, timeout=timeout)
        return sent

    def update(self, to: str | Id, changes: Mapping[str, bytes | str | Id | None]) -> Sent:
        """Send a patch of another actor's core in its update lane; None removes. It must allow that in its /policy."""
        store = self.given.store
        patch = store.put(patch_block({path: stage(store, value) for path, value in changes.items()}))
        return self.outbox.send(to, type=UPDATE, content=patch, lane=UPDATE)

    def spawn(
        self,
        prototype: Prototype | None = None,
        args: Any = None,
        *,
        like: str | Id | None = None,
        nonce: str | None = None,
        on_answer: Answering | None = None,
        on_error: Answering | None = None,
        about: Any = None,
    ) -> Spawned:
        """Make another actor and get its id at once; its genesis message (`.sent`) goes out with the step.

        The prototype is a core: paths and what is there, a tree's id, a `core.dir(…)`, or a path in the own core. `like` is
        the name or id of an actor instead: its code and data of today, its first state and timers; the journal keeps which.
        `args` is put at `/args` as JSON, for the new actor's `@wit.genesis`. `/nonce` makes it an actor of its own;
        with a nonce of your own, the same prototype, args and nonce are the same actor, and doing it again is harmless.
        `on_answer` hears what its genesis handler answers (`ctx.reply`), `on_error` that it failed: see `request`.
        """
        names = [name_in(self.answer_names, handler) for handler in (on_answer, on_error)]
        store = self.given.store
        if nonce is None:
            nonce = f"{self.given.actor}/{self.given.height}/{self._spawned}"
            self._spawned += 1
        extra: dict[str, Id | None] = {"nonce": put_bytes(store, nonce.encode())}
        if args is not None:
            extra["args"] = put_bytes(store, self.abi.encode(args))
        core = edit_tree(store, core_of(self, prototype, like), extra)
        if "wit" not in store.tree(core):
            raise WitError("NoWit", "the prototype has no /wit, so it can't become an actor")
        sent = self.outbox.send(core, type=GENESIS, content=core)
        if any(names):
            open_request(self.core, self.given, self._delivery, sent, *names, about=about)
        return Spawned(core, sent)

    async def verify(self, actor: str | Id) -> Verdict:
        """Verify another actor's history: check and replay it. Raises CallFailed, e.g. if there is no such actor."""
        return _verdict(await self.calls.call("verify", encode_json({"actor": str(actor)})))

    def query(self, actor: str | Id, name: str, /, context: Any = None, **arguments: Any) -> Any:
        """Ask another actor at its newest durable step: a Blob or a Tree, awaited in an `async def`.

        The journal records the step that was asked and its answer. Raises CallFailed for an error, e.g. UnknownQuery.
        """
        return ask(self, actor, name, one_context(context, arguments), raises=True)

    # Of a function that is no `async def`, the result in a `def`, and an awaitable of it in an `async def`: no type says that.
    @overload
    def effect(
        self, function: Callable[P, Coroutine[Any, Any, Value]], /, *arguments: P.args, **named: P.kwargs
    ) -> Awaitable[Value]: ...
    @overload
    def effect(self, function: Callable[P, Any], /, *arguments: P.args, **named: P.kwargs) -> Any: ...

    def effect(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Have the host run a plain function, e.g. of a module behind `external:`, and get its result; awaited in an `async def`.

        The result is recorded in the journal, so it must be bytes or JSON, and a replay does not call the function. A
        function that blocks runs on its own thread. What it raises comes as CallFailed with the name of the exception;
        Retry stays Retry. The arguments must be JSON too: a replay compares them.
        """
        return effect(self, function, arguments, named)

    def secret(self, name: str) -> str:
        """A marker for a secret of the operator. In a request, the host puts the value in its place.

        Each step gets a different marker. Raises ValueError for a wrong name. An unknown secret, or one that is not for
        this host, is an error of the request.
        """
        marker = marker_of(self.given.actor, self.given.parent, self.given.seed, name)
        self._secrets[marker] = name
        return marker

    @property
    def reader(self) -> Reader:
        """The objects that may be read; it can't write."""
        return Frozen(self.given.store)

    @property
    def calls(self) -> Calls:
        """How the step reaches the world."""
        refuse_in_effect()
        return self.given.calls

    def messages(self) -> list[Message]:
        """The new messages, in order."""
        return list(self.inbox)

    def sealed_core(self) -> TreeId:
        """The core with the changes made so far."""
        return self.given.core if self._changes is None else self._changes.seal()

    def core_changed(self) -> bool:
        """True if the core was changed."""
        return self._changes is not None and self._changes.changed

    def sent(self) -> Sequence[Outgoing]:
        """What was sent so far."""
        return () if self._outbox is None else self._outbox.sent

    def logged(self) -> Sequence[str]:
        """What was logged so far."""
        return self._log
