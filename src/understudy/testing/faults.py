"""Faults to put under what should survive them.

`CrashingStore` is a backend that dies at a chosen unit, as a process does: without a word to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NoReturn

from understudy.objects.ids import Id
from understudy.store.port import Backend, Receipt, Unit


class Moment(Enum):
    """Where in the commit of the fatal unit the process dies."""

    BEFORE = "before"
    """The units in front of it in the same commit are durable, it is not, and nobody heard of any."""

    MIDDLE = "middle"
    """Its bytes were being written: the commit was cut, and none of its units is there."""

    AFTER = "after"
    """The whole commit is durable, and nobody heard of it."""


MOMENTS: Final = tuple(Moment)


class Crash(BaseException):
    """The process died. No Exception: nothing may handle it on the way, as nothing handles SIGKILL."""


class CrashingStore:
    """A backend that behaves as `inner` until the unit number `at` (from 1, over all commits), then dies at `moment`.

    From then on every call raises Crash. What survived is in `inner`, which `survivor` hands out; whatever the
    moment, each unit is there as a whole or not at all. With `at` None it only counts units.
    """

    def __init__(self, inner: Backend, *, at: int | None, moment: Moment = Moment.BEFORE) -> None:
        self._inner = inner
        self._at = at
        self._moment = moment
        self.units = 0
        self.crashed = False

    def survivor(self) -> Backend:
        """The store as the next process finds it."""
        return self._inner

    def get(self, ids: Sequence[bytes]) -> list[bytes | None]:
        self._check_alive()
        return self._inner.get(ids)

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        self._check_alive()
        before, self.units = self.units, self.units + len(units)
        if self._at is None or not before < self._at <= self.units:
            return self._inner.commit(units)
        if self._moment is Moment.BEFORE:
            self._inner.commit(units[: self._at - before - 1])
        elif self._moment is Moment.AFTER:
            self._inner.commit(units)
        self._die()

    def ref(self, name: bytes) -> bytes | None:
        self._check_alive()
        return self._inner.ref(name)

    def row(self, key: bytes) -> bytes | None:
        self._check_alive()
        return self._inner.row(key)

    def refs(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self._check_alive()
        return self._inner.refs(prefix, start)

    def rows(self, prefix: bytes, start: bytes = b"", *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        self._check_alive()
        return self._inner.rows(prefix, start, reverse=reverse)

    def ids(self) -> Iterator[Id]:
        self._check_alive()
        return self._inner.ids()

    def now(self) -> int:
        self._check_alive()
        return self._inner.now()

    def close(self) -> None:
        """Close the inner store; a process that died closes nothing."""
        if not self.crashed:
            self._inner.close()

    def _check_alive(self) -> None:
        if self.crashed:
            self._die()

    def _die(self) -> NoReturn:
        self.crashed = True
        raise Crash(f"{self._moment.value} unit {self._at}")
