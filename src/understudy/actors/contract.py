"""The contract between the kernel and the engines: what goes into a step and what comes out.

The law: an engine's result depends on nothing but the input, the objects it can reach and the answers of `calls`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from understudy.actors.calls import Calls
from understudy.actors.query import QueryProgram
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.mailbox import QUEUE, Mailbox
from understudy.objects.message import Message
from understudy.objects.step import Outcome
from understudy.store.reader import Reader, Staging

NO_HEADERS: Mapping[str, str] = {}


class Delivery(NamedTuple):
    """A message and its id, and the row that says that it waits, if the store has one for it."""

    id: MessageId
    message: Message
    row: bytes | None = None


class Outgoing(Struct, frozen=True, kw_only=True, gc=False):
    """A message that a wit wants to send; the kernel gives it its place in the conversation."""

    to: str
    type: str
    content: Id
    lane: str = QUEUE
    re: str | None = None
    headers: Mapping[str, str] = NO_HEADERS


class StepInput(Struct, frozen=True, kw_only=True):
    """Everything that a wit may depend on.

    `parent` is None at genesis. `height`, `time` (microseconds since 1970) and `seed` are those of the step being made.
    `core` is where the wit is looked for and what it may change. `store` reads everything and takes what the step writes.
    `abi` is set in a replay: the rules that the step was made under, without the source, e.g. `python/1`.
    """

    actor: ActorId
    parent: StepId | None
    height: int
    time: int
    seed: int
    core: TreeId
    inbox: Mailbox
    outbox: Mailbox
    messages: Sequence[Delivery]
    store: Staging
    calls: Calls
    abi: str | None = None


class StepResult(Struct, frozen=True, kw_only=True):
    """What came out: the new core, messages in order, log entries, and the outcome if it is not ok.

    `retry` holds the text of a `Retry` that the wit raised, or of a capability that failed for now; then nothing else counts.
    `notes` are what the engine has to say beside the wit's log. `component_hash` is the sha256 of a component that the
    actor begins with, or goes on with after an update.
    """

    engine: str
    core: TreeId
    sent: Sequence[Outgoing] = ()
    log: Sequence[str] = ()
    outcome: Outcome | None = None
    retry: str | None = None
    notes: Sequence[str] = ()
    component_hash: str | None = None


class StateCheck(Struct, frozen=True, kw_only=True):
    """What the code of a core makes of the state that is in it: why it can't be read, or which of its paths it drops.

    With neither, nothing is lost, as far as the code says what its state is.
    """

    error: str | None = None
    dropped: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """True if nothing would be lost."""
        return self.problem is None

    @property
    def problem(self) -> str | None:
        """What would be lost, in a sentence; None if nothing is."""
        if self.error is not None:
            return f"the new code can't read the present state: {self.error}"
        if self.dropped:
            return f"the new code would lose what the present state holds at {', '.join(self.dropped)}"
        return None


class Reply(NamedTuple):
    """A capability's answer that was found at a step of another actor, which the journal names."""

    data: bytes
    step: StepId


class Program(Protocol):
    """The code of one version of a core, ready to run."""

    @property
    def engine(self) -> str:
        """The engine text that a step made by it carries."""

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        """Run one step. Never raises for what the wit does: a failure is in the result. Raises HostFailed for the machine's.

        Returns an awaitable, to be awaited on an event loop, only when the wit is asynchronous.
        """


class Engine(Protocol):
    """Runs one kind of code."""

    @property
    def name(self) -> str:
        """What `/runtime` says, and what the engine text begins with."""

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        """The program that `entry` ("wit" or "wit_update") of a core names, cached per version of the code. Raises WitError."""

    def load_query(self, core: TreeId, store: Reader) -> QueryProgram:
        """The queries of a core, cached per version of the code. Raises WitError(NO_QUERIES) where it has none.

        What they keep in memory is not shared with what steps run.
        """

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> Program | None:
        """What must agree before an update without a `/wit_update` turns one core into another; None: nothing must.

        Raises WitError if the code of the core afterwards can't be.
        """


class LiveEngine(Engine, Protocol):
    """An engine as a living node uses it, which also decides how many messages make a step."""

    @property
    def batch(self) -> int:
        """The most messages that one step takes where the core's `/policy` says nothing of it."""

    def version(self, core: TreeId, entry: str, store: Reader) -> Hashable:
        """What stands for the code that `load` would run: the same value as long as that code is the same. Raises WitError."""


@runtime_checkable
class ReadsState(Protocol):
    """An engine that knows what the state of its actors is. A node asks it before an update; no judge does."""

    def check_state(self, core: TreeId, store: Reader) -> StateCheck:
        """What the code in `/wit` makes of `/state`, e.g. in a core that an update would make. Changes nothing.

        Where the core has a `/wit_update`, that decides, and there is nothing to say. Raises WitError if the code can't be
        loaded. Runs the author's code: to be called where queries run.
        """


class Capability(Protocol):
    """Something the host offers to wits. Started only when the parent step is durable, at least once until the step is sealed."""

    @property
    def name(self) -> str:
        """The first part of its call paths."""

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes | Reply:
        """Answer a request. `key` is the same at every attempt of the same call. Raises CallFailed (kept), Retry (tried again)."""


@runtime_checkable
class TakesAside(Protocol):
    """A capability that also takes what goes along with a request and is no part of it, e.g. headers that a library makes up."""

    takes_aside: bool

    async def call(self, request: bytes, *, caller: ActorId, key: str, beside: object = None) -> bytes | Reply:
        """See Capability. Without `beside`, it does what the request alone says."""
