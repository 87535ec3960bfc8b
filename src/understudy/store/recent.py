"""What was used last, within a bound of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Final, Generic, TypeVar

_ENTRY: Final = 300  # a cache's own bytes per entry: key, order, tuple

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values that were used last, bounded by their bytes; never holds None. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._lock = Lock()
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value; None if it is not there any more."""
        # Without the lock: each of the two calls is atomic, and one that comes between them costs a miss.
        try:
            self._entries.move_to_end(key)
            return self._entries[key][0]
        except KeyError:
            return None

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of so many bytes, and forget those that were not used for the longest time."""
        self.put_all([(key, value, size)])

    def put_all(self, values: Iterable[tuple[Key, Value, int]]) -> None:
        """The same for many values with their sizes, at the price of one lock."""
        entries = self._entries
        with self._lock:
            for key, value, size in values:
                before = entries.pop(key, None)
                self._size += size + _ENTRY - (0 if before is None else before[1])
                entries[key] = value, size + _ENTRY
            while self._size > self._most:
                self._size -= entries.popitem(last=False)[1][1]


class Remembered(Recent[Key, Value]):
    """The same for one thread, at a fifth of the price; what comes when it is full makes it forget everything."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._values: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        return self._values.get(key)

    def put(self, key: Key, value: Value, size: int) -> None:
        self._size += size + _ENTRY
        if self._size > self._most:
            self._values.clear()
            self._size = size + _ENTRY
        if self._size <= self._most:
            self._values[key] = value

    def put_all(self, values: Iterable[tuple[Key, Value, int]]) -> None:
        for key, value, size in values:
            self.put(key, value, size)
