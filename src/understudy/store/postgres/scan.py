"""Scans of a table in the order of its keys, a page at a time."""

from __future__ import annotations

from functools import cache

from psycopg.types.numeric import Int4


def page_of(
    table: str, column: str, prefix: bytes, start: bytes, *, reverse: bool, past: bool, size: int
) -> tuple[str, tuple[object, ...]]:
    """The question for a page, and its values: keys that begin with the prefix, from `start` on, or after it with `past`."""
    above = after(prefix)
    low, high, includes = prefix, above, not past
    if not reverse:
        low = max(prefix, start)
    elif start and (above is None or start < above):
        high = start
    else:
        includes = False
    text = _question(table, column, reverse=reverse, bounded=high is not None, includes=includes)
    bounds = (low,) if high is None else (low, high)
    return text, (*bounds, Int4(size))


@cache
def _question(table: str, column: str, *, reverse: bool, bounded: bool, includes: bool) -> str:
    lower = ">=" if reverse or includes else ">"
    upper = "<=" if reverse and includes else "<"
    return (
        f"SELECT {column}, value FROM {table} WHERE {column} {lower} %b"
        f"{f' AND {column} {upper} %b' if bounded else ''} ORDER BY {column}{' DESC' if reverse else ''} LIMIT %b"
    )


def after(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with a prefix; None if there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
