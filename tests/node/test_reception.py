"""Reception alone: what becomes of messages that the committer does not take."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from understudy.node.errors import NodeFailed
from understudy.node.intake.answers import Found
from understudy.node.intake.reception import Reception
from understudy.node.intake.sending import Sending
from understudy.node.running.committer import Committer
from understudy.node.running.done import Done
from understudy.node.running.events import Tag
from understudy.objects.ids import MessageId, node_id, raw_id
from understudy.objects.mailbox import QUEUE
from understudy.store.keys import WAITING, name_ref
from understudy.store.memory import MemoryBackend
from understudy.store.port import Move
from understudy.store.verified import Grit

SOON = 1e-9  # seconds: over before the event loop comes round


def sending(key: str | None = None) -> Sending:
    return Sending(
        to=str(node_id(b"somebody")),
        sender="out/here/ann",
        type="say",
        content=raw_id(b"hello"),
        blocks=(),
        lane=QUEUE,
        idempotency_key=key,
    )


def stopped() -> Reception:
    """One whose committer was stopped, and which was not told yet: so it is while a node stops."""
    backend = MemoryBackend()
    committer: Committer[Tag] = Committer(backend, on_done=lambda done: None, on_failure=lambda error: None)
    committer.stop()
    return Reception(backend, committer)


def test_a_message_that_is_not_taken_any_more_is_not_acknowledged_when_it_is_sent_again() -> None:
    reception = stopped()

    async def send_twice() -> None:
        for _ in range(2):
            with pytest.raises(NodeFailed):
                await reception.accept(sending("key"))

    asyncio.run(send_twice())


def test_a_message_that_is_not_taken_any_more_is_not_acknowledged_to_who_waits_no_longer() -> None:
    def never(_: MessageId) -> Found | None:
        raise AssertionError("it is nowhere")

    async def send() -> None:
        with pytest.raises(NodeFailed):
            await reception.deliver(sending(), find=never, seconds=SOON)

    reception = stopped()
    asyncio.run(send())


def numbered(content: bytes, moves: tuple[Move, ...] = ()) -> Sending:
    return msgspec.structs.replace(sending(), content=raw_id(content), moves=moves)


async def rest() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def order_of(backend: MemoryBackend) -> list[str]:
    """The contents of the messages that wait, by their numbers."""
    contents = {str(raw_id(text.encode())): text for text in ("first", "held", "behind", "new")}
    reader = Grit(backend)
    return [contents[str(reader.message(value).content)] for _, value in backend.rows(WAITING)]


@pytest.mark.parametrize("cancelled", [False, True])
def test_who_waited_for_its_place_is_not_overtaken_by_who_comes_while_it_is_woken(cancelled: bool) -> None:
    backend = MemoryBackend()
    done: list[Done[Tag]] = []
    committer: Committer[Tag] = Committer(backend, on_done=done.extend, on_failure=lambda error: None)
    reception = Reception(backend, committer)

    async def send_all() -> None:
        unsure = Move(name_ref("name"), None, node_id(b"somebody"))
        tasks = [asyncio.create_task(reception.accept(numbered(b"first", (unsure,))))]
        await rest()
        tasks += [asyncio.create_task(reception.accept(numbered(text))) for text in (b"held", b"behind")]
        await rest()
        committer.commit()
        reception.on_durable(done)
        # In the moment between the word that it may go on and the event loop's coming round to it.
        if cancelled:
            tasks[1].cancel()
        tasks.append(asyncio.create_task(reception.accept(numbered(b"new"))))
        await rest()
        done.clear()
        committer.commit()
        reception.on_durable(done)
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(asyncio.wait_for(send_all(), 10))
    assert order_of(backend) == ["first", *([] if cancelled else ["held"]), "behind", "new"]
