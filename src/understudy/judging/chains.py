"""The other histories in a store, as a judge looks into them: what a sender says it sent, and where its steps stand.

The laws: what counts is what the head of the other history leads to. The index names steps only so that they can be
fetched before they are needed: a fork would have rows there, too. And nobody is accused by a history that is true but
older: what its actor did after that head is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import lru_cache
from typing import Final, Generic, Protocol, TypeVar

from understudy.kernel.deliver import sender_key
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.mailbox import SIGNAL, Cursor, mailbox_key
from understudy.objects.message import Message
from understudy.objects.step import Step
from understudy.store.errors import Corrupt, Missing
from understudy.store.maps import mailbox_get
from understudy.store.reader import Reader

AHEAD: Final = 256  # steps of another history asked for at once, on the way down from its head
MAX_ACTORS: Final = 10_000
MAX_FOUND: Final = 1024  # messages whose sending step is remembered: a judge asks twice about those of one exchange
MAX_KNOWN: Final = 1_000_000  # ids found on the way down, of all histories: some 150 MB

Name = TypeVar("Name", bound=Id)


class Heads(Protocol):
    """Where heads come from, and steps that may soon be needed."""

    def head(self, actor: ActorId) -> StepId | None:
        """The head of an actor, None if there is none."""

    def named(self, name: str) -> ActorId | None:
        """The actor that has a name, None if none has it."""

    def steps(self, actor: ActorId, *, low: int, high: int) -> list[StepId]:
        """What an index says are the steps at these heights. It is not believed."""

    def fetch(self, ids: Iterable[bytes]) -> None:
        """Get blocks before they are needed."""


class StoredChains:
    """Looks from the heads of other actors down, in any order; what was passed on the way is remembered."""

    def __init__(self, store: Heads, reader: Reader) -> None:
        self._store = store
        self._reader = reader
        self._heads: dict[bytes, StepId | None] = {}
        self._steps: dict[bytes, _Descent[StepId]] = {}
        self._sent: dict[tuple[bytes, str], _Descent[MessageId]] = {}
        self._last_sent: tuple[bytes, Container[bytes]] = b"", ()
        self._found: dict[bytes, Step | None] = {}
        self._history: Step | None = None
        self._to: str | None = None
        self._anchored: dict[tuple[bytes, str], int] = {}

    def follow(self, head: Step | None) -> None:
        """From now on, messages that a history consumed are asked about; `head` is its last step.

        The last message of a queue is looked up. Those before it are not: each is named by the next one, in the history of
        the sender as in this one. So they were sent if this history is right as a whole, which our caller sees to; if
        it is not, he asks again without `head`, and each message is looked up by itself.
        """
        self._anchored.clear()
        self._history, self._to = head, None if head is None else str(head.actor)

    def head(self, actor: ActorId) -> StepId | None:
        """The head of an actor when it was first asked for, None if the store does not have it."""
        if actor not in self._heads:
            self._forget_if_many()
            self._heads[actor] = self._store.head(actor)
        return self._heads[actor]

    def named(self, name: str) -> ActorId | None:
        """The actor that has a name in the store now: names move, and are in no history."""
        return self._store.named(name)

    def denies(self, actor: ActorId, id: MessageId, message: Message) -> bool:
        """True if the history of `actor` that is here can't hold a message that is said to be its own.

        Either another message has its number, or the history went on from the step that the message names as the one
        before it was sent, without sending it. A copy that ends earlier denies nothing, and one that can't be read
        denies nothing either: its own verdict says what is wrong with it.
        Costs one message for each that was sent to the same recipient later, the first time.
        """
        if self._is_before_what_was_sent(actor, message):
            return False
        try:
            newest = self._newest(actor, message)
            if newest is not None and newest.seq >= message.seq:
                return self._sent_to(actor, message, newest).at(message.seq) != id
            return self._went_on(actor, message.after)
        except (Missing, Corrupt, ObjectError):
            return False

    def _is_before_what_was_sent(self, actor: ActorId, message: Message) -> bool:
        """True if a later message of the same queue was sent by the actor, and consumed by the history that we follow."""
        if self._history is None or message.lane == SIGNAL or message.to != self._to:
            # A signal may be left out, and then the next one does not name it.
            return False
        key = actor, message.lane
        if key not in self._anchored:
            self._anchored[key] = self._last_sent_and_consumed(self._history, actor, message)
        return message.seq < self._anchored[key]

    def _last_sent_and_consumed(self, head: Step, actor: ActorId, message: Message) -> int:
        """The number of the last message that was consumed, if the actor sent that; 0 if it did not, or nobody can tell."""
        try:
            last, newest = mailbox_get(self._reader, head.inbox, sender_key(message)), self._newest(actor, message)
            if last is None or newest is None or newest.seq < last.seq:
                return 0
            return last.seq if self._sent_to(actor, message, newest).at(last.seq) == last.message else 0
        except (Missing, Corrupt, ObjectError):
            return 0

    def sending_step(self, actor: ActorId, id: MessageId, message: Message) -> Step | None:
        """The step of `actor` that sent a message; None if it is not in what is here of the history, or can't be read."""
        # Asked about the same message for its order and for its time.
        if id not in self._found:
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
            self._found[id] = self._find_sending_step(actor, id, message)
        return self._found[id]

    def _find_sending_step(self, actor: ActorId, id: MessageId, message: Message) -> Step | None:
        try:
            height = 0 if message.after is None else self._reader.step(_step_id(message.after)).height + 1
            found = self.step_at(actor, height)
            step = None if found is None else self._reader.step(found)
        except (Missing, Corrupt, ObjectError):
            return None
        return step if step is not None and found is not None and id in self._sent_in(found, step) else None

    def _sent_in(self, id: StepId, step: Step) -> Container[bytes]:
        # Many in a row were sent by one step, which may have sent thousands.
        if self._last_sent[0] != id:
            self._last_sent = id, frozenset(step.sent)
        return self._last_sent[1]

    def _newest(self, actor: ActorId, message: Message) -> Cursor | None:
        """The last message of the same conversation in the history of `actor`."""
        head = self.head(actor)
        if head is None:
            return None
        return mailbox_get(self._reader, self._reader.step(head).outbox, mailbox_key(message.to, message.lane))

    def _sent_to(self, actor: ActorId, message: Message, newest: Cursor) -> _Descent[MessageId]:
        key = actor, mailbox_key(message.to, message.lane)
        if key not in self._sent:
            self._sent[key] = _Descent(newest.seq, MessageId(Id(newest.message)), self._previous)
        return self._sent[key]

    def _went_on(self, actor: ActorId, after: str | None) -> bool:
        head = self.head(actor)
        if head is None:
            return False
        if after is None:
            return True
        before = self._reader.step(_step_id(after))
        return before.actor != actor or self._reader.step(head).height > before.height

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """The step at a height below the head of an actor. Raises what reading the steps above it raises."""
        known = self._steps.get(actor)
        if known is None:
            head = self.head(actor)
            if head is None:
                return None
            known = self._steps[actor] = _Descent(self._reader.step(head).height, head, self._parent)
        return known.at(height)

    def _parent(self, id: StepId, height: int) -> StepId | None:
        step = self._reader.step(id)
        if height % AHEAD == 0:
            low = max(0, height - AHEAD)
            self._store.fetch(self._store.steps(step.actor, low=low, high=height - 1))
        return step.parent

    def _previous(self, id: MessageId, _: int) -> MessageId | None:
        previous = self._reader.message(id).previous
        return None if previous is None else MessageId(ids.parse(previous))

    def _forget_if_many(self) -> None:
        known = sum(len(one) for one in self._steps.values()) + sum(len(one) for one in self._sent.values())
        if len(self._heads) >= MAX_ACTORS or known > MAX_KNOWN:
            self._heads.clear()
            self._steps.clear()
            self._sent.clear()
            self._found.clear()
            self._anchored.clear()


@lru_cache(maxsize=MAX_FOUND)
def _step_id(text: str) -> StepId:
    return StepId(ids.parse(text))


class _Descent(Generic[Name]):
    """A numbered chain, followed from its newest link down as far as somebody asks."""

    def __init__(self, number: int, newest: Name, below: Callable[[Name, int], Name | None]) -> None:
        self._known = {number: newest}
        self._lowest = number
        self._below = below

    def __len__(self) -> int:
        return len(self._known)

    def at(self, number: int) -> Name | None:
        """The link with a number; None above the newest one, and where the chain ends before it."""
        while self._lowest > number:
            below = self._below(self._known[self._lowest], self._lowest)
            if below is None:
                return None
            self._lowest -= 1
            self._known[self._lowest] = below
        return self._known.get(number)
