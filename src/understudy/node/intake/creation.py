"""Creation: a core that came in becomes an actor.

The law: code that would fail at its first step, and a name that is taken, are refused before anything is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from understudy.node.hold_rules import HoldRules
from understudy.node.intake.answers import Answer, find_answer
from understudy.node.intake.composing import Composer
from understudy.node.intake.core_checks import CoreChecks
from understudy.node.intake.cores import stage_core
from understudy.node.intake.reception import Reception
from understudy.node.intake.sending import Sending
from understudy.node.naming import Naming
from understudy.objects.codec import Block
from understudy.objects.ids import ActorId, StepId, TreeId
from understudy.objects.mailbox import QUEUE
from understudy.objects.message import GENESIS
from understudy.store.keys import name_ref
from understudy.store.port import Move
from understudy.store.reader import Staging


class Created(Struct, frozen=True, kw_only=True):
    """An actor that lives: its id, its name if it has one, its head, and how its genesis ended."""

    id: ActorId
    name: str | None
    head: StepId
    answer: Answer | None = None


class Creation:
    """See Node.create and Node.create_from."""

    def __init__(
        self,
        composer: Composer,
        reception: Reception,
        checks: CoreChecks,
        naming: Naming,
        rules: HoldRules,
        on_held: Callable[[ActorId], None],
    ) -> None:
        """`on_held` hears of an actor whose holds were changed here."""
        self._lookup = composer.lookup
        self._reader = composer.reader
        self._composer = composer
        self._reception = reception
        self._checks = checks
        self._naming = naming
        self._rules = rules
        self._on_held = on_held

    async def create(self, files: Mapping[str, bytes], *, name: str | None, nonce: str | None, caller: str) -> Created:
        """An actor with these files as its core."""
        staging = Staging(self._reader)
        core = await asyncio.to_thread(stage_core, staging, files, nonce=nonce)
        return await self.create_from(list(staging.new.values()), core, name=name, caller=caller)

    async def create_from(self, blocks: Sequence[Block], core: TreeId, *, name: str | None, caller: str) -> Created:
        """An actor whose core is a tree of these blocks. Raises Rejected, Conflict, BadName; Held if its birth ended the process."""
        actor = ActorId(core)
        # Before its code is looked at: that runs it.
        self._rules.refuse_held(actor)
        staging = Staging(self._reader)
        for block in blocks:
            staging.put(block)
        await asyncio.to_thread(self._checks.check_new, staging, core)
        if name is not None:
            self._naming.check(name, actor)
        if self._lookup.head(actor) is not None:
            if name is not None and self._lookup.names.actor_of(name) is None:
                await asyncio.to_thread(lambda: self._naming.move(name, actor, expected=None))
            return Created(
                id=actor, name=name or self._lookup.names.name_of(actor), head=self._lookup.actor(actor).head
            )
        async with self._naming.reserved(name, actor):
            before = None if name is None else self._lookup.names.actor_of(name)
            moves = [Move(name_ref(name), before, actor)] if name and before != actor else []
            sending = Sending(
                to=str(actor),
                sender=self._composer.party(caller),
                type=GENESIS,
                content=core,
                blocks=blocks,
                lane=QUEUE,
                moves=moves,
            )
            message = await self._reception.accept(sending)
        if before is not None and moves:
            # Only now: until this is durable, the name and the birth are those of before.
            await asyncio.to_thread(lambda: self._rules.end_replaced(before, by=actor))
            self._on_held(before)
        answer = await self._reception.answer(
            message, find=lambda: find_answer(self._lookup, self._reader, actor, message)
        )
        assert answer is not None, "a birth is never held for a failure"
        return Created(id=actor, name=name, head=answer.head, answer=answer)
