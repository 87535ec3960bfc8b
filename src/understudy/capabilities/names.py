"""The capability `names`: which actor has a name, at the moment of the call. A replay answers from the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import CallFailed
from understudy.objects.ids import ActorId

NAME: Final = "names"


class _Request(Struct, forbid_unknown_fields=True):
    name: str


class NamesCapability:
    """Looks a name up: the request is `{"name": …}`, the answer `{"actor": …}` with the id as text."""

    def __init__(self, look_up: Callable[[str], ActorId | None]) -> None:
        """`look_up` is the node's; it raises BadName for what can be no name."""
        self._look_up = look_up

    @property
    def name(self) -> str:
        """`names`."""
        return NAME

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        """Ask. Raises CallFailed("BadRequest", "NoSuchActor")."""
        try:
            name = _decode(request).name
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CallFailed("BadRequest", str(error)) from error
        actor = self._look_up(name)
        if actor is None:
            raise CallFailed("NoSuchActor", f"there is no actor with the name {name!r}")
        return msgspec.json.encode({"actor": str(actor)})


_decode = msgspec.json.Decoder(_Request).decode
