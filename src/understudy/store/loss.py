"""What a store lost that it had acknowledged, as a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from understudy.store.high_water import Mark

_SHOWN: Final = 8  # ranges of feed numbers in a message


def describe_loss(numbers: Iterable[int], mark: Mark | None) -> str:
    """What is gone, by the feed numbers that are left, in order, and the mark."""
    gone: list[tuple[int, int]] = []
    last = 0
    for number in numbers:
        if number > last + 1:
            gone.append((last + 1, number - 1))
        last = number
    if mark is not None and mark.feed > last:
        gone.append((last + 1, mark.feed))
    if not gone:
        return f"lost writes that it had acknowledged; no step is gone (the last feed number is {last})"
    some = ", ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in gone[:_SHOWN])
    return (
        f"lost steps that it had acknowledged: feed numbers {some}{' and more' if len(gone) > _SHOWN else ''} are gone"
    )
