"""Texts of strangers, made fit to be looked at: bounded, and with nothing in them that can't be seen.

The templates escape them; that is not done here.
"""

from __future__ import annotations

import re
from typing import Final

from understudy.objects import ids
from understudy.objects.errors import BadId

SHORT: Final = 200  # characters of a name or a type in a line
# Control characters, and those that turn the direction of the text behind them or have no width: a line that holds one
# can look like another line.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    """The text with a sign in the place of each character that can't be seen."""
    return _UNSEEN.sub(_sign, text)


def clip(text: object, most: int = SHORT) -> str:
    """At most so many characters, all of which can be seen; an ellipsis stands for the rest."""
    said = str(text)
    return visible(said) if len(said) <= most else visible(said[: most - 1]) + "…"


def short_id(id: object) -> str:
    """The ten characters that people tell ids by; what is no id is clipped."""
    text = str(id)
    try:
        return ids.short(ids.parse(text))
    except BadId:
        return clip(text)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    # Control characters have pictures of their own.
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"
