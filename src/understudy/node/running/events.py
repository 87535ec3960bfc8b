"""What the scheduler is told and what it asks for, as values: events go in, jobs and output come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from understudy.actors.contract import Delivery, StepResult
from understudy.kernel.advance import Plan
from understudy.kernel.seal import Sealed
from understudy.node.running.done import Done
from understudy.node.running.entry import ActorEntry
from understudy.objects.ids import ActorId, MessageId
from understudy.objects.step import Outcome
from understudy.store.port import Unit


class HoldBegan(Struct, frozen=True):
    """A unit was made for a hold; these messages are not consumed."""

    messages: Sequence[MessageId]


class Rang(Struct, frozen=True):
    """A unit was made for messages from the clock: those that one actor gets in one turn, in order."""

    deliveries: Sequence[Delivery]


# What a unit was made for: a step, a message from outside, the clock's messages, a hold, or something that nobody waits for.
Tag = Sealed | Delivery | Rang | HoldBegan | None


class Job(Struct, frozen=True):
    """A step that is to be run: whose, of which messages, and since when.

    `cut` is how it ends without being run, if it must not be. `is_trial` says that the actor may end the process.
    `open_calls` are the paths of the calls that it waits for at this moment.
    """

    entry: ActorEntry
    taken: list[Delivery]
    began: float
    cut: Outcome | None = None
    is_trial: bool = False
    open_calls: list[str] = []


class Finished(Struct, frozen=True):
    """A job is done: what the wit returned, or why the host could not run it (perhaps without a plan).

    `held_thread` says that it kept its thread for long: the next one should not hold up others from its beginning.
    `computed` is how many seconds of it a thread computed, as far as that is known.
    """

    job: Job
    plan: Plan | None
    result: StepResult | Exception
    held_thread: bool = False
    computed: float = 0.0


class Committed(Struct, frozen=True):
    """Units became durable, or failed their compare-and-set."""

    done: Sequence[Done[Tag]]


class CallWaits(Struct, frozen=True):
    """A running wit wants to call the world: `start` may be called once every step of its actor is durable.

    `lose` is called instead when that can't be any more, as the head it runs on was lost. One of the two is always called.
    """

    entry: ActorEntry
    start: Callable[[], None]
    lose: Callable[[], None]


class HoldsChanged(Struct, frozen=True):
    """Somebody changed what holds an actor."""

    actor: ActorId


class Opened(Struct, frozen=True):
    """From now on all messages are taken, not only updates."""


class Tick(Struct, frozen=True):
    """What time it is, in microseconds since 1970. Needed only while a timer waits."""

    now_us: int


Event = Finished | Committed | CallWaits | HoldsChanged | Opened | Tick


class Output:
    """What the scheduler wants done; the runner takes it."""

    __slots__ = ("_calls", "_durable", "_units")

    def __init__(self) -> None:
        self._units: list[tuple[Tag, Unit]] = []
        self._durable: list[Sequence[Done[Tag]]] = []
        self._calls: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        """True if units wait to be taken."""
        return bool(self._units)

    def commit(self, tag: Tag, unit: Unit) -> None:
        """Ask for a unit to be committed, after all those before it."""
        self._units.append((tag, unit))

    def tell(self, done: Sequence[Done[Tag]]) -> None:
        """Ask for everybody to be told what is durable."""
        self._durable.append(done)

    def start(self, calls: Sequence[Callable[[], None]]) -> None:
        """Ask for these calls of wits to be started, or to be told that they are lost."""
        self._calls.extend(calls)

    def take_units(self) -> list[tuple[Tag, Unit]]:
        """The units to commit, in order."""
        units, self._units = self._units, []
        return units

    def take_durable(self) -> list[Sequence[Done[Tag]]]:
        """What is durable, and not told yet."""
        durable, self._durable = self._durable, []
        return durable

    def take_calls(self) -> list[Callable[[], None]]:
        """The calls of wits whose parent step is durable, or lost."""
        calls, self._calls = self._calls, []
        return calls
