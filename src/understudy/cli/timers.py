"""`understudy timers`: what is due, and when."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import msgspec
import typer

from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.node.looking.lookup import MAX_PAGE
from understudy.node.looking.timetable import ASLEEP, WRONG, Scheduled
from understudy.objects.timer import NO_CONTENT, Timer, instant_text, write_timer

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SECOND: Final = 1_000_000
Actor = Annotated[str | None, typer.Argument(metavar="[ACTOR]", help="Only those of this one.", show_default=False)]


def timers(actor: Actor = None, store: Store = None, as_json: AsJson = False) -> None:
    """List timers: what is due first, and what below /timers is none and why.

    Example: understudy timers
    """
    with looking(store) as look:
        found = look.timers(None if actor is None else look.resolve(actor), limit=MAX_PAGE)
        names = {id: name for name, id in look.names().items()}
    if as_json:
        print_json({"timers": [scheduled_view(one) for one in found]})
        return
    waiting = [one for one in found if one.state != WRONG]
    if not waiting:
        say("No timer waits.")
    else:
        now = time.time_ns() // 1000
        rows = [_row(one, names.get(one.actor, str(one.actor)), now) for one in waiting]
        print_table(["ACTOR", "NAME", "DUE", "IN", "TYPE", "WHEN", "STATE"], rows)
    if len(found) >= MAX_PAGE:
        remark(f"these are the first {MAX_PAGE:,}")
    for one in found:
        if one.state == WRONG:
            remark(wrong_text(one, names.get(one.actor, str(one.actor))), style="yellow")
    if any(one.state == ASLEEP for one in found):
        remark("asleep: the actor came out of a file; its timers begin with its next step here, or: understudy resume")


def wrong_text(one: Scheduled, actor: str) -> str:
    """What to say of a file that is no timer."""
    return f"{actor}: /timers{f'/{one.name}' if one.name else ''} never rings: {one.error}"


def scheduled_view(one: Scheduled) -> dict[str, Any]:
    """A timer in JSON: `timer` is what its file says."""
    return {
        "actor": str(one.actor),
        "name": one.name,
        "state": one.state,
        "due": None if one.due is None else instant_text(one.due),
        "timer": None if one.timer is None else msgspec.json.decode(write_timer(one.timer)),
        "error": one.error,
    }


def _row(one: Scheduled, actor: str, now: int) -> list[str]:
    assert one.due is not None and one.timer is not None
    due = instant_text(one.due // _SECOND * _SECOND)
    return [actor, one.name, due, _span(one.due - now), one.timer.type, _when(one.timer), one.state]


def _when(timer: Timer) -> str:
    said = msgspec.json.decode(write_timer(msgspec.structs.replace(timer, content=NO_CONTENT)))
    said.pop("type")
    if "every" in said:
        return f"every {_span(timer.every or 0)}"
    if "cron" in said:
        return f"cron {said['cron']}, {said['zone']}"
    return f"once, {said['at']} in {said['zone']}" if "zone" in said else "once"


def _span(us: int) -> str:
    """A time as people say it, in its two largest units."""
    if us < 0:
        return "now"
    left, words = us / _SECOND, []
    for size, unit in _UNITS:
        count = int(left // size)
        left -= count * size
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or f"{left:.1f} s"
