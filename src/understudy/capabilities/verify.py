"""The capability behind `await ctx.verify(actor)`: a verdict about another actor's history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import CallFailed
from understudy.objects.ids import ActorId
from understudy.store.errors import StoreError

NAME: Final = "verify"

Verifier = Callable[[str], Awaitable[Struct]]


class _Request(Struct, forbid_unknown_fields=True):
    actor: str


class VerifyCapability:
    """Answers the JSON `{"actor": id}` with the JSON of the verdict on its newest durable head."""

    def __init__(self, verify: Verifier) -> None:
        """`verify` gives the verdict on the actor that an id or a name means."""
        self._verify = verify

    @property
    def name(self) -> str:
        """`verify`."""
        return NAME

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        """The verdict. Raises CallFailed: BadRequest, or what kept us from judging, e.g. NotFound. Changes nothing."""
        try:
            wanted = _decode(request)
        except msgspec.DecodeError as error:
            raise CallFailed("BadRequest", f'expected {{"actor": id}}: {error}') from error
        try:
            verdict = await self._verify(wanted.actor)
        except StoreError:
            # The host's failure: it must not stand in a journal as the actor's.
            raise
        except Exception as error:
            raise CallFailed(type(error).__name__, str(error)) from error
        return msgspec.json.encode(verdict)


_decode = msgspec.json.Decoder(_Request).decode
