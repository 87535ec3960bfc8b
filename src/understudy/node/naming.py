"""Naming: which names actors may have, and how they move."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from understudy.node.errors import Conflict, Rejected
from understudy.node.looking.lookup import Lookup
from understudy.node.name_profile import check_shown
from understudy.objects.ids import ActorId, Id
from understudy.objects.names import check_name
from understudy.store.keys import name_ref
from understudy.store.port import Backend, Move, Unit

_LIKE_AN_ID: Final = re.compile(r"baf[yk]rei[a-z2-7]{0,52}\Z")
# Shorter beginnings are those of ids by chance; of these, one name in 10^12.
_LIKE_A_SHORT_ID: Final = re.compile(r"[a-z2-7]{8,52}\Z")


class _Reserved(NamedTuple):
    """For whom a name is kept, and until when."""

    actor: ActorId
    is_over: asyncio.Event


class Naming:
    """`gives_way` says whether an actor gives its name to another one: it was never born, and will not be by itself."""

    def __init__(self, backend: Backend, lookup: Lookup, gives_way: Callable[[ActorId], bool]) -> None:
        self._backend = backend
        self._lookup = lookup
        self._names = lookup.names
        self._gives_way = gives_way
        self._reserved: dict[str, _Reserved] = {}

    def check(self, name: str, actor: ActorId) -> None:
        """Raise Conflict, BadName or Rejected if an actor that is created can't have this name."""
        taken = self._names.actor_of(name)
        self._check_name(name, is_new=taken is None)
        held = self._reserved.get(name)
        # One whose birth ended the process gives its name to the core that is mended.
        is_taken = taken is not None and taken != actor and not self._gives_way(taken)
        if is_taken or (held is not None and held.actor != actor):
            raise Conflict(f"the name {name!r} is taken by another actor")

    @asynccontextmanager
    async def reserved(self, name: str | None, actor: ActorId) -> AsyncIterator[None]:
        """Keep a name from being given twice while its actor is being made; waits for who makes the same one.

        On one event loop. Raises as `check` does.
        """
        if name is None:
            yield
            return
        while (held := self._reserved.get(name)) is not None:
            self.check(name, actor)
            await held.is_over.wait()
        self.check(name, actor)
        held = self._reserved[name] = _Reserved(actor, asyncio.Event())
        try:
            yield
        finally:
            del self._reserved[name]
            held.is_over.set()

    def move(self, name: str, actor: ActorId | None, *, expected: ActorId | None) -> None:
        """Move a name by compare-and-set; None removes it, or says that it is new. Blocks. Raises Conflict, BadName, Rejected."""
        self._check_name(name, is_new=expected is None and actor is not None)
        move = Move(name_ref(name), expected, actor)
        receipt = self._backend.commit([Unit(moves=[move])])[0]
        if receipt.conflict is not None:
            raise Conflict(f"the name {name!r} is taken by {Id(receipt.found) if receipt.found else 'nobody any more'}")
        self._names.moved(move)

    def _check_name(self, name: str, *, is_new: bool) -> None:
        """Raise BadName, or Rejected for a name that would hide an actor's id: where both fit, the name is meant."""
        check_name(name, what="actor name")
        if _LIKE_AN_ID.match(name):
            raise Rejected(f"the name {name!r} looks like an id, or the beginning of one; choose another")
        # Those of old stores stay as they are.
        if is_new:
            check_shown(name)
            self._refuse_short_id(name)

    def _refuse_short_id(self, name: str) -> None:
        """Raise Rejected if an actor that is there is called by this beginning of its id."""
        if _LIKE_A_SHORT_ID.match(name) and (actor := next(self._lookup.with_prefix(name), None)) is not None:
            raise Rejected(f"the name {name!r} is the beginning of the id of an actor, {actor}; choose another")
