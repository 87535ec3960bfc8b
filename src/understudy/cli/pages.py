"""Lists of several pages, read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import typer

from understudy.cli.screen import remark
from understudy.node.looking.lookup import MAX_PAGE

_MAX_HEIGHT: Final = 2**63 - 1
Count = Annotated[int, typer.Option("-n", "--limit", min=1, help="How many steps.")]
Before = Annotated[
    int | None, typer.Option("--before", min=0, max=_MAX_HEIGHT, help="Begin below this height.", show_default=False)
]
View = dict[str, Any]


def read_pages(read: Callable[[int | None, int], View], *, before: int | None, limit: int) -> Iterator[View]:
    """Pages with `limit` items together, as far as there are that many. `read` gives one, from below a height on."""
    left = limit
    while True:
        page = read(before, min(left, MAX_PAGE))
        yield page
        left -= MAX_PAGE
        if left <= 0 or page["next"] is None:
            return
        before = int(page["next"])


def remark_on_nothing(before: int | None) -> None:
    """Say why a list of steps is empty: every actor has a step, so `--before` leaves none."""
    remark(f"there are no steps below height {before}; the first step has height 0")


def join_pages(pages: Iterator[View], items: str) -> View:
    """All pages as one, whose list is called `items`."""
    first = next(pages)
    for page in pages:
        first = {**first, items: [*first[items], *page[items]], "next": page["next"]}
    return first
