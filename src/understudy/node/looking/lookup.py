"""Looking: actors, names, steps and what is pending, as the store says. Durable state only; changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.kernel.deliver import sender_key, unpack_row
from understudy.node.errors import Ambiguous, NotFound, NotThatStep
from understudy.node.holds import STOPS_STEPS, Hold, Key, foremost, read_holds
from understudy.node.looking.names import Names
from understudy.node.looking.stopped_flows import why_stalled, why_stalled_at
from understudy.objects import ids
from understudy.objects.errors import BadId, ObjectError, WrongKind
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.mailbox import mailbox_key
from understudy.objects.message import Message
from understudy.objects.names import actor_of
from understudy.objects.step import Step
from understudy.store.errors import Missing, StoreError
from understudy.store.keys import (
    EVIDENCE,
    FEED,
    HEADS,
    WAITING,
    actor_of_head,
    head_ref,
    height_row,
    heights_of,
    waiting_of,
)
from understudy.store.maps import mailbox_get
from understudy.store.port import Backend
from understudy.store.reader import Reader

MAX_PAGE: Final = 1000
READY: Final = "ready"
STALLED: Final = "stalled"
WAITS: Final = "waiting"
_CHECKED: Final = 1024  # steps that are known to be in a history: those that are asked again and again

Item = TypeVar("Item")


class Page(Struct, Generic[Item], frozen=True):
    """Some items, and where the next page begins (None: that was all)."""

    items: list[Item]
    next: str | None


class ActorInfo(Struct, frozen=True, kw_only=True):
    """An actor as a list shows it; `engine` is that of its last step.

    `status` is "ready", "stalled" (it works, and a flow of it stands still), or why it does not work, in the words of
    `Pending`, with the `reason`.
    """

    id: ActorId
    name: str | None
    head: StepId
    height: int
    engine: str
    status: str = READY
    reason: str | None = None


class Unborn(Struct, frozen=True, kw_only=True):
    """An actor whose first step is still to come: its genesis waits. `status` and `reason` are those of that message."""

    id: ActorId
    name: str | None
    status: str
    reason: str | None


class Pending(Struct, frozen=True, kw_only=True):
    """A message that was accepted and not yet consumed.

    `state` is "waiting", "running" (its actor runs a step now), "retry" (tried again later), "stuck" (the host failed its
    actor), "slowed" (it floods), "paused", "held" or "suspect" (node/holds.py); `error` is the reason.
    """

    to: str
    sender: str
    lane: str
    seq: int
    type: str
    message: MessageId
    state: str = WAITS
    attempts: int = 0
    error: str | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """A message that a truthful sender could not have sent."""

    message: MessageId
    sender: str
    to: str
    kept: str | None
    why: str


class Lookup:
    """Answers questions from a store."""

    def __init__(self, backend: Backend, reader: Reader) -> None:
        self.names = Names(backend)
        self._backend = backend
        self._reader = reader
        # What is in a history stays there.
        self._checked = lru_cache(_CHECKED)(self._check_step)
        # By the link to its flows: many a step leaves those as they were.
        self._stalled = lru_cache(_CHECKED)(lambda flows: why_stalled(reader, flows))

    def resolve(self, text: str) -> ActorId:
        """The actor that an id, a name or the unique beginning of an id means. Raises NotFound, Ambiguous."""
        try:
            actor = ActorId(TreeId(ids.parse(text)))
        except BadId:
            return self._by_name_or_prefix(text)
        if self._backend.ref(head_ref(actor)) is None:
            raise NotFound(f"there is no actor {text} here; `understudy actors` lists those there are")
        return actor

    def with_prefix(self, text: str) -> Iterator[ActorId]:
        """At most two actors whose id begins so, with or without the seven characters that all share."""
        tail = text[ids.SHARED_PREFIX :] if text.startswith("bafyrei") else text
        heads = self._backend.refs(HEADS + _whole_bytes(tail)) if tail else iter(())
        actors = (actor_of_head(ref) for ref, _ in heads)
        return islice((actor for actor in actors if str(actor)[ids.SHARED_PREFIX :].startswith(tail)), 2)

    def resolve_expected(self, text: str) -> ActorId:
        """As `resolve`, but the whole id also means an actor that is not born yet, for which mail waits."""
        try:
            return self.resolve(text)
        except NotFound:
            try:
                actor = ActorId(TreeId(ids.parse(text)))
            except BadId:
                pass
            else:
                if self.is_expected(actor):
                    return actor
            raise

    def is_expected(self, actor: ActorId) -> bool:
        """True if an actor is not born, and mail waits for it or something holds its core."""
        if self.head(actor) is not None:
            return False
        return any(True for _ in self._backend.rows(waiting_of(actor))) or bool(read_holds(self._backend, actor))

    def head(self, actor: ActorId) -> StepId | None:
        """The newest durable step."""
        value = self._backend.ref(head_ref(actor))
        return None if value is None else StepId(Id(value))

    def newest(self, actor: ActorId) -> StepId:
        """The newest durable step of an actor that is here. Raises NotFound."""
        head = self.head(actor)
        if head is None:
            raise NotFound(f"there is no actor {actor} here; `understudy actors` lists those there are")
        return head

    def actor(self, actor: ActorId) -> ActorInfo:
        """One actor. Raises NotFound."""
        holds = read_holds(self._backend, actor)
        return self._info(actor, self.newest(actor), self.names.name_of(actor), holds)

    def expected(self, actor: ActorId) -> ActorInfo | Unborn:
        """One actor, or what is known of it before it is born. Raises NotFound."""
        if not self.is_expected(actor):
            return self.actor(actor)
        waiting, hold = self.pending(actor, limit=1), foremost(read_holds(self._backend, actor), actor)
        state, reason = (WAITS, None) if hold is None else (hold.state, hold.reason)
        if waiting:
            state, reason = waiting[0].state, waiting[0].error
        return Unborn(id=actor, name=self.names.name_of(actor), status=state, reason=reason)

    def actors(self, *, after: str | None = None, limit: int = 100) -> Page[ActorInfo]:
        """Actors in the order of their ids, from behind `after` (a `next` of an earlier page) on."""
        start = b"" if after is None else head_ref(ids.parse(after)) + b"\x00"
        found: list[ActorInfo] = []
        holds = read_holds(self._backend)
        for ref, head in self._backend.refs(HEADS, start):
            if len(found) == min(limit, MAX_PAGE):
                return Page(found, str(found[-1].id))
            actor = actor_of_head(ref)
            found.append(self._info(actor, StepId(Id(head)), self.names.name_of(actor), holds))
        return Page(found, None)

    def all_actors(self) -> Iterator[tuple[ActorId, StepId]]:
        """Every actor with its head."""
        for ref, head in self._backend.refs(HEADS):
            yield actor_of_head(ref), StepId(Id(head))

    def step_at(self, actor: ActorId, height: int) -> StepId | None:
        """The step of an actor at a height: the same cost at any height."""
        value = self._backend.row(height_row(actor, height)) if 0 <= height < 2**63 else None
        return None if value is None else StepId(Id(value))

    def find_step(self, actor: ActorId, text: str) -> StepId:
        """The durable step of an actor that a height, a step's id or ACTOR@HEIGHT means. Raises NotThatStep, NotFound, BadId."""
        name, _, height = text.rpartition("@")
        if not is_height(height):
            try:
                step = StepId(ids.parse(text))
            except BadId as error:
                raise BadId(f"{text[:80]!r} is no step: write a height, the id of a step, or ACTOR@HEIGHT") from error
            return self.check_step(actor, step)
        if name and self.resolve(name) != actor:
            raise NotThatStep(f"{text} is a step of another actor than {actor}")
        found = self.step_at(actor, int(height))
        if found is None:
            raise NotThatStep(f"there is no step #{height}; the newest is #{self.actor(actor).height}")
        return found

    def check_step(self, actor: ActorId, step: StepId) -> StepId:
        """The step, if it is a durable one in the history of this actor. Raises NotThatStep."""
        return self._checked(actor, step)

    def steps(self, actor: ActorId, *, before: int | None = None, limit: int = 100) -> Page[tuple[StepId, Step]]:
        """Steps of an actor, newest first, from below the height `before` on."""
        start = height_row(actor, 2**63 - 1 if before is None else max(before, 0))
        found: list[tuple[StepId, Step]] = []
        for key, value in self._backend.rows(heights_of(actor), start, reverse=True):
            if before is not None and key == start:
                continue
            if len(found) == min(limit, MAX_PAGE):
                return Page(found, str(found[-1][1].height))
            found.append((StepId(Id(value)), self._reader.step(value)))
        return Page(found, None)

    def step_of(self, actor: ActorId, message: Message) -> StepId | None:
        """The step that consumed a message, None if none did yet: a binary search over the history."""
        head = self.head(actor)
        if head is None:
            return None
        key = mailbox_key(message.sender, message.lane)
        newest = self._reader.step(head)
        if not self._has(newest, key, message.seq):
            return None
        low, high = 0, newest.height
        while low < high:
            middle = (low + high) // 2
            id = self.step_at(actor, middle)
            if id is not None and self._has(self._reader.step(id), key, message.seq):
                high = middle
            else:
                low = middle + 1
        return self.step_at(actor, high)

    def pending(self, actor: ActorId | None = None, *, limit: int = 1000) -> list[Pending]:
        """Messages that wait, in the order of their mailboxes."""
        holds = read_holds(self._backend, actor)
        rows = self._backend.rows(WAITING if actor is None else waiting_of(actor))
        return [_pending(delivery, holds) for delivery in islice(self._waiting(rows), limit)]

    def _waiting(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[Delivery]:
        """The messages that rows stand for. A row may stand for several, of which those before it may have rows too."""
        key, after = b"", 0
        for row, value in rows:
            last = MessageId(Id(value))
            if row[:-8] != key:
                key, after = row[:-8], self._consumed(self._reader.message(last))
            for delivery in unpack_row(self._reader, row, last, after=after):
                after = delivery.message.seq
                yield delivery

    def _consumed(self, message: Message) -> int:
        """The number of the last message that the recipient took of the same conversation."""
        head = self.head(actor_of(message.to))
        try:
            inbox = {} if head is None else self._reader.step(head).inbox
            cursor = mailbox_get(self._reader, inbox, sender_key(message))
        except (StoreError, ObjectError):
            # A head that is damaged: what the row names is all that is known.
            return message.seq - 1
        return 0 if cursor is None else cursor.seq

    def evidence(self, *, limit: int = 1000) -> list[Evidence]:
        """What shows that senders lied."""
        found: list[Evidence] = []
        for key, value in self._backend.rows(EVIDENCE):
            if len(found) == limit:
                break
            id = MessageId(Id(key[1:]))
            message, fields = self._reader.message(id), msgspec.json.decode(value)
            found.append(
                Evidence(message=id, sender=message.sender, to=message.to, kept=fields["kept"], why=fields["why"])
            )
        return found

    def newest_feed_number(self) -> int:
        """The number of the newest entry of the feed, 0 for none."""
        last = next(iter(self._backend.rows(FEED, FEED + b"\xff" * 8, reverse=True)), None)
        return 0 if last is None else int.from_bytes(last[0][1:], "big")

    def _check_step(self, actor: ActorId, step: StepId) -> StepId:
        try:
            found = self._reader.step(step)
        except Missing as error:
            raise NotThatStep(f"there is no {step} here, or it is not durable yet") from error
        except WrongKind as error:
            raise NotThatStep(f"{step} is {self._reader.kind(step)}, not a step") from error
        if found.actor != actor:
            raise NotThatStep(f"{step} is a step of {found.actor}, not of {actor}")
        if self.step_at(actor, found.height) != step:
            raise NotThatStep(f"{step} is not in the history of {actor} here: at height {found.height} is another step")
        return step

    def _info(self, actor: ActorId, head: StepId, name: str | None, holds: Mapping[Key, Hold]) -> ActorInfo:
        step, hold = self._reader.step(head), foremost(holds, actor)
        status, reason = (READY, self._why_stalled(step)) if hold is None else (hold.state, hold.reason)
        if status == READY and reason is not None:
            status = STALLED
        return ActorInfo(
            id=actor, name=name, head=head, height=step.height, engine=step.engine, status=status, reason=reason
        )

    def _why_stalled(self, step: Step) -> str | None:
        return why_stalled_at(self._reader, step, self._stalled)

    def _has(self, step: Step, key: str, seq: int) -> bool:
        cursor = mailbox_get(self._reader, step.inbox, key)
        return cursor is not None and cursor.seq >= seq

    def _by_name_or_prefix(self, text: str) -> ActorId:
        named = self.names.actor_of(text) if text and "/" not in text else None
        if named is not None:
            return named
        found = list(self.with_prefix(text))
        if len(found) > 1:
            some = ", ".join(ids.short(actor) for actor in found)
            raise Ambiguous(f"{text!r} is the beginning of several actors' ids ({some}, …): give more characters")
        if not found:
            raise NotFound(
                f"there is no actor {text!r} here, neither name nor id; `understudy actors` lists those there are"
            )
        return found[0]


def is_height(text: str) -> bool:
    """True if a text is a height, and neither an id nor a name."""
    # As long as a height may be: Python takes its time to read a number of a million digits.
    return text.isascii() and text.isdigit() and len(text) < 20


def _pending(delivery: Delivery, holds: Mapping[Key, Hold]) -> Pending:
    message = delivery.message
    actor = actor_of(message.to)
    found = next((hold for kind in STOPS_STEPS if (hold := holds.get((actor, kind))) is not None), None)
    return Pending(
        to=message.to,
        sender=message.sender,
        lane=message.lane,
        seq=message.seq,
        type=message.type,
        message=delivery.id,
        state=WAITS if found is None else found.state,
        error=None if found is None else found.reason,
    )


def _whole_bytes(tail: str) -> bytes:
    """The whole bytes of a digest that the beginning of an id's text fixes; empty if it is no base32."""
    try:
        known = len("afyrei" + tail) * 5 // 8
        padded = ("afyrei" + tail).upper()
        return base64.b32decode(padded + "A" * (-len(padded) % 8))[4:known]
    except ValueError:
        return b""
