"""fsck: everything that a store holds, read once and checked; nothing is changed.

The law: what is damaged, missing or does not fit is named with its place, and the search goes on behind it.
Whether a history is *true* is another question, which `understudy verify` answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from understudy.objects import ids
from understudy.objects.blob import BigBlob
from understudy.objects.codec import decode
from understudy.objects.errors import ObjectError
from understudy.objects.hamt import BigMap
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.kinds import ANY, kind_of_block, read_any
from understudy.objects.mailbox import SIGNAL, mailbox_key
from understudy.objects.message import Message
from understudy.objects.step import Step
from understudy.objects.wording import with_article
from understudy.store.errors import Missing, StoreError
from understudy.store.hamt import MapCheck
from understudy.store.keys import (
    EVIDENCE,
    FEED,
    HEADS,
    HEIGHTS,
    HOLDS,
    IDEMPOTENCY,
    META,
    NAMES,
    OUTSIDE,
    WAITING,
    actor_of_head,
    party_digest,
    read_cursor_value,
    read_waiting_row,
)
from understudy.store.leases import EXPIRIES
from understudy.store.lost_messages import lost_messages
from understudy.store.maps import check_map, mailbox_get
from understudy.store.port import Backend
from understudy.store.timer_rows import (
    BACKLOG,
    DUE,
    TIMERS,
    due_row,
    read_backlog_row,
    read_backlog_value,
    read_due_row,
    read_timer_row,
    read_timer_value,
    timer_row,
)
from understudy.store.verified import Grit
from understudy.store.walk import Link, typed_links

MAX_FINDINGS: Final = 1000  # that are spelt out; all are counted
_BATCH: Final = 256  # blocks read at once
_MAP_BYTES: Final = 64 * 1024 * 1024  # for what was found below the nodes of large maps: versions share most of them
_EVERY: Final = 1000  # items between two words to `progress`


class Finding(Struct, frozen=True):
    """Something that is wrong: where, and what."""

    where: str
    what: str


class FsckReport(Struct, frozen=True, kw_only=True):
    """What was looked at, and what is wrong; `count` is the number of findings, of which the first are in `findings`."""

    blocks: int
    actors: int
    rows: int
    count: int
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return self.count == 0


def fsck(
    backend: Backend, *, loss: str | None = None, progress: Callable[[int, int], None] | None = None
) -> FsckReport:
    """Check every block, ref and row. `progress(done, 0)` counts them; how many there are is not known before.

    `loss` is what the store's kind knows to be gone of its end. Every value that the store can give back is read; the
    bytes of its files on which none rests (filters, statistics, values that were replaced) are not looked at.
    Raises StoreError only if the store can't be read as a whole.
    """
    check = _Check(backend, progress)
    if loss is not None:
        check.find("the end of the store", loss)
    return check.run()


class _Check:
    def __init__(self, backend: Backend, progress: Callable[[int, int], None] | None) -> None:
        self._backend = backend
        self._reader = Grit(backend)
        self._maps = MapCheck(self._reader, _MAP_BYTES)
        self._progress = progress
        self._seen = 0
        self._count = 0
        self._findings: list[Finding] = []
        self._heads: dict[bytes, StepId] = {}
        self._indexed: set[bytes] = set()
        self._last: tuple[ActorId, int, StepId | None] | None = None
        self._feed = 0

    def run(self) -> FsckReport:
        """Look at everything."""
        blocks = self._each(self._blocks())
        actors = self._each(self._refs())
        rows = self._each(self._rows())
        self._end_of_heights()
        for actor in self._heads.keys() - self._indexed:
            self.find(f"head of {ActorId(TreeId(Id(actor)))}", "there is no index of its heights")
        self._each(self._lost())
        return FsckReport(blocks=blocks, actors=actors, rows=rows, count=self._count, findings=self._findings)

    def _each(self, work: Iterator[int]) -> int:
        """Do the work, which gives how many things it looked at, and count them."""
        total = 0
        try:
            for count in work:
                total += count
                before, self._seen = self._seen, self._seen + count
                if self._progress is not None and before // _EVERY != self._seen // _EVERY:
                    self._progress(self._seen, 0)
        except StoreError as error:
            self.find("the store", str(error))
        return total

    def find(self, where: str, what: str) -> None:
        """Note something that is wrong."""
        self._count += 1
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(where, what))

    def _lost(self) -> Iterator[int]:
        for lost in lost_messages(self._backend, self._reader, self._heads):
            what = f"number {lost.last.seq} of {lost.sender} in the lane {lost.lane}, {Id(lost.last.message)}"
            self.find(f"message to {lost.recipient}", f"{what}, was accepted; it is neither consumed nor waiting")
            yield 0

    def _blocks(self) -> Iterator[int]:
        all_ids = self._backend.ids()
        while batch := list(islice(all_ids, _BATCH)):
            wanted: dict[Link, Id] = {}
            for id, data in zip(batch, self._get(batch), strict=True):
                if data is not None:
                    wanted.update(dict.fromkeys(self._check_block(id, data), id))
            targets = list(wanted)
            for start in range(0, len(targets), _BATCH):
                some = targets[start : start + _BATCH]
                for link, data in zip(some, self._get([id for id, _ in some]), strict=True):
                    self._check_link(wanted[link], *link, data)
            yield len(batch)

    def _check_link(self, owner: Id, id: Id, wanted: str, data: bytes | None) -> None:
        if data is None:
            self.find(f"block {owner}", f"it links to {id}, which is not in the store")
            return
        kind = kind_of_block(id, data)
        # One of no kind is named for itself.
        if kind is not None and wanted not in (ANY, kind):
            self.find(f"block {owner}", f"it links to {id}, {with_article(kind)} where {with_article(wanted)} belongs")

    def _get(self, batch: Sequence[Id]) -> list[bytes | None]:
        try:
            return self._backend.get(batch)
        except StoreError as error:
            if len(batch) == 1:
                self.find(f"block {batch[0]}", str(error))
                return [b""]
        return [self._get([id])[0] for id in batch]

    def _check_block(self, id: Id, data: bytes) -> list[Link]:
        """What a good node links to, and of what kind that must be."""
        if not ids.matches(id, data):
            self.find(f"block {id}", f"its {len(data):,} bytes are not those that its id names")
        elif not ids.is_raw(id):
            try:
                node = decode(data)
                read = read_any(node)
                if isinstance(read, BigBlob):
                    self._check_blob(id)
                elif isinstance(read, BigMap):
                    self._check_map(id)
                return list(typed_links(node))
            except ObjectError as error:
                self.find(f"block {id}", str(error))
        return []

    def _check_blob(self, id: Id) -> None:
        try:
            for _ in self._reader.open_blob(id):
                pass  # Reading to the end compares the chunks with the node.
        except StoreError:
            # A chunk that is damaged or gone is named for itself.
            return

    def _check_map(self, id: Id) -> None:
        try:
            check_map(self._reader, id, self._maps)
        except StoreError:
            # A node that is damaged or gone is named for itself.
            return

    def _refs(self) -> Iterator[int]:
        for ref, value in self._backend.refs(HEADS):
            actor = actor_of_head(ref)
            step = self._step(f"head of {actor}", value)
            if step is not None and step.actor != actor:
                self.find(f"head of {actor}", f"{Id(value)} is a step of {step.actor}")
            self._heads[actor] = StepId(Id(value))
            yield 1
        for ref, value in self._backend.refs(NAMES):
            if value not in self._heads:
                self.find(f"name {ref[len(NAMES) :].decode(errors='replace')!r}", f"there is no actor {Id(value)}")

    def _rows(self) -> Iterator[int]:
        checks: dict[bytes, Callable[[bytes, bytes], None]] = {
            FEED: self._feed_row,
            HEIGHTS: self._height_row,
            WAITING: self._waiting_row,
            OUTSIDE: self._outside_row,
            IDEMPOTENCY: self._key_row,
            EVIDENCE: self._evidence_row,
            META: lambda key, value: None,
            EXPIRIES: lambda key, value: None,
            HOLDS: self._hold_row,
            DUE: self._due_row,
            TIMERS: self._timer_row,
            BACKLOG: self._backlog_row,
        }
        for key, value in self._backend.rows(b""):
            check = checks.get(key[:1])
            try:
                if check is None:
                    self.find(_row(key), "no row begins so")
                else:
                    check(key, value)
            except (ObjectError, ValueError, IndexError) as error:
                self.find(_row(key), f"it can't be read: {error}")
            yield 1

    def _feed_row(self, key: bytes, value: bytes) -> None:
        number = int.from_bytes(key[1:], "big")
        if number != self._feed + 1:
            self.find(f"feed {number}", f"the number before it is {self._feed}")
        self._feed = number
        self._step(f"feed {number}", value)

    def _height_row(self, key: bytes, value: bytes) -> None:
        actor, height = actor_of_head(HEADS + key[1:33]), int.from_bytes(key[33:], "big")
        if self._last is None or self._last[0] != actor:
            self._end_of_heights()
            self._last = (actor, -1, None)
            self._indexed.add(actor)
        where = f"height {height} of {actor}"
        _, before, parent = self._last
        step = self._step(where, value)
        if height != before + 1:
            self.find(where, f"the height before it is {before}")
        elif step is not None and (step.actor, step.height, step.parent) != (actor, height, parent):
            self.find(where, f"{Id(value)} is not the step that follows {parent}")
        self._last = (actor, height, StepId(Id(value)))

    def _end_of_heights(self) -> None:
        """The last height of an actor is its head's."""
        if self._last is None:
            return
        actor, height, step = self._last
        head = self._heads.get(actor)
        if head != step:
            self.find(f"head of {actor}", f"it is {head}, but the last step in the index is {step} at height {height}")

    def _waiting_row(self, key: bytes, value: bytes) -> None:
        place = read_waiting_row(key)
        message = self._message(f"message that waits for {place.actor}", value)
        if message is None:
            return
        said = (str(place.actor), place.lane, place.sender_digest, place.seq)
        if said != (message.to, message.lane, party_digest(message.sender), message.seq):
            self.find(f"message that waits for {place.actor}", f"{Id(value)} belongs to another place")
        if place.actor not in self._heads and message.to != str(message.content):
            self.find(f"message that waits for {place.actor}", "there is no such actor")
        self._check_unread(place.actor, message)

    def _check_unread(self, actor: ActorId, message: Message) -> None:
        head = self._heads.get(actor)
        if head is None or message.lane == SIGNAL:
            # A newer signal may have overtaken it; the node forgets it when it starts.
            return
        try:
            cursor = mailbox_get(self._reader, self._reader.step(head).inbox, mailbox_key(message.sender, message.lane))
        except (StoreError, ObjectError):
            # What can't be read is named for itself.
            return
        if cursor is not None and cursor.seq >= message.seq:
            where = f"message that waits for {actor}"
            self.find(where, f"number {message.seq} of {message.sender} was consumed: its inbox is at {cursor.seq}")

    def _outside_row(self, key: bytes, value: bytes) -> None:
        sender = key[1:].partition(b"\0")[0].decode()
        cursor = read_cursor_value(value)
        message = self._message(f"last message of {sender}", cursor.message)
        if message is not None and (message.sender, message.seq) != (sender, cursor.seq):
            self.find(f"last message of {sender}", f"{cursor.message} is number {message.seq} of {message.sender}")

    def _key_row(self, key: bytes, value: bytes) -> None:
        self._message(f"idempotency key {key[1:].partition(bytes(1))[2].decode()!r}", value[:36])

    def _evidence_row(self, key: bytes, value: bytes) -> None:
        json.loads(value)
        self._message("evidence", key[1:])

    def _hold_row(self, key: bytes, value: bytes) -> None:
        json.loads(value)
        if len(key) != len(HOLDS) + 33:
            self.find(_row(key), "it is no hold of an actor")

    def _due_row(self, key: bytes, value: bytes) -> None:
        due, actor, name = read_due_row(key)
        known = self._backend.row(timer_row(actor, name))
        said = None if known is None or not name else read_timer_value(known)
        if name and (said is None or (said.due, said.file, said.rang) != (due, Id(value), None)):
            self.find(f"timer {name} of {actor}", "it is due by one row, and by the other it is not, or not then")

    def _timer_row(self, key: bytes, value: bytes) -> None:
        actor, name = read_timer_row(key)
        if actor not in self._heads:
            self.find(f"timers of {actor}", "there is no such actor")
        elif name:
            said = read_timer_value(value)
            if said.rang is not None:
                self._message(f"timer {name} of {actor}", said.rang)
            elif self._backend.row(due_row(said.due, actor, name)) is None:
                self.find(f"timer {name} of {actor}", "no row says when it is due")

    def _backlog_row(self, key: bytes, value: bytes) -> None:
        actor, (step, before) = read_backlog_row(key), read_backlog_value(value)
        where = f"timers of {actor}"
        if actor not in self._heads:
            self.find(where, "there is no such actor")
        self._step(where, step)
        if before is not None and not self._reader.has(before):
            self.find(where, f"what stood there before a step is missing: {before}")

    def _step(self, where: str, value: bytes) -> Step | None:
        try:
            return self._reader.step(ids.from_bytes(value))
        except (StoreError, ObjectError) as error:
            self.find(where, _reason(error))
            return None

    def _message(self, where: str, value: bytes) -> Message | None:
        try:
            return self._reader.message(ids.from_bytes(value))
        except (StoreError, ObjectError) as error:
            self.find(where, _reason(error))
            return None


def _reason(error: Exception) -> str:
    return f"{error.id} is not in the store" if isinstance(error, Missing) else str(error)


def _row(key: bytes) -> str:
    return f"row {key[:1].decode(errors='replace')}:{key[1:].hex()}"
