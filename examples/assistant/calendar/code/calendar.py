"""A calendar: what is on, day by day. The assistant asks it."""

from __future__ import annotations

from msgspec import Struct, field

from understudy import Refusal, Wit

MAX_ENTRIES = 10_000  # of all days


class Add(Struct):
    """Something that is on a day (`2026-11-21`)."""

    day: str
    what: str


class State(Struct):
    """What is on, by day."""

    days: dict[str, list[str]] = field(default_factory=dict)


wit = Wit()


@wit.message("add")
def add(new: Add, state: State) -> None:
    """Put something into the calendar."""
    if sum(map(len, state.days.values())) >= MAX_ENTRIES:
        raise Refusal("Full", f"the calendar has {MAX_ENTRIES:,} entries")
    state.days.setdefault(new.day, []).append(new.what)


@wit.query
def on(state: State, day: str) -> list[str]:
    """What is on that day."""
    return state.days.get(day, [])
