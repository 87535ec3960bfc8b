"""Charts as SVG: what each bar is, and how large. A template draws them; each bar can be read as text, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

WIDTH: Final = 600
HEIGHT: Final = 48
_GAP: Final = 1.5


class Bar(Struct, frozen=True):
    """One bar: its place, its count, and from when to when it counts (microseconds since 1970)."""

    x: float
    y: float
    width: float
    height: float
    count: int
    begin: int
    end: int


class Chart(Struct, frozen=True, kw_only=True):
    """Steps over time. `most` is the highest count, `total` the sum."""

    bars: Sequence[Bar]
    most: int
    total: int
    begin: int
    end: int


def edges_between(begin: int, end: int, parts: int) -> list[int]:
    """The moments that cut a span of time into equal parts."""
    return [begin + (end - begin) * part // parts for part in range(parts + 1)]


def chart(edges: Sequence[int], counts: Sequence[int]) -> Chart:
    """A chart of counts between edges."""
    most = max(counts, default=0)
    step = WIDTH / max(1, len(counts))
    bars = []
    for number, count in enumerate(counts):
        # What happened at all can be seen.
        tall = max(2.0, HEIGHT * count / most) if count else 0.0
        bars.append(
            Bar(
                round(number * step, 2),
                round(HEIGHT - tall, 2),
                round(step - _GAP, 2),
                round(tall, 2),
                count,
                edges[number],
                edges[number + 1],
            )
        )
    return Chart(bars=bars, most=most, total=sum(counts), begin=edges[0], end=edges[-1])
