"""Preference: how long a caller waits, and what else it would like (RFC 7240, the header `Prefer`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

# Nothing in it is tried twice (`*+`, `++`): with spaces that two parts may take, the work grew as the square of their number.
_PREFERENCE: Final = re.compile(r"([a-z-]++)\s*+(?:=\s*+(?:\"([^\"]*+)\"|([^\s;\"]*+)))?+\s*+(?:;|\Z)", re.IGNORECASE)


class Preference(Struct, frozen=True):
    """How long the caller waits (RFC 7240): not at all if it prefers only `respond-async`; `applied` is what was heeded.

    `is_strict` says `handling=strict`: who heeds it adds that to what was applied.
    """

    wait_seconds: float
    applied: str | None = None
    is_strict: bool = False


def read_preference(lines: Sequence[str], wait_seconds: float, most_seconds: float) -> Preference:
    """What the headers `Prefer` say; what they say wrongly counts as not said, and only the first of two is heard."""
    said: dict[str, str] = {}
    for part in ",".join(lines).split(","):
        found = _PREFERENCE.match(part.strip())
        if found is not None:
            said.setdefault(found[1].lower(), found[2] or found[3] or "")
    asynchronous = said.get("respond-async") == ""
    wait, strict = said.get("wait", ""), said.get("handling", "").lower() == "strict"
    if wait.isascii() and wait.isdigit() and len(wait) < 10:
        # Both together: an answer in time, or else a 202.
        applied = "respond-async, wait" if asynchronous else "wait"
        return Preference(min(int(wait), most_seconds), f"{applied}={wait}", strict)
    if asynchronous:
        return Preference(0, "respond-async", strict)
    return Preference(wait_seconds, None, strict)
