"""What a query is given: the step that is asked, seen without a way to write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from understudy.actors.calls import Calls
from understudy.actors.query import Blob, QueryInput
from understudy.objects import ids
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.step import Step
from understudy.store.reader import Frozen, Reader
from understudy.wit.asking import ask, one_context
from understudy.wit.context import UNREAD, Context
from understudy.wit.core import Core
from understudy.wit.errors import NotInQuery
from understudy.wit.running import current_loop

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QueryContext:
    """One query while it runs. Everything is as it was after the step that is asked."""

    __slots__ = ("_core", "_state", "_state_bytes", "blocked_loop", "given", "reader")

    def __init__(self, given: QueryInput) -> None:
        self.given = given
        self.reader: Reader = Frozen(given.store)
        self.blocked_loop = current_loop()
        self._core: Core | None = None
        self._state: Any = UNREAD
        self._state_bytes: bytes | None = None

    def __getattr__(self, name: str) -> NoReturn:
        """What a query does not have. Raises NotInQuery for what a step has."""
        if name in _ONLY_IN_STEPS:
            raise NotInQuery(name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}", name=name, obj=self)

    @property
    def actor_id(self) -> ActorId:
        """The actor that is asked."""
        return self.given.actor

    @property
    def step_id(self) -> StepId:
        """The step that is asked."""
        return self.given.step_id

    @property
    def step(self) -> Step:
        """That step: its time, core, inbox, outbox, outcome and parent."""
        return self.given.step

    @property
    def height(self) -> int:
        """The height of that step."""
        return self.given.step.height

    @property
    def time_us(self) -> int:
        """The time of that step in microseconds since 1970. A query knows no other."""
        return self.given.step.time

    def now(self) -> datetime:
        """The time of that step, in UTC."""
        return _EPOCH + timedelta(microseconds=self.given.step.time)

    @property
    def name(self) -> str:
        """The name of the query."""
        return self.given.name

    @property
    def context(self) -> Blob:
        """What the query was asked with."""
        return self.given.context

    @property
    def core(self) -> Core:
        """The core after the step. Writing into it raises WitError("ReadOnly")."""
        if self._core is None:
            self._core = Core.frozen(self.reader, self.given.step.core)
        return self._core

    def read_top(self, name: str) -> bytes | None:
        """The bytes of a blob in the core's root, None if there is nothing."""
        # Not through the core, whose nodes are decoded for each query: nothing but immutable bytes comes out here.
        found = self.given.store.find(self.given.step.core, name)
        if found is None:
            return None
        return self.given.store.block(found) if ids.is_raw(found) else self.core.changes.read(found, name)

    @property
    def calls(self) -> Calls:
        """How other actors are asked."""
        return self.given.calls

    @property
    def network(self) -> NoReturn:
        """There is none."""
        raise NotInQuery("http")

    def query(self, actor: str | Id, name: str, /, context: Any = None, **arguments: Any) -> Any:
        """Ask another actor: a Blob or a Tree, awaited in an `async def`. Raises CallFailed for an error."""
        return ask(self, actor, name, one_context(context, arguments), raises=True)


_ONLY_IN_STEPS: Final = frozenset(name for name in dir(Context) if name[0] != "_") - frozenset(dir(QueryContext))
