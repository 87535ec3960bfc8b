"""Seeds: where the random numbers of a step come from."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from understudy.actors.contract import Delivery
from understudy.objects.ids import StepId

_BLOCK = 64


class Seeds:
    """The seeds that a node gives: the same step gets the same one after a crash, and no sender can choose it."""

    def __init__(self, secret: bytes) -> None:
        # HMAC (RFC 2104) with its two key blocks hashed once: the library's own function spends most of its time there.
        key = (sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key))

    def seed(self, parent: StepId | None, messages: Sequence[Delivery]) -> int:
        """The first 53 bits of HMAC-SHA256(secret, parent, ids of the messages)."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update((parent or b"") + b"".join([delivery.id for delivery in messages]))
        outer.update(inner.digest())
        return int.from_bytes(outer.digest()[:8], "big") >> 11
