"""Locks by what they are about: two threads wait for each other only if they are about the same thing."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager


class Locks:
    """A lock for each thing, there while somebody holds or awaits it. A thread may take one that it holds again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, tuple[AbstractContextManager[bool], int]] = {}

    @contextmanager
    def lock(self, what: Hashable) -> Iterator[None]:
        """Hold the lock of a thing."""
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
