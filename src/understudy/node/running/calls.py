"""Calls into the world while a step runs. They start only when the parent step is durable, and are journalled in the order of
completion.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from understudy.actors.contract import Capability, Delivery, Reply, TakesAside
from understudy.actors.effect import EFFECT, Work
from understudy.actors.errors import CallFailed, Retry
from understudy.kernel.actor import Actor
from understudy.node.running.blocking import run_to_end
from understudy.node.running.host import Host
from understudy.node.running.impurity import ImpurityWatch
from understudy.node.running.retried_keys import RetriedKeys
from understudy.objects.blob import blob_blocks
from understudy.objects.codec import Block
from understudy.objects.journal import MAX_ENTRIES, CallError, Entry, lacks_step

CapabilityTable = Mapping[str, Capability]

NO_CAPABILITY: Final = "NoCapability"
_NOTHING: Final[Sequence[Entry]] = ()
_NO_BLOCKS: Final[Sequence[Block]] = ()


class LiveCalls:
    """The calls of one running step."""

    __slots__ = (
        "_actor",
        "_capabilities",
        "_closed",
        "_host",
        "_messages",
        "_open",
        "_started",
        "blocks",
        "entries",
        "retried",
        "unanswered",
        "watch",
    )

    def __init__(
        self,
        capabilities: CapabilityTable,
        actor: Actor,
        messages: Sequence[Delivery],
        host: Host,
        watch: ImpurityWatch | None = None,
        open_calls: list[str] | None = None,
    ) -> None:
        """`watch` hears what the wit does beside its calls. `open_calls` always holds the paths of those without an answer."""
        self.watch = watch
        self._open = [] if open_calls is None else open_calls
        self.retried: RetriedKeys | None = None
        self._capabilities = capabilities
        self._actor = actor
        self._messages = messages
        self._host = host
        self._started = 0
        self._closed = False
        self.entries: Sequence[Entry] = _NOTHING
        self.blocks: Sequence[Block] = _NO_BLOCKS
        self.unanswered: Exception | None = None

    def close(self) -> None:
        """From now on nothing is recorded. Calls that were started may have had their effect, as when a step is not sealed."""
        self._closed = True

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """Ask a capability once the parent step is durable. Raises CallFailed, also for one that is not offered."""
        path = f"{capability}/{self._started}"
        self._started += 1
        if self._started > MAX_ENTRIES:
            raise CallFailed("TooManyCalls", f"a step may make {MAX_ENTRIES:,} calls")
        if not await self._parent_is_durable():
            # This run is dropped: its messages are run again on the new head.
            self.unanswered = self.unanswered or Retry("the head that this step began on was moved by somebody else")
            raise self.unanswered
        if self._closed:
            raise CallFailed("StepOver", "the wit has returned: a call that it left behind is not made any more")
        entry = Entry(path=path, request=sha256(request).hexdigest())
        self._open.append(path)
        try:
            data, step = await self._ask(capability, request, path, beside)
            blocks = blob_blocks(data)
            answered = replace(entry, reply=blocks[-1].id, step=step)
            if lacks_step(answered):
                raise _nameless(capability)
        except CallFailed as error:
            told = self._failed(entry, capability, _storable(error))
            raise told from (error.__cause__ if told is error else error)
        except Exception as error:
            # The journal does not hold it. A wit that caught it and went on could not be replayed.
            self.unanswered = self.unanswered or error
            raise
        finally:
            self._open.remove(path)
        self._record(answered, blocks)
        return data

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The same for a wit that can't await. The step lock goes to another thread first, which makes the parent durable."""
        if not self._host.leave():
            self.unanswered = self.unanswered or Retry("too many wits wait for answers at this moment")
            raise self.unanswered
        asked = self.call(capability, request, beside=beside)
        # What an effect runs is the actor's own code, which may well end the process.
        if capability == EFFECT:
            return run_to_end(asked)
        with self._host.waiting():
            return run_to_end(asked)

    async def _ask(self, capability: str, request: bytes, path: str, beside: object) -> tuple[bytes, str | None]:
        """The answer, and the step that gave it if it was another actor's."""
        offered = self._capabilities.get(capability)
        if offered is None:
            raise CallFailed(NO_CAPABILITY, f"this node offers no {capability!r}")
        caller, key = self._actor.id, self._key(path, request, beside)
        if isinstance(offered, TakesAside):
            # An `async def` is watched like the wit that awaits it (engines/tasks.py).
            is_beside = isinstance(beside, Work) and not beside.is_async
            with self._host.effects() if is_beside else contextlib.nullcontext():
                reply = await offered.call(request, caller=caller, key=key, beside=beside)
        else:
            reply = await offered.call(request, caller=caller, key=key)
        data, step = reply if isinstance(reply, Reply) else (reply, None)
        return data, None if step is None else str(step)

    def _failed(self, entry: Entry, capability: str, error: CallFailed) -> CallFailed:
        """Journal how a call failed; returns the error for the wit."""
        failed = replace(entry, error=CallError(error.code, error.text), step=error.step)
        if lacks_step(failed):
            return self._failed(entry, capability, _nameless(capability))
        self._record(failed, [])
        return error

    def _record(self, entry: Entry, blocks: Sequence[Block]) -> None:
        if self._closed:
            # The step may be sealed at this moment: whether its journal has this entry would be chance.
            return
        # In this order: another thread that seals the step meanwhile must not see an entry without its reply.
        self.blocks = [*self.blocks, *blocks]
        self.entries = [*self.entries, entry]

    def _key(self, path: str, request: bytes, beside: object) -> str:
        """The idempotency key: the same for every attempt at the same step."""
        if self.retried is not None:
            return self.retried.key(request, beside)
        parts = [self._actor.head or b"", *(delivery.id for delivery in self._messages), path.encode()]
        return sha256(b"".join(parts)).hexdigest()

    async def _parent_is_durable(self) -> bool:
        """True once it is; False if it never will be."""
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[bool] = loop.create_future()

        def settle(is_durable: bool) -> None:
            if not durable.done():
                durable.set_result(is_durable)

        def say(is_durable: bool) -> None:
            # The node stops: nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, is_durable)

        self._host.when_durable(lambda: say(True), lambda: say(False))
        return await durable


def _storable(error: CallFailed) -> CallFailed:
    """The error in a form that a journal can hold: a code that is not empty, and text that can be written as UTF-8 (a file's name
    may be none).
    """
    code, text = (str(part).encode("utf-8", "backslashreplace").decode() for part in (error.code, error.text))
    if code and (code, text) == (error.code, error.text):
        return error
    return CallFailed(code or "CallFailed", text, step=error.step)


def _nameless(capability: str) -> CallFailed:
    """A judge would not accept a journal with such an answer, so the capability counts as not offered."""
    return CallFailed(NO_CAPABILITY, f"what this node offers as {capability!r} answers without naming a step")
