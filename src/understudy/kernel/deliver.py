"""Delivery: which messages may be consumed next, and which show that a sender lied.

The law: delivering the same message any number of times changes nothing after the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import chain
from typing import Final

from understudy.actors.contract import Delivery
from understudy.objects import ids
from understudy.objects.clock import ring_of
from understudy.objects.ids import MessageId
from understudy.objects.mailbox import LANES, QUEUE, SIGNAL, UPDATE, Cursor, mailbox_key
from understudy.objects.message import Message, is_genesis
from understudy.objects.step import MAX_CONSUMED
from understudy.store.reader import Reader

MAX_WAITING: Final = 65_536  # deliveries of one actor held in memory, some 64 MB; the store has the rest

Cost = Callable[[Message], float]


class Judgement(Enum):
    """What to do with a message, given the cursor of its sender and lane."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    EARLY = "early"
    EVIDENCE = "evidence"


def judge(id: MessageId, message: Message, cursor: Cursor | None) -> Judgement:
    """Judge a message against the last one taken from the same sender in the same lane (None: none yet)."""
    seq, last = (0, None) if cursor is None else cursor
    if message.seq == seq:
        return Judgement.DUPLICATE if id == last else Judgement.EVIDENCE
    if message.seq < seq:
        return Judgement.DUPLICATE
    if message.seq == seq + 1:
        previous = None if last is None else str(last)
        return Judgement.NEXT if message.previous == previous else Judgement.EVIDENCE
    return Judgement.NEXT if message.lane == SIGNAL else Judgement.EARLY


def goes_alone(message: Message) -> bool:
    """True if no other message may be consumed in the same step."""
    if message.lane == UPDATE or is_genesis(message):
        return True
    # Most messages have no headers, and what comes from the clock has some.
    return bool(message.headers) and ring_of(message) is not None


def sender_key(message: Message) -> str:
    """The inbox key of a message."""
    return mailbox_key(message.sender, message.lane)


def unpack_row(reader: Reader, row: bytes, id: MessageId, *, after: int) -> list[Delivery]:
    """The messages that a waiting row stands for: the one it names, and before it those with a number above `after`.

    A unit that sends several messages to one recipient writes a row for the last alone; the others are found along
    `previous`. A message that is not in the store ends the list: its sender is not of this node.
    """
    found = [Delivery(id, reader.message(id), row)]
    while (message := found[-1].message).previous is not None and message.seq > after + 1:
        before = MessageId(ids.parse(message.previous))
        if not reader.has(before):
            break
        found.append(Delivery(before, reader.message(before)))
    return found[::-1]


class Waiting:
    """The messages that wait for one actor, in the order of their arrival in each lane.

    `tails` holds the cursor of the last message taken in for each inbox key that has one here.
    Keys that wait for a retry are parked: their messages keep their order and do not hold up the others.
    """

    def __init__(self) -> None:
        self.tails: dict[str, Cursor] = {}
        self._lanes: dict[str, deque[Delivery]] = {lane: deque() for lane in LANES}
        self._parked: dict[str, list[Delivery]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many messages wait, parked ones included."""
        return self._count

    @property
    def updates(self) -> int:
        """How many updates wait."""
        return len(self._lanes[UPDATE])

    def add(self, delivery: Delivery) -> None:
        """Take in a message that was judged NEXT."""
        message = delivery.message
        key = sender_key(message)
        self.tails[key] = Cursor(message.seq, delivery.id)
        self._count += 1
        if key in self._parked:
            self._parked[key].append(delivery)
        else:
            self._lanes[message.lane].append(delivery)

    def take(self, *, born: bool, limit: int, cost: Cost | None = None, budget: float = 0.0) -> list[Delivery]:
        """The messages that the next step consumes, in order; empty if there is none that may go.

        An unborn actor takes its genesis. Updates go before the other lanes, alone; then signals and the queue together, up
        to `limit`, and as long as their costs together are within `budget`. A genesis that comes too late goes alone, and so
        does a message from the clock: whether its timer is still there depends on the step before.
        """
        taken = self._take_some(min(limit, MAX_CONSUMED), cost, budget) if born else self._take_genesis()
        self._count -= len(taken)
        return taken

    def take_update(self) -> list[Delivery]:
        """The next update, if one waits."""
        taken = [self._lanes[UPDATE].popleft()] if self._lanes[UPDATE] else []
        self._count -= len(taken)
        return taken

    def put_back(self, taken: list[Delivery]) -> None:
        """Undo a take: the messages are first in line again."""
        self._count += len(taken)
        for delivery in reversed(taken):
            self._lanes[delivery.message.lane].appendleft(delivery)

    def forget(self, taken: Sequence[Delivery]) -> None:
        """The messages were consumed: the inbox of the new step knows their cursors now."""
        for delivery in taken:
            key = sender_key(delivery.message)
            if self.tails.get(key) == (delivery.message.seq, delivery.id):
                del self.tails[key]

    def park(self, key: str) -> None:
        """Set the messages of one inbox key aside until `unpark`."""
        parked = self._parked.setdefault(key, [])
        for lane, queue in self._lanes.items():
            ours = [delivery for delivery in queue if sender_key(delivery.message) == key]
            if ours:
                parked.extend(ours)
                self._lanes[lane] = deque(delivery for delivery in queue if sender_key(delivery.message) != key)

    def unpark(self, key: str) -> None:
        """Put the messages of a parked key first in line again."""
        for delivery in reversed(self._parked.pop(key, [])):
            self._lanes[delivery.message.lane].appendleft(delivery)

    def all(self) -> list[Delivery]:
        """Everything that waits, for people to look at."""
        return [*chain.from_iterable(self._lanes.values()), *chain.from_iterable(self._parked.values())]

    def _take_some(self, limit: int, cost: Cost | None, budget: float) -> list[Delivery]:
        if self._lanes[UPDATE]:
            return [self._lanes[UPDATE].popleft()]
        taken: list[Delivery] = []
        spent = 0.0
        for lane in (SIGNAL, QUEUE):
            queue = self._lanes[lane]
            while queue and len(taken) < limit:
                message = queue[0].message
                if goes_alone(message):
                    return taken or [queue.popleft()]
                if cost is not None:
                    spent += cost(message)
                    if spent > budget and taken:
                        return taken
                taken.append(queue.popleft())
        return taken

    def _take_genesis(self) -> list[Delivery]:
        seen: set[str] = set()
        for queue in self._lanes.values():
            for delivery in queue:
                key = sender_key(delivery.message)
                if key not in seen and is_genesis(delivery.message):
                    queue.remove(delivery)
                    return [delivery]
                seen.add(key)
        return []
