"""The actors in memory: loaded from the store, filled up with mail, and dropped again.

The law: what is not in memory is in the store, and an entry says so (`overflow`, `more_updates`). The update lane has its
own room, so no amount of other mail can keep an update away. Only the thread with the step lock touches this.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from understudy.actors.contract import Delivery
from understudy.actors.errors import WitError
from understudy.kernel.actor import load_actor, unborn
from understudy.kernel.deliver import MAX_WAITING, Judgement, judge, sender_key, unpack_row
from understudy.kernel.evidence import evidence_unit
from understudy.kernel.policy import DEFAULT, Policy, read_policy
from understudy.node.holds import SUSPECT, Holds, Kind
from understudy.node.running.entry import ActorEntry, Status
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, MessageId, StepId
from understudy.objects.mailbox import QUEUE, SIGNAL, UPDATE, Cursor
from understudy.objects.message import is_genesis
from understudy.store.errors import Corrupt, Missing, StoreError
from understudy.store.keys import (
    HEADS,
    WAITING,
    actor_of_head,
    head_ref,
    height_row,
    read_waiting_row,
    waiting_lane,
    waiting_of,
)
from understudy.store.maps import mailbox_get, tree_entry
from understudy.store.port import Backend, Row, Unit
from understudy.store.verified import InFlight

MAX_ACTORS: Final = 50_000  # an idle actor kept decoded costs about 1.4 KB
MAX_UPDATES: Final = 1024  # that wait in memory for one actor, besides its other mail: more than anybody sends by hand
MAX_REFILL: Final = 4096  # messages that are taken in at once, some 0.1 s: others have their turn between

_log = logging.getLogger("understudy.scheduler")


class ActorTable:
    """`emit` takes units that nobody waits for."""

    def __init__(self, backend: Backend, reader: InFlight, holds: Holds, emit: Callable[[Unit], None]) -> None:
        self._backend = backend
        self._reader = reader
        self._holds = holds
        self._emit = emit
        self._entries: dict[ActorId, ActorEntry] = {}
        self._search: Iterator[ActorId] | None = self._with_mail()  # for mail of an earlier life

    def __len__(self) -> int:
        return len(self._entries)

    def all(self) -> Iterable[ActorEntry]:
        """Those in memory."""
        return self._entries.values()

    def known(self, actor: ActorId) -> ActorEntry | None:
        """The entry of an actor, if it is in memory."""
        return self._entries.get(actor)

    def get(self, actor: ActorId) -> ActorEntry:
        """The entry of an actor, loaded if need be. One that can't be loaded is stuck."""
        entry = self._entries.get(actor)
        if entry is None:
            try:
                head = self._backend.ref(head_ref(actor))
                entry = ActorEntry(load_actor(self._reader, actor, None if head is None else StepId(Id(head))))
            except (StoreError, ObjectError) as error:
                # With one damaged head, the others must get their mail all the same.
                entry = ActorEntry(unborn(actor))
                self.mark_stuck(entry, error)
            if self.is_recovering:
                entry.overflow = entry.more_updates = True
            self.look_at_holds(entry)
            self._entries[actor] = entry
        return entry

    def look_at_holds(self, entry: ActorEntry) -> None:
        """Read the holds on the actor again."""
        steps = self._holds.get(entry.actor.id, Kind.STEPS)
        others = (self._holds.get(entry.actor.id, kind) for kind in (Kind.PAUSE, Kind.FAILURE))
        is_suspect = steps is not None and steps.state == SUSPECT
        entry.suspect = steps.messages if steps is not None and is_suspect else 0
        entry.held = next(filter(None, others), None) if steps is None or is_suspect else steps

    def mark_stuck(self, entry: ActorEntry, error: Exception) -> None:
        """A failure of the host, not of the wit: nothing is consumed, and the actor stands still until a restart or an update."""
        entry.status = Status.STUCK
        entry.error = f"{type(error).__name__}: {error}"
        # What is delivered from now on is read from the store once the actor begins again.
        entry.overflow = entry.more_updates = True
        level = logging.ERROR if isinstance(error, StoreError) else logging.CRITICAL
        text = "".join(traceback.format_exception(error))
        _log.log(level, "actor %s stands still: %s\n%s", entry.actor.text, entry.error, text)

    def reload(self, actor: ActorId) -> ActorEntry:
        """Drop what is in memory of an actor, and load it from the store."""
        self._entries.pop(actor, None)
        entry = self.get(actor)
        entry.overflow = entry.more_updates = True
        self.refill(entry)
        return entry

    def forget_idle(self) -> None:
        """Drop some actors that have nothing to do, if there are too many."""
        if len(self._entries) > MAX_ACTORS:
            idle = (actor for actor, entry in self._entries.items() if entry.forgettable)
            for actor in list(islice(idle, len(self._entries) - MAX_ACTORS * 9 // 10)):
                del self._entries[actor]

    # Mail.

    @property
    def is_recovering(self) -> bool:
        """True until all actors with mail from before the start were found."""
        return self._search is not None

    def recover(self, most: int) -> list[ActorEntry]:
        """Find the next actors that have mail in the store. The mail is read when it is their turn."""
        found: list[ActorEntry] = []
        for actor in islice(self._search or (), most):
            entry = self.get(actor)
            entry.overflow = entry.more_updates = True
            found.append(entry)
        if len(found) < most:
            self._search = None
        return found

    def _with_mail(self) -> Iterator[ActorId]:
        """The actors that have mail in the store; all actors if these rows can't be read: then each one's mail is read by itself."""
        at = WAITING
        try:
            while (row := next(iter(self._backend.rows(WAITING, at)), None)) is not None:
                try:
                    actor = read_waiting_row(row[0]).actor
                except (ObjectError, IndexError) as error:
                    _log.error(
                        "a row of waiting mail has no key of ours (%r): it is left alone; run understudy fsck", error
                    )
                    at = row[0] + b"\0"
                    continue
                yield actor
                # No lane has this number: it is after all mail of this actor.
                at = waiting_of(actor) + b"\xff"
        except Corrupt as error:
            text = "an actor that waits for its birth is not found, and one whose mail is damaged stands still"
            _log.error("the mail can't be read as a whole (%s): %s; run understudy fsck", error, text)
            yield from (actor_of_head(ref) for ref, _ in self._backend.refs(HEADS))

    def offer(self, entry: ActorEntry, delivery: Delivery) -> None:
        """Take a durable message in, if it is the next of its sender. Past the bounds it stays in the store for later."""
        if delivery.message.lane == UPDATE:
            entry.more_updates = is_full = entry.more_updates or entry.waiting.updates >= MAX_UPDATES
        else:
            entry.overflow = is_full = entry.overflow or len(entry.waiting) >= MAX_WAITING
        if not is_full:
            self._judge(entry, delivery)

    def _judge(self, entry: ActorEntry, delivery: Delivery) -> None:
        id, message, _ = delivery
        key = sender_key(message)
        cursor = self._cursor(entry, key)
        judgement = judge(id, message, cursor)
        if judgement is Judgement.NEXT:
            entry.waiting.add(delivery)
        elif judgement is Judgement.EVIDENCE:
            _log.warning("%s sent %s two messages with one number", message.sender, entry.actor.text)
            self._emit(evidence_unit(delivery, kept=cursor))
        elif judgement is Judgement.DUPLICATE and delivery.row and not entry.ahead and key not in entry.waiting.tails:
            # A durable step consumed it, or skipped it if it is a signal: nothing else would ever take its row away.
            self._emit(Unit(rows=[Row(delivery.row, None)]))

    def refill(self, entry: ActorEntry) -> bool:
        """Take in what waits in the store, updates first, up to the bounds. True if something came in.

        Sticks the entry if the store can't be read.
        """
        before = len(entry.waiting)
        try:
            if entry.more_updates:
                entry.more_updates = False
                entry.more_updates = self._take_rows(entry, UPDATE, MAX_UPDATES)
            if entry.overflow:
                entry.overflow = False
                lanes = (SIGNAL, QUEUE)
                entry.overflow = any([self._take_rows(entry, lane, MAX_REFILL) for lane in lanes]) or entry.overflow
        except (StoreError, ObjectError) as error:
            self.mark_stuck(entry, error)
        return len(entry.waiting) > before

    def _take_rows(self, entry: ActorEntry, lane: str, most: int) -> bool:
        """Take in mail of a lane; True if there is more."""
        enough = len(entry.waiting) + most
        for key, value in self._backend.rows(waiting_lane(entry.actor.id, lane)):
            if len(entry.waiting) >= enough:
                return True
            self._offer_row(entry, key, value)
            if entry.more_updates if lane == UPDATE else entry.overflow:
                return True
        return False

    def _offer_row(self, entry: ActorEntry, row: bytes, value: bytes) -> None:
        id = MessageId(Id(value))
        cursor = self._cursor(entry, sender_key(self._reader.message(id)))
        for delivery in unpack_row(self._reader, row, id, after=0 if cursor is None else cursor.seq):
            self.offer(entry, delivery)

    def _cursor(self, entry: ActorEntry, key: str) -> Cursor | None:
        """The last message from a sender that was taken in, consumed or not."""
        return entry.waiting.tails.get(key) or mailbox_get(self._reader, entry.actor.inbox, key)

    # About an actor.

    def exists(self, actor: ActorId) -> bool:
        """True if an actor can get a message: it lives, or its genesis is on the way."""
        entry = self._entries.get(actor)
        if entry is not None and (entry.actor.step is not None or entry.status is Status.RUNNING):
            # Before its first step, what an actor runs is its genesis.
            return True
        if self._backend.ref(head_ref(actor)) is not None:
            return True
        if entry is None and next(iter(self._backend.rows(waiting_of(actor))), None) is None:
            return False
        entry = self.get(actor)
        if entry.overflow:
            self.refill(entry)
        return any(is_genesis(delivery.message) for delivery in entry.waiting.all())

    def policy(self, entry: ActorEntry) -> Policy:
        """The policy of an actor, read again when it changed."""
        core = entry.actor.core
        if entry.policy is not None and entry.policy_core == core:
            return entry.policy
        entry.policy_core = core
        try:
            id = tree_entry(self._reader, core, "policy")
        except (ObjectError, Missing):
            # The core of an actor whose genesis is still to come, or was refused.
            id = None
        if entry.policy is None or entry.policy_id != id:
            entry.policy_id = id
            try:
                entry.policy = DEFAULT if id is None else read_policy(self._reader, core)
            except WitError as error:
                # Only a genesis that will be refused and a wit that writes its own /policy get here.
                _log.warning("actor %s: %s", entry.actor.text, error)
                entry.policy = DEFAULT
        return entry.policy

    def owner(self, entry: ActorEntry) -> str:
        """Who sent the genesis of an actor."""
        if entry.owner is None:
            step = entry.actor.step
            if step is not None and step.height > 0:
                first = self._backend.row(height_row(entry.actor.id, 0))
                step = None if first is None else self._reader.step(first)
            if step is None:
                raise StoreError(
                    f"the first step of {entry.actor.text} is not in the store's index; run: understudy fsck"
                )
            entry.owner = self._reader.message(step.consumed[0]).sender
        return entry.owner
