"""Reception alone: what becomes of messages that the committer does not take."""

from __future__ import annotations

import asyncio

import pytest

from understudy.node.errors import NodeFailed
from understudy.node.intake.reception import Answer, Reception, Sending
from understudy.node.running.committer import Committer
from understudy.node.running.scheduler import Tag
from understudy.objects.ids import MessageId, node_id, raw_id
from understudy.objects.mailbox import QUEUE
from understudy.store.memory import MemoryBackend

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
    def never(_: MessageId) -> Answer | None:
        raise AssertionError("it is nowhere")

    async def send() -> None:
        with pytest.raises(NodeFailed):
            await reception.deliver(sending(), find=never, seconds=SOON)

    reception = stopped()
    asyncio.run(send())
