"""Added and removed lines, as `push` and `diff` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from understudy.cli.screen import remark, say
from understudy.objects.wording import counted

STYLES: Final = {"+": "green", "-": "red", "~": "yellow"}


def show_lines(lines: Sequence[str], *, most: int, rest: str) -> None:
    """Print lines of a comparison below the path that they belong to; `rest` says where to find those beyond `most`."""
    for line in lines[:most]:
        say(f"    {line}", style=STYLES.get(line[:1]))
    if len(lines) > most:
        remark(f"    … and {counted(len(lines) - most, 'more line')}; {rest}")
