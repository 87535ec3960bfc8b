"""Checks of timers that somebody wants to bring in, so that a wrong one is named before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from understudy.node.errors import WrongTimers
from understudy.objects.errors import BadTimer, WrongKind
from understudy.objects.ids import Id, TreeId
from understudy.objects.schedule import next_due
from understudy.objects.timer import TIMERS
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader
from understudy.store.timer_files import differences, is_tree, read_file

MAX_NAMED: Final = 10  # wrong timers that are spelt out: who has more looks at one and knows


def check_timers(reader: Reader, core: TreeId, before: TreeId | None = None) -> None:
    """Raise WrongTimers that names the timers of a core which are none. Those that `before` had too are not asked about."""
    link, known = _timers(reader, core), None if before is None else _timers(reader, before)
    if link is None or link == known:
        return
    if not is_tree(reader, link):
        raise WrongTimers(f"/{TIMERS} is {reader.kind(link)}: timers are files below it, /{TIMERS}/NAME")
    wrong = list(islice(_wrong(reader, known, link), MAX_NAMED))
    if wrong:
        raise WrongTimers("\n".join(wrong))


def _wrong(reader: Reader, known: Id | None, link: Id) -> Iterator[str]:
    for name, file in differences(reader, known, link):
        try:
            if file is not None:
                next_due(read_file(reader, file), 0, ZoneInfo)
        except BadTimer as error:
            yield f"/{TIMERS}/{name} is no timer: {error}"


def _timers(reader: Reader, core: TreeId) -> Id | None:
    try:
        return tree_entry(reader, core, TIMERS)
    except WrongKind:
        return None
