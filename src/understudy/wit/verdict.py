"""What `ctx.verify` answers about another actor's history."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Verdict(Struct, frozen=True, kw_only=True):
    """MATCH, MISMATCH (with step, path and both values) or UNVERIFIABLE (with the reason), relative to `head`."""

    verdict: str
    head: str | None = None
    step: str | None = None
    path: str | None = None
    recorded: Any = None
    computed: Any = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """True for MATCH."""
        return self.verdict == "MATCH"
