"""What `ctx.verify` answers about another actor's history."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Verdict(Struct, frozen=True, kw_only=True):
    """MATCH, MISMATCH or UNVERIFIABLE, relative to `head`, whose height is `height`; `steps` were replayed.

    If it is not MATCH: the first bad `step` and its height, the cause in a word, the first path that differs with both
    values, and the reason for a person.
    """

    verdict: str
    actor: str = ""
    head: str = ""
    height: int = -1
    steps: int = 0
    step: str | None = None
    at_height: int | None = None
    cause: str | None = None
    path: str | None = None
    recorded: Any = None
    replayed: Any = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """True for MATCH."""
        return self.verdict == "MATCH"
