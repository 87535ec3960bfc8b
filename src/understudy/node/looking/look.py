"""Looking into a store: all that can be asked of it without a living node. Loads no engine and no scheduler.

The laws: nothing is changed, and what is seen is durable. Web and command line ask by these methods alone; only `reader`,
which can't write, is handed on to what reads objects (tests/test_layers.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from understudy.actors.errors import WitError
from understudy.node.errors import NotFound
from understudy.node.holds import foremost, read_holds
from understudy.node.looking.activity import Activity
from understudy.node.looking.code_version import code_version
from understudy.node.looking.directory import Directory, Found, States, Wanted
from understudy.node.looking.flow_ends import FlowEnd, find_flow_end
from understudy.node.looking.lookup import ActorInfo, Evidence, Lookup, Page, Pending
from understudy.node.looking.roster import Roster
from understudy.node.looking.stopped_flows import StoppedFlow, find_stopped_flows
from understudy.node.looking.timetable import Scheduled, Timetable
from understudy.objects.codec import Block
from understudy.objects.errors import BadId
from understudy.objects.ids import ActorId, Id, MessageId, StepId, parse
from understudy.objects.message import Message
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.keys import meta_row
from understudy.store.port import Backend
from understudy.store.verified import Grit
from understudy.store.walk import walk
from understudy.wit.flows.overview import FlowView, flow_ids, has_flow, look_at_flow


class Look:
    """What a store says of its actors. Raises StoreError where the store fails, NodeError where there is no such thing."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.reader = Grit(backend)
        self.name = read_meta(backend, "node").decode()
        self.lookup = Lookup(backend, self.reader)
        self._timetable = Timetable(backend, self.reader)
        self._directory = Directory(backend, Roster(backend, self.reader), self.lookup.names)

    def close(self) -> None:
        """Close the store. Not for a living node, which has `stop`."""
        self.backend.close()

    def resolve(self, text: str) -> ActorId:
        """See Lookup.resolve."""
        return self.lookup.resolve(text)

    def resolve_expected(self, text: str) -> ActorId:
        """See Lookup.resolve_expected."""
        return self.lookup.resolve_expected(text)

    def actor(self, actor: ActorId) -> ActorInfo:
        """See Lookup.actor."""
        return self.lookup.actor(actor)

    def actors(self, *, after: str | None = None, limit: int = 100) -> Page[ActorInfo]:
        """See Lookup.actors."""
        return self.lookup.actors(after=after, limit=limit)

    def head(self, actor: ActorId) -> StepId | None:
        """The newest durable step of an actor, None if it was never born."""
        return self.lookup.head(actor)

    def newest(self, actor: ActorId) -> StepId:
        """The same. Raises NotFound."""
        return self.lookup.newest(actor)

    def heads(self) -> Iterator[tuple[ActorId, StepId]]:
        """Every actor with its head."""
        return self.lookup.all_actors()

    def step(self, id: StepId) -> Step:
        """A step. Raises Missing, WrongKind, Corrupt."""
        return self.reader.step(id)

    def message(self, id: MessageId) -> Message:
        """A message. Raises Missing, WrongKind, Corrupt."""
        return self.reader.message(id)

    def kind(self, id: Id) -> str:
        """What an object is: "a blob", "a tree", "a step", … Raises Missing, Corrupt."""
        return self.reader.kind(id)

    def find_step(self, actor: ActorId, text: str) -> StepId:
        """See Lookup.find_step."""
        return self.lookup.find_step(actor, text)

    def step_of(self, actor: ActorId, message: Message) -> StepId | None:
        """See Lookup.step_of."""
        return self.lookup.step_of(actor, message)

    def steps(self, actor: ActorId, *, before: int | None = None, limit: int = 100) -> Page[tuple[StepId, Step]]:
        """See Lookup.steps."""
        return self.lookup.steps(actor, before=before, limit=limit)

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """See Lookup.step_at."""
        return self.lookup.step_at(actor, height)

    def names(self) -> dict[str, ActorId]:
        """All names of actors."""
        return self.lookup.names.all()

    def name_of(self, actor: ActorId) -> str | None:
        """The first name of an actor."""
        return self.lookup.names.name_of(actor)

    def actor_of(self, name: str) -> ActorId | None:
        """The actor of a name."""
        return self.lookup.names.actor_of(name)

    def find_actors(self, wanted: Wanted, *, start: int = 0, limit: int = 100, seconds: float = 0.2) -> Found:
        """Actors as somebody looks for them, see Directory.find. Reads those that are new to it for at most some seconds."""
        return self._directory.find(wanted, states=self._states(), start=start, limit=limit, seconds=seconds)

    def _states(self) -> States:
        holds = read_holds(self.backend)
        found = {actor: foremost(holds, actor) for actor, _ in holds}
        return {actor: (hold.state, hold.reason) for actor, hold in found.items() if hold is not None}

    def code_version(self, core: Id) -> str:
        """The version of the code in a core, see `code_version`."""
        return code_version(self.reader, core)

    def activity(self, edges: Sequence[int], *, actor: ActorId | None = None) -> list[int]:
        """How many steps of all actors, or of one, there were from each moment to the next one, see Activity."""
        return Activity(self.backend, self.reader, actor).counts(edges)

    def height_at(self, actor: ActorId, time: int) -> int | None:
        """The height of an actor's last step that is not later than a time, None if all are later."""
        return Activity(self.backend, self.reader, actor).number_at(time)

    def newest_event(self) -> int:
        """The number of the newest step in the order in which this store got them, 0 for none."""
        return self.lookup.newest_feed_number()

    def evidence(self, *, limit: int = 1000) -> list[Evidence]:
        """See Lookup.evidence."""
        return self.lookup.evidence(limit=limit)

    def pending(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[Pending]:
        """See Lookup.pending."""
        return self.lookup.pending(actor, limit=limit)

    def stopped_flows(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[StoppedFlow]:
        """Flows that stand still, of all actors or of one, which may be unborn."""
        if actor is None:
            return find_stopped_flows(self.reader, self.heads(), limit=limit)
        head = self.head(actor)
        return [] if head is None else find_stopped_flows(self.reader, [(actor, head)], limit=limit)

    def flows(self, actor: ActorId, *, at: StepId | None = None, limit: int = 100) -> tuple[list[FlowView], int]:
        """The first flows that are under way at a step, or at the head, and how many there are. Raises NotFound."""
        core = self.step(self.newest(actor) if at is None else at).core
        ids = flow_ids(self.reader, core)
        return [self._flow(core, id) for id in ids[:limit]], len(ids)

    def flow(self, actor: ActorId, id: str) -> FlowView | FlowEnd:
        """One flow as it is at the head, or what became of it. Raises NotFound."""
        core = self.step(self.newest(actor)).core
        if has_flow(self.reader, core, id):
            return self._flow(core, id)
        try:
            message = MessageId(parse(id))
        except BadId as error:
            raise NotFound(f"no flow {id} is under way; one that is over is found by its whole id") from error
        return find_flow_end(self.lookup, self.reader, actor, message)

    def _flow(self, core: Id, id: str) -> FlowView:
        try:
            return look_at_flow(self.reader, core, id)
        except WitError as error:
            # One that can't be read hides no other.
            return FlowView(id=id, stopped=f"its record can't be read: {error.text}")

    def timers(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[Scheduled]:
        """Timers of all actors, or of one: what is due first, and what is none. Raises NotFound."""
        if actor is None:
            return self._timetable.all(limit=limit)
        step = self.step(self.newest(actor))
        return self._timetable.of(actor, step.core, step.time, limit=limit)

    def wrong_timers(self, *, limit: int = 1000) -> list[Scheduled]:
        """What stands below `/timers` of some actor and is no timer."""
        return self._timetable.wrong(limit=limit)

    def export(self, actor: ActorId, *, at: StepId | None = None) -> tuple[StepId, Iterator[Block]]:
        """A head (or the step `at`) and every block that belongs to it. Raises NotFound, Missing while iterating."""
        head = self.actor(actor).head if at is None else at
        if self.reader.step(head).actor != actor:
            raise NotFound(f"{head} is not a step of {actor}")
        return head, walk(self.reader, head)


def read_meta(backend: Backend, name: str) -> bytes:
    """A fact about the store itself. Raises StoreError without it."""
    value = backend.row(meta_row(name))
    if value is None:
        raise StoreError(f"the store has no {name!r} among its facts: it was not made by understudy, or is damaged")
    return value
