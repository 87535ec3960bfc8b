"""The timeline of an actor: its steps, newest first, with those that are alike put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.objects.wording import counted
from understudy.web.console.views.parties import Party
from understudy.web.console.views.texts import clip

MAX_SHOWN: Final = 3  # messages of a step that stand in its row; its page has all
MAX_BRIEF: Final = 140  # characters of a content
_ALIKE: Final = 5  # so many steps in a row that are alike become one group


class Told(Struct, frozen=True):
    """A message in a row: its type, its lane, who is at the other end, and how its content begins."""

    type: str
    lane: str
    party: Party
    brief: str


class Row(Struct, frozen=True, kw_only=True):
    """A step. `version` is the code version after it, `changed` that the step before had another one.

    `asked`: it asked the world something. How often is not counted: a journal may have ten thousand entries.
    """

    id: str
    height: int
    time: int
    outcome: str
    error: str | None
    came: Sequence[Told]
    more_came: int
    went: Sequence[Told]
    more_went: int
    logged: str | None
    log_count: int
    asked: bool
    version: str
    changed: bool


class Group(Struct, frozen=True):
    """Steps that follow each other; `is_alike`: they differ in nothing that a reader would want to see of each."""

    rows: Sequence[Row]
    is_alike: bool


def row_of(summary: dict[str, Any], *, asked: bool, version: str, changed: bool, party: Callable[[str], Party]) -> Row:
    """The row of a step; `summary` is that of web/history.py."""
    came = [_told(one, party(one["from"])) for one in summary["consumed"][:MAX_SHOWN]]
    went = [_told(one, party(one["to"])) for one in summary["sent"][:MAX_SHOWN]]
    error = summary.get("error")
    log = summary["log"]
    return Row(
        id=summary["id"],
        height=summary["height"],
        time=summary["time"],
        outcome=summary["outcome"],
        error=None if error is None else clip(f"{error['code']}: {_first_line(error['text'])}"),
        came=came,
        more_came=summary["consumed_count"] - len(came),
        went=went,
        more_went=summary["sent_count"] - len(went),
        logged=clip(log[0][1:].strip(), MAX_BRIEF) if log else None,
        log_count=summary["log_count"],
        asked=asked,
        version=version,
        changed=changed,
    )


def grouped(rows: Sequence[Row]) -> Iterator[Group]:
    """The rows in groups: one for each long run of steps that are alike, and one for what is between two of these."""
    runs = [list(run) for _, run in groupby(rows, key=_kind)]
    for is_alike, some in groupby(runs, key=lambda run: len(run) >= _ALIKE):
        if is_alike:
            yield from (Group(run, True) for run in some)
        else:
            yield Group([row for run in some for row in run], False)


def _kind(row: Row) -> tuple[object, ...]:
    """What two steps have in common that are alike: nothing that a reader would want to see of each."""
    if row.outcome != "ok" or row.changed or row.error is not None:
        return (row.id,)
    came = tuple((one.type, one.lane, one.party.text) for one in row.came)
    went = tuple((one.type, one.party.text) for one in row.went)
    return came, row.more_came > 0, went, row.more_went > 0, row.asked, row.version


def brief(content: Any) -> str:
    """How a content of a summary begins, in one line; empty for no content and for a core."""
    match content:
        case msgspec.Raw():
            return clip(msgspec.json.format(bytes(content), indent=0).decode(), MAX_BRIEF)
        case {"base64": data}:
            return counted(len(data), "byte") if data else ""
        case {"size": size}:
            return counted(size, "byte")
        case {"paths": paths}:
            return clip(", ".join(paths), MAX_BRIEF)
    return ""


def _first_line(text: str) -> str:
    """What happened; the lines behind it say where."""
    return (text.strip().splitlines() or [""])[0]


def _told(message: dict[str, Any], party: Party) -> Told:
    return Told(message["type"], message["lane"], party, brief(message["content"]))
