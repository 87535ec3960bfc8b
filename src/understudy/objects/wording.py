"""Counts and articles in what people read: "1 actor", "2,000 actors", "an int"."""

from __future__ import annotations

import re
from typing import Final

# By sound, as far as the letters tell it: an update, a user, a UUID.
_VOWEL: Final = re.compile(r"[aeio]|u(?![nrstu])|un(?!i)", re.IGNORECASE)


def counted(count: int, one: str, many: str = "") -> str:
    """So many of something; `many` where the plural is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def with_article(noun: str) -> str:
    """A noun, or the name of a type, with "a" or "an" before it."""
    return f"{'an' if _VOWEL.match(noun) else 'a'} {noun}"


def type_with_article(value: object) -> str:
    """What a value is, by the name of its type."""
    return with_article(type(value).__name__)
