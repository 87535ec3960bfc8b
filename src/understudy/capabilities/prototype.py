"""The capability `prototype`: the core that a new actor of the same kind as another one begins with.

It is today's code and data of the other actor. What that keeps for itself is left out: its state and its timers are those
that it was born with, and its requests, flows and arguments are nobody else's. A replay reads it in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Reply
from understudy.actors.errors import CallFailed
from understudy.objects.ids import ActorId, Id, StepId

NAME: Final = "prototype"
MAX_ENTRIES: Final = 1000  # of the root of a core: the journal holds them, and more belong into folders
FROM_BIRTH: Final = frozenset({"state", "timers"})
ITS_OWN: Final = frozenset({"args", "awaited", "flows", "nonce", "origin", "requests", "retried", *FROM_BIRTH})


class Found(Struct, frozen=True, kw_only=True):
    """An actor at its newest durable step: the roots of the core that it has, and of the one that it was born with."""

    actor: ActorId
    step: StepId
    now: Mapping[str, Id]
    born: Mapping[str, Id]


class _Request(Struct, forbid_unknown_fields=True):
    actor: str


class PrototypeCapability:
    """Answers `{"actor": name or id}` with `{"actor": id, "core": {name: id}}`: the root of the core for a new actor."""

    def __init__(self, find: Callable[[str], Found]) -> None:
        """`find` is the node's. It raises CallFailed for an actor that is not there."""
        self._find = find

    @property
    def name(self) -> str:
        """`prototype`."""
        return NAME

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> Reply:
        """Ask. Raises CallFailed: BadRequest, NoSuchActor, Ambiguous, TooLarge."""
        try:
            wanted = _decode(request).actor
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CallFailed("BadRequest", str(error)) from error
        found = self._find(wanted)
        core = {name: id for name, id in found.now.items() if name not in ITS_OWN}
        core |= {name: id for name, id in found.born.items() if name in FROM_BIRTH}
        if len(core) > MAX_ENTRIES:
            text = (
                f"the core of {wanted} has {len(core):,} entries in its root; a prototype has at most {MAX_ENTRIES:,}"
            )
            raise CallFailed("TooLarge", text, step=str(found.step))
        entries = {name: str(id) for name, id in sorted(core.items())}
        return Reply(msgspec.json.encode({"actor": str(found.actor), "core": entries}), found.step)


_decode = msgspec.json.Decoder(_Request).decode
