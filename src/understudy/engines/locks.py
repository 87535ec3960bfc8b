"""Locks by key: two threads wait for each other only if they hold the same key."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager


class Locks:
    """One reentrant lock for each key; it exists while a thread holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, tuple[AbstractContextManager[bool], int]] = {}

    @contextmanager
    def lock(self, what: Hashable) -> Iterator[None]:
        """Hold the lock of a key."""
        with self._guard:
            lock, users = self._locks.get(what, (threading.RLock(), 0))
            self._locks[what] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[what]
                if users > 1:
                    self._locks[what] = lock, users - 1
                else:
                    del self._locks[what]
