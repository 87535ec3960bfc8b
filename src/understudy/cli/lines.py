"""Added and removed lines, as `push` and `diff` show them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff
from typing import Final

from understudy.cli.screen import remark, say
from understudy.objects.wording import counted

STYLES: Final = {"+": "green", "-": "red", "~": "yellow"}
_CONTEXT: Final = 2  # lines around what changed


def compare_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """How two texts differ, as `diff -u` has it."""
    # The first two lines hold the names of files, of which there are none.
    return list(unified_diff(before, after, n=_CONTEXT, lineterm=""))[2:]


def show_lines(lines: Sequence[str], *, most: int, rest: str) -> None:
    """Print lines of a comparison below the path that they belong to; `rest` says where to find those beyond `most`."""
    for line in lines[:most]:
        say(f"    {line}", style=STYLES.get(line[:1]))
    if len(lines) > most:
        remark(f"    … and {counted(len(lines) - most, 'more line')}; {rest}")
