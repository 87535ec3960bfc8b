"""How running code reaches the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from understudy.objects.codec import Block
from understudy.objects.journal import Entry


class Calls(Protocol):
    """How a running step reaches the world: live through capabilities, in a replay through the journal."""

    @property
    def entries(self) -> Sequence[Entry]:
        """What was answered so far, in the order of completion."""

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks of the replies."""

    @property
    def unanswered(self) -> Exception | None:
        """What kept a call from an answer that the journal could hold. The step must end with it, whatever the wit makes of it."""

    def close(self) -> None:
        """The wit returned: what is still under way is not waited for, and nothing new begins."""

    async def call(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """Ask a capability. Raises CallFailed with the capability's error.

        `beside` is for a capability that takes something along with a request (`TakesAside`): it is no part of what is asked,
        so it stands in no record, and no replay looks at it.
        """

    def call_and_wait(self, capability: str, request: bytes, *, beside: object = None) -> bytes:
        """The same for code that can't await: blocks its thread until the answer is there."""
