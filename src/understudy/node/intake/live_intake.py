"""What a living node takes in: new actors, messages, updates and orders to retry; and how who sent one hears of its step."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Final

from understudy.actors.contract import StateCheck
from understudy.node.errors import Held, NodeFailed
from understudy.node.holds import Holds, Kind
from understudy.node.intake.answers import Answer, Found, find_answer
from understudy.node.intake.composing import LOCAL, ORDINARY, Composer, SendOptions
from understudy.node.intake.core_checks import CoreChecks
from understudy.node.intake.creation import Created, Creation
from understudy.node.intake.reception import Reception
from understudy.node.intake.sending import Sending
from understudy.node.looking.live_look import LiveLook
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, MessageId, StepId, TreeId
from understudy.objects.mailbox import UPDATE

QUICK_BYTES: Final = 1024 * 1024  # of a message that is hashed where it came in; more would hold up the others


class LiveIntake(LiveLook, ABC):
    """The part of a node that takes things in. The node makes the parts that it works with."""

    failure: BaseException | None
    _holds: Holds
    _checks: CoreChecks
    _composer: Composer
    _reception: Reception
    _creation: Creation

    async def create(
        self, files: Mapping[str, bytes], *, name: str | None = None, nonce: str | None = None, caller: str = LOCAL
    ) -> Created:
        """An actor with this core; harmless if it lives already. Raises Rejected and Conflict, then nothing was stored."""
        return await self._creation.create(files, name=name, nonce=nonce, caller=caller)

    async def create_from(
        self, blocks: Sequence[Block], core: TreeId, *, name: str | None = None, caller: str = LOCAL
    ) -> Created:
        """An actor whose core is a tree of these blocks. Raises Rejected, Conflict, BadName; Held if its birth ended the process."""
        return await self._creation.create_from(blocks, core, name=name, caller=caller)

    async def send(
        self,
        actor: ActorId,
        content: bytes,
        *,
        type: str,
        options: SendOptions = ORDINARY,
    ) -> MessageId:
        """Send a message; returns when it is durable. Raises NotFound, BadName, KeyReused, Busy, NodeFailed."""
        self._check_alive()
        return await self._reception.accept(self._composer.message(actor, content, type, options))

    async def tell(
        self,
        actor: ActorId,
        content: bytes,
        *,
        type: str,
        options: SendOptions = ORDINARY,
        head: StepId | None = None,
        timeout: float | None = None,
    ) -> tuple[MessageId, Answer | None]:
        """Send a message and wait for its answer: None if there is none in time; the message is durable then too.

        With `head`, only while that is the actor's head and no message of the same conversation waits: see `Expected`.
        Raises as `send` does, and Conflict. Costs less than `send` and `answer`.
        """
        self._check_alive()
        if len(content) > QUICK_BYTES:
            sending = await asyncio.to_thread(self._composer.message, actor, content, type, options)
        else:
            sending = self._composer.message(actor, content, type, options)
        return await self._deliver(actor, sending, head, timeout)

    async def patch(
        self,
        actor: ActorId,
        patch: Mapping[str, bytes | None],
        *,
        idempotency_key: str | None = None,
        caller: str = LOCAL,
    ) -> MessageId:
        """Send an update message; returns when it is durable. Raises Rejected for a patch that can't be."""
        self._check_alive()
        return await self._reception.accept(self._composer.update(actor, patch, idempotency_key, caller))

    async def tell_patch(
        self,
        actor: ActorId,
        patch: Mapping[str, bytes | None],
        *,
        idempotency_key: str | None = None,
        caller: str = LOCAL,
        head: StepId | None = None,
        timeout: float | None = None,
    ) -> tuple[MessageId, Answer | None]:
        """Send an update message and wait for its answer, as `tell` does. Raises as `patch` does, and Conflict."""
        self._check_alive()
        sending = await asyncio.to_thread(self._composer.update, actor, patch, idempotency_key, caller)
        return await self._deliver(actor, sending, head, timeout)

    async def retry(
        self,
        step: StepId,
        *,
        idempotency_key: str | None = None,
        caller: str = LOCAL,
        timeout: float | None = None,
    ) -> tuple[ActorId, MessageId, Answer | None]:
        """Have the messages of a step that failed run again, with the code and the state of today; whose step it is.

        Raises NotFound, Rejected for a step that can't be retried, and as `patch` does.
        """
        self._check_alive()
        actor, sending = await asyncio.to_thread(self._composer.retry, step, idempotency_key, caller)
        found = await self._reception.deliver(sending, find=lambda id: self._find(actor, id), seconds=timeout)
        return actor, *found

    async def check_update(self, actor: ActorId, patches: Sequence[Mapping[str, bytes | None]]) -> StateCheck:
        """Load what the actor's code would be after these patches, and say what it makes of the present state.

        Nothing is sent. Raises Rejected if the code can't be loaded, NotFound.
        """
        return await asyncio.to_thread(self._checks.check_update, actor, patches)

    async def answer(self, actor: ActorId, message: MessageId, *, timeout: float | None = None) -> Answer:
        """Wait for the durable step that consumes a message.

        Raises TimeoutError, and Held if the actor holds because its code failed on this message or on one before it; the
        message stays accepted.
        """
        waiting = self._reception.answer(message, find=lambda: self._find_unless_held(actor, message))
        answer = await asyncio.wait_for(asyncio.ensure_future(waiting), timeout)
        if answer is None:
            raise Held(f"the message waits: {self.actor(actor).reason}")
        return answer

    async def _deliver(
        self, actor: ActorId, sending: Sending, head: StepId | None, timeout: float | None
    ) -> tuple[MessageId, Answer | None]:
        if head is not None:
            sending = self._composer.expecting(sending, actor, head)
        return await self._reception.deliver(sending, find=lambda id: self._find(actor, id), seconds=timeout)

    def _find(self, actor: ActorId, id: MessageId) -> Found | None:
        return find_answer(self.lookup, self.reader, actor, id)

    def _find_unless_held(self, actor: ActorId, id: MessageId) -> Found | None:
        found = self._find(actor, id)
        hold = self._holds.get(actor, Kind.FAILURE)
        if found is None and hold is not None and self.reader.message(id).lane != UPDATE:
            raise Held(f"the message waits: {hold.reason}")
        return found

    def _check_alive(self) -> None:
        if self.failure is not None:
            raise NodeFailed(f"the node stopped working: {self.failure}")
