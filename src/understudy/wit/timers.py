"""Timers in a core that is being changed: set, replaced, taken back.

For the runtime: authors have `ctx.after`, `ctx.at`, `ctx.every` and `ctx.cancel`.
"""

from __future__ import annotations

from typing import Final

from understudy.objects.errors import BadTimer, WrongKind
from understudy.objects.timer import TIMERS, Timer, check_timer_name, write_timer
from understudy.store.maps import tree_len
from understudy.wit.core import Core

MAX_TIMERS: Final = 1_000_000  # of one actor, some 300 MB with their rows: who has more has data, not a schedule


def put_timer(core: Core, name: str, timer: Timer) -> None:
    """Set a timer, in the place of one of the same name. Raises BadTimer, also where an actor would have too many.

    It counts from the step on: a timer that fires once and is due by then fires at once.
    """
    check_timer_name(name)
    data = write_timer(timer)
    if _count(core) >= MAX_TIMERS and f"{TIMERS}/{name}" not in core:
        raise BadTimer(
            f"an actor has at most {MAX_TIMERS:,} timers; put what is to be done into the core, and one timer"
        )
    core[f"{TIMERS}/{name}"] = data


def drop_timer(core: Core, name: str) -> bool:
    """Take a timer back; False if there is none. Once the step is made it does not fire any more."""
    path = f"{TIMERS}/{check_timer_name(name)}"
    if path not in core:
        return False
    del core[path]
    return True


def _count(core: Core) -> int:
    """How many timers there may be: those of the step before, and what is set in this one."""
    changes = core.changes
    try:
        before = tree_len(changes.store, changes.root, TIMERS)
    except WrongKind as error:
        raise BadTimer(f"/{TIMERS} is no tree, so no timer can stand there: {error}") from error
    return before + len(changes.edits)
