"""Which messages may be consumed next, in which order, and that delivering them again changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.contract import Delivery
from understudy.kernel.deliver import Judgement, Waiting, judge, sender_key, unpack_row
from understudy.objects.codec import node_block, raw_block
from understudy.objects.ids import Id, MessageId
from understudy.objects.mailbox import LANES, QUEUE, SIGNAL, UPDATE, Cursor
from understudy.objects.message import Message, message_block
from understudy.store.memory import MemoryBackend
from understudy.store.port import Unit
from understudy.store.verified import Grit

ACTOR = node_block({"tree": {}}).id
CONTENT = raw_block(b"content").id


def conversation(count: int, *, lane: str = QUEUE, sender: str = "ann", text: bytes = b"content") -> list[Delivery]:
    """What a truthful sender sends."""
    found: list[Delivery] = []
    for seq in range(1, count + 1):
        found.append(said(seq, found[-1].id if found else None, lane=lane, sender=sender, text=text))
    return found


def said(
    seq: int, previous: Id | None, *, lane: str = QUEUE, sender: str = "ann", text: bytes = b"content", to: Id = ACTOR
) -> Delivery:
    """One message."""
    message = Message(
        to=str(to),
        sender=f"out/node/{sender}",
        seq=seq,
        type="add",
        content=raw_block(text).id,
        lane=lane,
        previous=None if previous is None else str(previous),
    )
    return Delivery(MessageId(message_block(message).id), message)


def genesis(sender: str = "ann", seq: int = 1, previous: Id | None = None) -> Delivery:
    """A message that carries the core to its own id."""
    message = Message(
        to=str(ACTOR),
        sender=f"out/node/{sender}",
        seq=seq,
        type="genesis",
        content=ACTOR,
        previous=None if previous is None else str(previous),
    )
    return Delivery(MessageId(message_block(message).id), message)


def cursor(delivery: Delivery) -> Cursor:
    return Cursor(delivery.message.seq, delivery.id)


def take_in(deliveries: list[Delivery]) -> list[Delivery]:
    """Those that are judged to be next, each in its turn."""
    last: Cursor | None = None
    taken: list[Delivery] = []
    for delivery in deliveries:
        if judge(delivery.id, delivery.message, last) is Judgement.NEXT:
            last = cursor(delivery)
            taken.append(delivery)
    return taken


@given(st.lists(st.integers(0, 7)))
def test_a_queue_is_taken_in_without_gaps_or_repeats_however_it_is_delivered(order: list[int]) -> None:
    said = conversation(8)
    taken = take_in([said[number] for number in order])
    assert taken == said[: len(taken)]
    assert take_in([said[number] for number in order] * 2)[: len(taken)] == taken


@given(st.lists(st.integers(0, 7)))
def test_a_signal_is_taken_in_at_most_once_and_the_newest_always(order: list[int]) -> None:
    said = conversation(8, lane=SIGNAL)
    taken = take_in([said[number] for number in order])
    seqs = [delivery.message.seq for delivery in taken]
    assert seqs == sorted(set(seqs))
    assert not order or seqs[-1] == max(order) + 1


@given(st.sampled_from(LANES), st.integers(1, 5), st.integers(1, 5))
def test_delivering_what_was_taken_in_changes_nothing(lane: str, old: int, count: int) -> None:
    said = conversation(max(old, count), lane=lane)
    last = cursor(said[count - 1])
    for delivery in said[:count]:
        assert judge(delivery.id, delivery.message, last) is Judgement.DUPLICATE


@pytest.mark.parametrize("lane", LANES)
def test_a_second_message_with_a_number_is_evidence(lane: str) -> None:
    true, lie = conversation(1, lane=lane)[0], conversation(1, lane=lane, text=b"another")[0]
    assert judge(lie.id, lie.message, cursor(true)) is Judgement.EVIDENCE


@pytest.mark.parametrize("lane", LANES)
def test_a_message_that_follows_another_than_the_last_one_is_evidence(lane: str) -> None:
    true = conversation(1, lane=lane)[0]
    lie = said(2, said(1, None, lane=lane, text=b"another").id, lane=lane)
    assert judge(lie.id, lie.message, cursor(true)) is Judgement.EVIDENCE


def test_a_message_before_its_turn_is_early_in_a_queue_and_welcome_as_a_signal() -> None:
    for lane, judgement in ((QUEUE, Judgement.EARLY), (UPDATE, Judgement.EARLY), (SIGNAL, Judgement.NEXT)):
        third = conversation(3, lane=lane)[2]
        assert judge(third.id, third.message, None) is judgement


# What waits.


def waiting_for(*deliveries: Delivery) -> Waiting:
    waiting = Waiting()
    for delivery in deliveries:
        waiting.add(delivery)
    return waiting


def test_updates_go_first_and_alone_then_signals_then_the_queue() -> None:
    queue, signals, updates = (conversation(2, lane=lane) for lane in (QUEUE, SIGNAL, UPDATE))
    waiting = waiting_for(*queue, *signals, *updates)
    assert waiting.take(born=True, limit=512) == updates[:1]
    assert waiting.take(born=True, limit=512) == updates[1:]
    assert waiting.take(born=True, limit=3) == [*signals, queue[0]]
    assert waiting.take(born=True, limit=512) == queue[1:]
    assert waiting.take(born=True, limit=512) == [] and len(waiting) == 0


def test_a_genesis_that_comes_too_late_goes_alone() -> None:
    first, late = conversation(1)[0], genesis("bob")
    last = conversation(1, sender="cyd")[0]
    waiting = waiting_for(first, late, last)
    taken = [waiting.take(born=True, limit=512) for _ in range(3)]
    assert taken == [[first], [late], [last]]


def test_an_unborn_actor_takes_the_genesis_past_everything_else() -> None:
    before = conversation(1, sender="bob")[0]
    update = conversation(1, lane=UPDATE, sender="bob")[0]
    waiting = waiting_for(before, update, genesis("ann"))
    assert waiting.take(born=False, limit=512) == [genesis("ann")]
    assert waiting.take(born=False, limit=512) == []
    assert waiting.take(born=True, limit=512) == [update]


def test_a_genesis_behind_another_message_of_its_sender_is_not_next() -> None:
    first = conversation(1)[0]
    waiting = waiting_for(first, genesis("ann", 2, first.id))
    assert waiting.take(born=False, limit=512) == []


conversations = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(LANES)), max_size=12)


def deliveries_of(order: list[tuple[str, str]]) -> list[Delivery]:
    """True messages of several conversations, as they come in."""
    last: dict[tuple[str, str], Delivery] = {}
    found: list[Delivery] = []
    for place in order:
        before = last.get(place)
        last[place] = said(
            1 if before is None else before.message.seq + 1,
            None if before is None else before.id,
            sender=place[0],
            lane=place[1],
        )
        found.append(last[place])
    return found


def drained(waiting: Waiting, limit: int) -> list[list[Delivery]]:
    taken: list[list[Delivery]] = []
    while some := waiting.take(born=True, limit=limit):
        taken.append(some)
    return taken


@given(conversations, st.integers(1, 4), st.integers(0, 5))
def test_putting_back_undoes_a_take(order: list[tuple[str, str]], limit: int, times: int) -> None:
    untouched, waiting = waiting_for(*deliveries_of(order)), waiting_for(*deliveries_of(order))
    for _ in range(times):
        waiting.put_back(waiting.take(born=True, limit=limit))
    assert (len(waiting), waiting.tails) == (len(untouched), untouched.tails)
    assert drained(waiting, limit) == drained(untouched, limit)


@given(conversations, st.integers(1, 4), st.sampled_from("abc"), st.sampled_from(LANES), st.integers(0, 12))
def test_a_parked_key_holds_up_nobody_and_comes_back_in_order(
    order: list[tuple[str, str]], limit: int, sender: str, lane: str, early: int
) -> None:
    deliveries = deliveries_of(order)
    key = sender_key(said(1, None, sender=sender, lane=lane).message)
    waiting = waiting_for(*deliveries[:early])
    waiting.park(key)
    for delivery in deliveries[early:]:
        waiting.add(delivery)
    others = [delivery for delivery in deliveries if sender_key(delivery.message) != key]
    ours = [delivery for delivery in deliveries if sender_key(delivery.message) == key]
    assert sorted(waiting.all()) == sorted(deliveries) and len(waiting) == len(deliveries)
    assert drained(waiting, limit) == drained(waiting_for(*others), limit)
    assert len(waiting) == len(ours)
    waiting.unpark(key)
    assert [delivery for some in drained(waiting, limit) for delivery in some] == ours
    assert len(waiting) == 0


@given(conversations, st.integers(1, 4))
def test_every_message_is_taken_once_and_each_conversation_in_order(order: list[tuple[str, str]], limit: int) -> None:
    deliveries = deliveries_of(order)
    waiting = waiting_for(*deliveries)
    taken = drained(waiting, limit)
    assert all(len(some) <= limit for some in taken)
    flat = [delivery for some in taken for delivery in some]
    for place in set(order):
        of_place = [each for each in deliveries if (each.message.sender[-1], each.message.lane) == place]
        assert [each for each in flat if (each.message.sender[-1], each.message.lane) == place] == of_place
    assert len(flat) == len(deliveries)
    waiting.forget(flat)
    assert waiting.tails == {}


def test_forgetting_keeps_the_cursor_of_a_conversation_that_goes_on() -> None:
    first, second = conversation(2)
    waiting = waiting_for(first, second)
    waiting.forget(waiting.take(born=True, limit=1))
    assert waiting.tails == {sender_key(second.message): cursor(second)}


# Rows.


def stored(deliveries: list[Delivery]) -> Grit:
    backend = MemoryBackend()
    backend.commit([Unit(blocks=[message_block(delivery.message) for delivery in deliveries])])
    return Grit(backend)


def test_a_row_stands_for_its_message_and_those_before_it_that_were_not_taken_in() -> None:
    said = conversation(5)
    reader = stored(said)
    for after in range(5):
        found = unpack_row(reader, b"row", said[4].id, after=after)
        assert [delivery.id for delivery in found] == [delivery.id for delivery in said[after:]]
        assert [delivery.row for delivery in found] == [None] * (4 - after) + [b"row"]


def test_a_row_of_a_message_that_was_taken_in_gives_that_message_alone() -> None:
    said = conversation(3)
    assert [each.id for each in unpack_row(stored(said), b"row", said[2].id, after=3)] == [said[2].id]


def test_a_row_whose_earlier_messages_are_nowhere_gives_those_that_are_there() -> None:
    said = conversation(4)
    found = unpack_row(stored(said[2:]), b"row", said[3].id, after=0)
    assert [delivery.id for delivery in found] == [said[2].id, said[3].id]
