"""Connections: their number is limited, so that the store can always open a file, and so is what their clients leave unread.

The laws: an idle client never keeps out one that asks: at the limit, the connection that was idle for longest is closed. Who
does not read its answers never fills the memory: beyond the bound, the slowest reader is cut off.
"""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple, Protocol

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

MOST: Final = 10_000  # as many as there may be requests under way; each costs some ten kilobytes
# What is no connection: the store's files (half of a small limit, at most 512), modules, event loops, pipes to judges.
_FOR_THE_STORE: Final = 512
_FOR_OTHERS: Final = 128
_LEAST: Final = 16
# Of all answers together that are in memory and not read: the largest answer has 64 MiB, and some are to be read slowly at once.
MAX_UNREAD_BYTES: Final = 256 * 1024 * 1024
NEW_SECONDS: Final = 5.0  # a reader is not called slow before that
_WANTED: Final = MOST + _FOR_THE_STORE + _FOR_OTHERS


class Connection(Protocol):
    """A connection of a client."""

    @property
    def unread_bytes(self) -> int:
        """What its client is answered and has not taken yet."""

    @property
    def held_bytes(self) -> int:
        """What is in memory for it: an answer that is sent in pieces counts as a whole, up to the last of them."""

    def give_way(self) -> None:
        """Close the connection while it is idle, because another one needs its place."""

    def cut_off(self) -> None:
        """Close the connection with what its client has not read."""


class _Unread(NamedTuple):
    """How much a client had not read at a moment, and how much was in memory for it."""

    size: int
    held: int
    since: float

    def rate(self, left: int, now: float) -> float:
        """How fast it reads, in bytes a second."""
        return (self.size - left) / (now - self.since) if now - self.since >= NEW_SECONDS else inf


class Connections:
    """The connections of one server."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # the one that has been idle for longest comes first
        self._unread: dict[Connection, _Unread] = {}
        self._unread_bytes = 0  # at most: what was read since is found out when it matters

    def admit(self, connection: Connection) -> bool:
        """True if there is a place; the connection is idle then."""
        if len(self._open) >= self._most and not self._make_room():
            return False
        self._open.add(connection)
        self._idle[connection] = None
        return True

    def busy(self, connection: Connection) -> None:
        """The connection has asked for something."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """The connection has its answers, all of them."""
        if connection in self._open:
            self._idle[connection] = None

    def unread(self, connection: Connection, now: float) -> None:
        """The client does not take what it asked for. Said again before `read`, it changes nothing."""
        if connection in self._unread:
            return
        self._unread[connection] = _Unread(connection.unread_bytes, connection.held_bytes, now)
        self._unread_bytes += self._unread[connection].held
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._cut_off_slowest(now)

    def read(self, connection: Connection) -> None:
        """The client has taken most of it."""
        known = self._unread.pop(connection, None)
        self._unread_bytes -= 0 if known is None else known.held

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self.read(connection)

    def _cut_off_slowest(self, now: float) -> None:
        left = {connection: connection.unread_bytes for connection in self._unread}
        held = {connection: connection.held_bytes for connection in self._unread}
        total = sum(held.values())
        # Of those that are new, the last one goes first: the others were promised their answers before it.
        order = sorted(reversed(self._unread), key=lambda each: self._unread[each].rate(left[each], now))
        for connection in order[:-1]:
            if total <= MAX_UNREAD_BYTES:
                break
            total -= held[connection]
            self.gone(connection)
            connection.cut_off()

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
