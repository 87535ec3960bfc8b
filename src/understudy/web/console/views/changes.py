"""Changes: the differences between two cores, as far as a page can show them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from understudy.node.errors import TooLarge
from understudy.node.looking.differences import Difference, differences
from understudy.objects.ids import Id
from understudy.store.reader import Reader
from understudy.web.console.views.texts import clip, visible

MAX_PATHS: Final = 200
MAX_LINES: Final = 400  # of one path
MAX_LINE: Final = 500  # characters; the file's own page has them all
MAX_ALL_LINES: Final = 4000
MAX_SECONDS: Final = 0.5  # of comparing texts; the rest are named without their lines
_WORDS: Final = {"+": "new", "-": "gone", "~": "changed"}


class Line(Struct, frozen=True):
    """A line of a comparison, and its sign: `+`, `-`, `~`, `@` for a place, or a space."""

    sign: str
    text: str


class Change(Struct, frozen=True, kw_only=True):
    """A path that differs. `lines` are empty for what is no text; `more` counts those that are not shown."""

    path: str
    sign: str
    word: str
    sizes: str
    lines: Sequence[Line]
    more: int


class Changes(Struct, frozen=True):
    """All that is shown; `is_cut`: more paths differ."""

    items: Sequence[Change]
    is_cut: bool


def changes_between(reader: Reader, before: Id, after: Id) -> Changes:
    """The first of the differences between two cores. What is behind them is not computed."""
    found = differences(reader, before, after, seconds=MAX_SECONDS)
    items: list[Change] = []
    left = MAX_ALL_LINES
    try:
        for one in islice(found, MAX_PATHS):
            change = _change(one, min(left, MAX_LINES))
            left -= len(change.lines)
            items.append(change)
        return Changes(items, next(found, None) is not None)
    except TooLarge:
        # More paths than can be listed: those that were found say enough.
        return Changes(items, True)


def _change(one: Difference, most: int) -> Change:
    lines = one.lines or []
    shown = [Line(line[:1] or " ", _text(line)) for line in lines[:most]]
    return Change(
        path=one.path,
        sign=one.sign,
        word=_WORDS.get(one.sign, one.sign),
        sizes=one.sizes,
        lines=shown,
        more=len(lines) - len(shown),
    )


def _text(line: str) -> str:
    return visible(line[1:]) if len(line) <= MAX_LINE else clip(line[1:], MAX_LINE)
