"""Reception: messages from outside, from acceptance to answer.

The laws: a message is acknowledged only once it is durable; the same idempotency key never makes a second message.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from understudy.actors.contract import Delivery
from understudy.kernel.accept import accept
from understudy.kernel.seal import Sealed
from understudy.node.errors import Busy, Conflict, KeyReused, NodeFailed
from understudy.node.intake.answers import Answer, Found, answer_of, made_by
from understudy.node.intake.sending import Sending
from understudy.node.intake.waiters import Waiter, tell
from understudy.node.running.committer import MAX_QUEUED, Committer
from understudy.node.running.done import Done
from understudy.node.running.events import HoldBegan, Tag
from understudy.objects.ids import ActorId, Id, MessageId
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.objects.names import check_text, is_outside
from understudy.store.errors import StoreError
from understudy.store.keys import HEADS, head_ref, idempotency_row, outside_row, read_cursor_value
from understudy.store.port import Backend, Move, Unit

MAX_CURSORS: Final = (
    4 * MAX_QUEUED
)  # more than can be under way, so that one that is not yet durable is never forgotten
MAX_RECENT: Final = 4096  # answers kept for callers that ask a little later
MAX_KEY_BYTES: Final = 255


class Reception:
    """Accepts messages and keeps who waits for what. Its methods may be called on any event loop."""

    def __init__(self, backend: Backend, submit: Committer[Tag]) -> None:
        self._backend = backend
        self._committer = submit
        self._lock = threading.Lock()
        self._cursors: OrderedDict[tuple[str, str], Cursor] = OrderedDict()
        self._keys: dict[bytes, tuple[MessageId, bytes]] = {}
        self._accepting: dict[MessageId, list[Waiter]] = {}
        self._answering: dict[MessageId, list[Waiter]] = {}
        self._recent: OrderedDict[MessageId, Answer] = OrderedDict()
        # Who waits for a place in a conversation, first come first served. While one has its turn, nobody else takes a place.
        self._held: dict[tuple[str, str], deque[Waiter]] = {}
        self._entered: list[tuple[Delivery, Unit]] = []  # what has its place and is not handed to the committer yet
        self._failure: NodeFailed | None = None
        self._unborn: dict[ActorId, list[_HeldBack]] = {}

    async def accept(self, sending: Sending) -> MessageId:
        """Make a message durable and give its id. With a key that was used for the same request, the id is the first one's.

        Raises BadName, KeyReused, Conflict (one of `moves` failed: nothing was stored), Busy, NodeFailed.
        """
        entered = await self._enter(sending)
        if entered.accepted is not None:
            await entered.accepted.future
        return entered.id

    async def deliver(
        self, sending: Sending, *, find: Callable[[MessageId], Found | None], seconds: float | None
    ) -> tuple[MessageId, Answer | None]:
        """Make a message durable and wait for its answer; None if there is none in time, or if its actor is held because it
        failed on this message, and always after 0 seconds.

        Raises as `accept` does. Who waits for the answer needs no word of the acceptance before it, which saves a way to the event loop.
        """
        if seconds == 0:
            return await self.accept(sending), None
        waiter = Waiter(asyncio.get_running_loop())
        entered = await self._enter(sending, answer=waiter)
        id = entered.id
        try:
            async with asyncio.timeout(seconds):
                if entered.is_new:
                    return id, await waiter.future
                if entered.accepted is not None:
                    await entered.accepted.future
                return id, await self.answer(id, find=lambda: find(id))
        except TimeoutError:
            await self._acceptance_of(id)
            return id, None
        finally:
            self._stop_waiting(id, waiter)

    async def answer(self, message: MessageId, *, find: Callable[[], Found | None]) -> Answer | None:
        """Wait for the durable step that consumes the message. `find` looks for it in the store.

        None as soon as its actor is held because it failed on this message: then nobody knows when that step comes.
        """
        waiter = Waiter(asyncio.get_running_loop())
        with self._lock:
            recent = self._recent.get(message)
            if recent is not None:
                return recent
            self._answering.setdefault(message, []).append(waiter)
        try:
            found = find()
            with self._lock:
                if found is not None and not self._hold_back(_HeldBack(message, *found)):
                    return found.answer
                self._check_alive()
            answer: Answer | None = await waiter.future
            return answer
        finally:
            self._stop_waiting(message, waiter)

    def on_durable(self, done: Sequence[Done[Tag]]) -> None:
        """Tell those who wait. On the scheduler's thread."""
        told: list[tuple[Waiter, object]] = []
        with self._lock:
            for tag, unit, receipt in done:
                if isinstance(tag, Sealed):
                    if receipt.conflict is None:
                        self._answer_all(tag, told)
                elif isinstance(tag, HoldBegan):
                    told += [(waiter, None) for id in tag.messages for waiter in self._answering.pop(id, ())]
                elif isinstance(tag, Delivery):
                    result = tag.id if receipt.conflict is None else _conflict(receipt.conflict, receipt.found)
                    told += [(waiter, result) for waiter in self._accepting.pop(tag.id, ())]
                    if unit.moves:
                        # Only now: while the unit may still fail its compare-and-set, nothing may follow its message.
                        self._pass_turn(_place(tag))
                    if receipt.conflict is not None:
                        told += [(waiter, result) for waiter in self._answering.pop(tag.id, ())]
                    self._forget_keys(tag, unit, failed=receipt.conflict is not None)
        tell(told)

    def fail(self, error: BaseException) -> None:
        """The node works no more: everybody who waits hears it, and everybody who comes after."""
        problem = NodeFailed(f"the node stopped working: {error}")
        with self._lock:
            self._failure = problem
            tables = (self._accepting, self._answering, self._held)
            waiters = [waiter for table in tables for some in table.values() for waiter in some]
            for table in tables:
                table.clear()
        tell([(waiter, problem) for waiter in waiters])

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise NodeFailed(str(self._failure))

    def _known(self, sender: str, key: str) -> tuple[MessageId, bytes] | None:
        row = idempotency_row(sender, key)
        if row in self._keys:
            return self._keys[row]
        value = self._backend.row(row)
        return None if value is None else (MessageId(Id(value[:36])), value[36:])

    async def _enter(self, sending: Sending, *, answer: Waiter | None = None) -> _Entered:
        """Give a message its place, unless its key was used before. With `answer`, that hears of a new one's answer alone."""
        loop = asyncio.get_running_loop()
        key, request = sending.idempotency_key, sending.digest()
        if key is not None:
            check_text(key, what="idempotency key", most=MAX_KEY_BYTES)
        place, has_turn = sending.place, False
        while True:
            waiter = Waiter(loop)
            with self._lock:
                held = self._held.get(place)
                if held is None or has_turn:
                    entered = self._enter_now(sending, request, waiter, answer, has_turn=has_turn)
                    break
                held.append(waiter)
            await self._wait_for_turn(place, waiter)
            has_turn = True
        if not entered.is_new:
            return entered
        # Once the event loop is through with everything that came in: they share one way to the committer.
        loop.call_soon(self._hand_in)
        return entered

    def _enter_now(
        self, sending: Sending, request: bytes, waiter: Waiter, answer: Waiter | None, *, has_turn: bool
    ) -> _Entered:
        """Give a message its place. Who had a turn passes it on, unless what it sent may still fail."""
        keeps_turn = False
        try:
            self._check_alive()
            key = sending.idempotency_key
            known = None if key is None else self._known(sending.sender, key)
            if known is not None:
                return self._enter_again(known, request, key, waiter)
            id = self._take_in(sending, request)
            keeps_turn = bool(sending.moves)
            self._accepting[id] = [waiter] if answer is None else []
            if answer is not None:
                self._answering[id] = [answer]
            return _Entered(id, waiter, is_new=True)
        finally:
            if has_turn and not keeps_turn:
                self._pass_turn(sending.place)

    async def _wait_for_turn(self, place: tuple[str, str], waiter: Waiter) -> None:
        try:
            await waiter.future
        except BaseException:
            with self._lock:
                held = self._held.get(place)
                if held is not None and waiter in held:
                    held.remove(waiter)
                else:
                    # It was given its turn, and does not take it.
                    self._pass_turn(place)
            raise

    def _pass_turn(self, place: tuple[str, str]) -> None:
        """The next one that waits for a place in a conversation has its turn; without one, the conversation is free."""
        held = self._held.get(place)
        if held:
            tell([(held.popleft(), None)])
        else:
            self._held.pop(place, None)

    def _enter_again(self, known: tuple[MessageId, bytes], request: bytes, key: str | None, waiter: Waiter) -> _Entered:
        id, before = known
        if before != request:
            raise KeyReused(f"the idempotency key {key!r} was used before, for another request")
        under_way = self._accepting.get(id)
        if under_way is None:
            return _Entered(id, None, is_new=False)
        under_way.append(waiter)
        return _Entered(id, waiter, is_new=False)

    def _take_in(self, sending: Sending, request: bytes) -> MessageId:
        if self._committer.queued + len(self._entered) >= MAX_QUEUED:
            raise Busy("more messages are queued than the node takes at once; try again in a second")
        key, place, expected = sending.idempotency_key, sending.place, sending.expected
        last = self._cursor(place)
        if expected is not None and last != expected.consumed:
            raise Conflict(f"the head is not {expected.head}, or a message that waits will move it; nothing was sent")
        delivery, unit = accept(
            to=sending.to,
            sender=sending.sender,
            type=sending.type,
            content=sending.content,
            blocks=sending.blocks,
            last=last,
            lane=sending.lane,
            headers=sending.headers,
            idempotency=None if key is None else (key, request),
        )
        if sending.moves:
            # It may fail, and then what follows it would follow a message that is nowhere: that has to wait.
            self._held.setdefault(place, deque())
            unit = Unit(blocks=unit.blocks, moves=sending.moves, rows=unit.rows)
        self._entered.append((delivery, unit))
        self._cursors[place] = Cursor(delivery.message.seq, delivery.id)
        self._cursors.move_to_end(place)
        if len(self._cursors) > MAX_CURSORS:
            self._cursors.popitem(last=False)
        if key is not None:
            self._keys[idempotency_row(sending.sender, key)] = (delivery.id, request)
        return delivery.id

    def _hand_in(self) -> None:
        told: list[tuple[Waiter, object]] = []
        with self._lock:
            entered, self._entered = self._entered, []
            try:
                if entered:
                    self._committer.submit(entered)
            except StoreError as error:
                problem = NodeFailed(str(error))
                # At once, not with `fail`: who sends one of these again until then would hear that it is durable.
                self._failure = self._failure or problem
                for delivery, _ in entered:
                    waiters = [*self._accepting.pop(delivery.id, ()), *self._answering.pop(delivery.id, ())]
                    waiters += self._held.pop(_place(delivery), ())
                    told += [(waiter, problem) for waiter in waiters]
        tell(told)

    async def _acceptance_of(self, id: MessageId) -> None:
        """Wait until a message is durable."""
        waiter = Waiter(asyncio.get_running_loop())
        with self._lock:
            self._check_alive()
            waiters = self._accepting.get(id)
            if waiters is None:
                return
            waiters.append(waiter)
        await waiter.future

    def _stop_waiting(self, message: MessageId, waiter: Waiter) -> None:
        with self._lock:
            waiters = self._answering.get(message, [])
            if waiter in waiters:
                waiters.remove(waiter)
            if not waiters:
                self._answering.pop(message, None)

    def _cursor(self, place: tuple[str, str]) -> Cursor | None:
        cursor = self._cursors.get(place)
        if cursor is None:
            value = self._backend.row(outside_row(*place))
            cursor = None if value is None else read_cursor_value(value)
        return cursor

    def _hold_back(self, held_back: _HeldBack) -> bool:
        """True if the answer has to wait for an actor, which will tell it."""
        unborn = held_back.made
        while unborn and self._backend.ref(head_ref(unborn[-1])) is not None:
            unborn.pop()
        if not unborn or len(self._unborn) >= MAX_RECENT:
            return False
        self._unborn.setdefault(unborn[-1], []).append(held_back)
        return True

    def _forget_keys(self, accepted: Delivery, unit: Unit, *, failed: bool) -> None:
        for row in unit.rows:
            self._keys.pop(row.key, None)
        if failed:
            self._cursors.pop(_place(accepted), None)

    def _answer_all(self, sealed: Sealed, told: list[tuple[Waiter, object]]) -> None:
        if sealed.step.height == 0:
            for held_back in self._unborn.pop(sealed.actor.id, ()):
                self._answer(held_back, told)
        from_outside = [delivery for delivery in sealed.consumed if is_outside(delivery.message.sender)]
        made = made_by(sealed.sent) if from_outside else []
        for delivery in from_outside:
            answer = answer_of(delivery.id, delivery.message, sealed.id, sealed.step.outcome, sealed.sent)
            self._answer(_HeldBack(delivery.id, answer, list(made)), told)

    def _answer(self, held_back: _HeldBack, told: list[tuple[Waiter, object]]) -> None:
        """Tell an answer, once the actors live that its step made: whoever reads their ids in it may ask them at once."""
        if self._hold_back(held_back):
            return
        id, answer, _ = held_back
        self._recent[id] = answer
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        told += [(waiter, answer) for waiter in self._answering.pop(id, ())]


class _HeldBack(NamedTuple):
    """An answer that waits for actors to be born."""

    id: MessageId
    answer: Answer
    made: list[ActorId]


class _Entered(Struct, frozen=True):
    """A message that has its place; `accepted` hears when it is durable, and is None if it is. `is_new`: not sent before."""

    id: MessageId
    accepted: Waiter | None
    is_new: bool


def _place(delivery: Delivery) -> tuple[str, str]:
    """The conversation of a message: who sends, and the key in its outbox."""
    message = delivery.message
    return message.sender, mailbox_key(message.to, message.lane)


def _conflict(move: Move, found: bytes | None) -> Conflict:
    if move.ref.startswith(HEADS):
        head = "gone" if found is None else f"{Id(found)}"
        return Conflict(f"the head has moved: it is {head}, and another one is expected; nothing was sent")
    name = move.ref.partition(b"/")[2].decode("utf-8", "replace")
    return Conflict(f"the name {name!r} is taken by {Id(found) if found else 'nobody any more'}")
