"""Calls into the world while a step runs: begun only when the parent step is durable, journalled in the order of completion."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from understudy.actors.contract import Capability, Delivery
from understudy.actors.errors import CallFailed
from understudy.kernel.actor import Actor
from understudy.objects.blob import blob_blocks
from understudy.objects.codec import Block
from understudy.objects.journal import MAX_ENTRIES, CallError, Entry

CapabilityTable = Mapping[str, Capability]
WhenDurable = Callable[[Callable[[], None]], None]

_NOTHING: Final[Sequence[Entry]] = ()
_NO_BLOCKS: Final[Sequence[Block]] = ()


class LiveCalls:
    """The calls of one running step."""

    __slots__ = ("_actor", "_capabilities", "_messages", "_started", "_when_durable", "blocks", "entries", "unanswered")

    def __init__(
        self,
        capabilities: CapabilityTable,
        actor: Actor,
        messages: Sequence[Delivery],
        when_durable: WhenDurable,
    ) -> None:
        self._capabilities = capabilities
        self._actor = actor
        self._messages = messages
        self._when_durable = when_durable
        self._started = 0
        self.entries: Sequence[Entry] = _NOTHING
        self.blocks: Sequence[Block] = _NO_BLOCKS
        self.unanswered: Exception | None = None

    async def call(self, capability: str, request: bytes) -> bytes:
        """Ask a capability once the parent step is durable. Raises CallFailed, also for one that is not offered."""
        path = f"{capability}/{self._started}"
        self._started += 1
        if self._started > MAX_ENTRIES:
            raise CallFailed("TooManyCalls", f"a step may make {MAX_ENTRIES:,} calls")
        await self._parent_is_durable()
        request_digest = sha256(request).hexdigest()
        try:
            offered = self._capabilities.get(capability)
            if offered is None:
                raise CallFailed("NoCapability", f"this node offers no {capability!r}")
            reply = await offered.call(request, caller=self._actor.id, key=self._key(path))
        except CallFailed as error:
            self._record(Entry(path=path, request=request_digest, error=CallError(error.code, error.text)), [])
            raise
        except Exception as error:
            # The journal does not hold it. A wit that caught it and went on could not be replayed.
            self.unanswered = self.unanswered or error
            raise
        blocks = blob_blocks(reply)
        self._record(Entry(path=path, request=request_digest, reply=blocks[-1].id), blocks)
        return reply

    def _record(self, entry: Entry, blocks: Sequence[Block]) -> None:
        # In this order: who seals the step meanwhile, on another thread, must not see an entry without its reply.
        self.blocks = [*self.blocks, *blocks]
        self.entries = [*self.entries, entry]

    def _key(self, path: str) -> str:
        """The idempotency key: the same for every attempt at the same step."""
        parts = [self._actor.head or b"", *(delivery.id for delivery in self._messages), path.encode()]
        return sha256(b"".join(parts)).hexdigest()

    async def _parent_is_durable(self) -> None:
        loop = asyncio.get_running_loop()
        durable = loop.create_future()

        def settle() -> None:
            if not durable.done():
                durable.set_result(None)

        def say() -> None:
            # The node stops: nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        self._when_durable(say)
        await durable
