"""Connections: their number is limited, so that the store can always open a file.

The law: an idle client never keeps out one that asks. At the limit, the connection that was idle for longest is closed.
"""

from __future__ import annotations

from typing import Final, Protocol

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

MOST: Final = 10_000  # as many as there may be requests under way; each costs some ten kilobytes
# What is no connection: the store's files (half of a small limit, at most 512), modules, event loops, pipes to judges.
_FOR_THE_STORE: Final = 512
_FOR_OTHERS: Final = 128
_LEAST: Final = 16
_WANTED: Final = MOST + _FOR_THE_STORE + _FOR_OTHERS


class Idle(Protocol):
    """A connection that can be closed while it is idle."""

    def give_way(self) -> None:
        """Close the connection, because another one needs its place."""


class Connections:
    """The connections of one server."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Idle] = set()
        self._idle: dict[Idle, None] = {}  # the one that has been idle for longest comes first

    def admit(self, connection: Idle) -> bool:
        """True if there is a place; the connection is idle then."""
        if len(self._open) >= self._most and not self._make_room():
            return False
        self._open.add(connection)
        self._idle[connection] = None
        return True

    def busy(self, connection: Idle) -> None:
        """The connection has asked for something."""
        self._idle.pop(connection, None)

    def idle(self, connection: Idle) -> None:
        """The connection has its answers, all of them."""
        if connection in self._open:
            self._idle[connection] = None

    def gone(self, connection: Idle) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def _make_room(self) -> bool:
        longest = next(iter(self._idle), None)
        if longest is None:
            return False
        self.gone(longest)
        longest.give_way()
        return True


def raise_descriptor_limit() -> None:
    """Let this process have as many file descriptors as a node uses at most, as far as the system allows."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _WANTED if hard < 0 else min(_WANTED, hard)
        if 0 <= soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections leave enough descriptors for all else."""
    limit = -1 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # negative: there is none
    if limit < 0:
        return MOST
    return max(_LEAST, min(MOST, limit - min(_FOR_THE_STORE, limit // 2) - min(_FOR_OTHERS, limit // 4)))
