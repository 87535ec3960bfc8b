"""Rows of units that are submitted and not durable yet, for the thread that submitted them."""

from __future__ import annotations

from collections.abc import Sequence

from understudy.store.port import Backend, Unit

Rows = dict[bytes, bytes | None]


class UndurableRows:
    """What the store will say of some rows once all submitted units are durable."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._held: dict[bytes, tuple[int, bytes | None]] = {}  # the newest unit that has the row, and what it says
        self._units: dict[int, tuple[int, Rows]] = {}  # by the unit's place in memory: it is alive until it is settled
        self._count = 0

    def get(self, key: bytes) -> bytes | None:
        """The value of a row."""
        held = self._held.get(key)
        return self._backend.row(key) if held is None else held[1]

    def is_gone(self, key: bytes) -> bool:
        """True if a row is in the store, and a submitted unit removes it."""
        return self._held.get(key, (0, key))[1] is None

    def note(self, unit: Unit, rows: Rows) -> None:
        """A unit that is about to be submitted changes these rows."""
        self._count += 1
        self._units[id(unit)] = self._count, rows
        self._held.update((key, (self._count, value)) for key, value in rows.items())

    def settle(self, unit: Unit) -> Sequence[tuple[bytes, bytes | None]]:
        """A unit is durable, or failed; the rows that were noted of it."""
        if not self._units:
            return ()
        number, rows = self._units.pop(id(unit), (0, {}))
        for key in rows:
            if self._held[key][0] == number:
                del self._held[key]
        return list(rows.items())
