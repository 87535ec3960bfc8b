"""What other actors of a store did before a step was made: the steps that its node's feed names before it.

The law: it names steps, and that is all. Who uses them reads them as it reads any other step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Final

from understudy.engines.python.engine import NAME as PYTHON
from understudy.kernel.replay import engine_name
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, StepId
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.keys import FEED, feed_row
from understudy.store.port import Backend
from understudy.store.reader import Reader

MAX_BEFORE: Final = 64  # steps that are named
_NEWEST: Final = MAX_BEFORE // 2  # of these, whoever made them; the others are one for each actor, from farther back
_FAR: Final = 4096  # feed entries that are looked at for them
_SPREAD: Final = 65_536  # feed entries: a step stands where it was committed, and its time says when it began


def steps_before(backend: Backend, reader: Reader, id: StepId) -> list[StepId]:
    """Steps of other actors before a step in the feed, the newest first; none if the feed does not hold the step.

    Steps of Python code only: nothing else shares a process. Raises StoreError, ObjectError.
    """
    step = reader.step(id)
    number = _number(backend, reader, id, step)
    newest: list[StepId] = []
    others: dict[bytes, StepId] = {}
    if number is None or number == 1:
        return newest
    for before in islice(_backwards(backend, number - 1), _FAR):
        one = _read(reader, before)
        if one is None or one.actor == step.actor or engine_name(one.engine) != PYTHON:
            continue
        if len(newest) < _NEWEST:
            newest.append(before)
        elif len(others) < MAX_BEFORE - _NEWEST:
            others.setdefault(one.actor, before)
    return [*newest, *others.values()]


def _number(backend: Backend, reader: Reader, id: StepId, step: Step) -> int | None:
    """The feed number of a step: looked for where the steps of its time are."""
    last = next(iter(backend.rows(FEED, FEED + b"\xff" * 8, reverse=True)), None)
    if last is None:
        return None
    newest = int.from_bytes(last[0][1:], "big")

    def time_of(number: int) -> int:
        value = backend.row(feed_row(number))
        found = None if value is None else _read(reader, StepId(Id(value)))
        return 0 if found is None else found.time

    # Times are about in the order of the feed.
    near = bisect_left(range(1, newest + 1), step.time, key=time_of) + 1
    start = max(1, near - _FAR)
    for key, value in islice(backend.rows(FEED, feed_row(start)), _FAR + _SPREAD):
        if value == id:
            return int.from_bytes(key[1:], "big")
    return None


def _backwards(backend: Backend, number: int) -> Iterator[StepId]:
    for _, value in backend.rows(FEED, feed_row(number), reverse=True):
        yield StepId(Id(value))


def _read(reader: Reader, id: StepId) -> Step | None:
    try:
        return reader.step(id)
    except (StoreError, ObjectError):
        return None
