"""Connections to a PostgreSQL server: how they are opened, set, lent to threads and opened again.

The law: what only reads is asked again on a new connection when one is lost, for a bounded time. What writes is not: whether
it was done is for the caller to find out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Condition
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from understudy.store.errors import StoreClosed, StoreError, StoreFormat
from understudy.store.postgres.errors import is_lost, is_starting, named
from understudy.store.postgres.url import PostgresUrl

OLDEST: Final = 140_000  # PostgreSQL 14: older ones get no corrections any more
READERS: Final = 8  # connections that read beside each other; each is a process of the server
AWAY_SECONDS: Final = (
    30.0  # how long a server may be away: a restart, a promotion. Then the node ends, and is started again
)
_PAUSES: Final = (0.05, 0.1, 0.2, 0.5)  # between two tries to connect; the last one over and over
# A server or a network that is gone without a word is noticed after some 20 s, where the URL does not say otherwise.
_DEFAULTS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "understudy",
}
# What a user, a database or a server may have been given by default, and what a store can't have. The server gives up a
# client that is gone after 20 s as well: it holds the store's lock.
_SETTINGS: Final = (
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
    "SET idle_session_timeout = 0; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3;"
    "SET tcp_keepalives_count = 3;"
    # Each question finds its rows by their keys. A plan that was made while a table was small must not read all of it.
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;"
    "SET plan_cache_mode = force_generic_plan;"
    # A stricter level makes reads fail that are only to be tried again. One writer needs no more than this.
    "SET default_transaction_isolation = 'read committed';"
    # Set in each case: what is set here stays when the server reads a changed configuration.
    "SELECT set_config('synchronous_commit', CASE level WHEN 'off' THEN 'on' ELSE level END, false)"
    " FROM current_setting('synchronous_commit') AS level"
)

_ALIASES: Final = ("ssl",)  # of URLs alone: `ssl=true`, as JDBC has it

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"


def connect(url: PostgresUrl, *, primary: bool) -> Connection:
    """A connection with what a store needs, in autocommit. Waits while the server starts. Raises StoreError.

    With `primary` it is to a server that can be written. Of several hosts, another one may be a standby that is behind.
    """
    info = _conninfo(url, primary=primary)
    patience = Patience()
    while True:
        try:
            connection = psycopg.connect(info, autocommit=True)
            break
        except psycopg.Error as error:
            if not is_starting(error) or not patience.wait():
                raise named(error, url.shown) from None
    try:
        if connection.info.server_version < OLDEST:
            raise StoreFormat(f"{url.shown}: PostgreSQL {OLDEST // 10_000} or newer is needed")
        connection.execute(_SETTINGS)
        return connection
    except psycopg.Error as error:
        connection.close()
        raise named(error, url.shown) from None
    except BaseException:
        connection.close()
        raise


class Patience:
    """How long one waits for a server that is away."""

    def __init__(self) -> None:
        self._until = time.monotonic() + AWAY_SECONDS
        self._pauses = iter(_PAUSES)

    def wait(self) -> bool:
        """Sleep before the next try; False if it has been long enough."""
        if time.monotonic() >= self._until:
            return False
        time.sleep(next(self._pauses, _PAUSES[-1]))
        return True


class Outage:
    """One outage of a server for all who read: they wait for its first AWAY_SECONDS together, and not at all after that."""

    def __init__(self) -> None:
        self._patience: Patience | None = None

    def wait(self) -> bool:
        """Sleep before the next try; False if the server has been away for long enough."""
        patience = self._patience = self._patience or Patience()
        return patience.wait()

    def is_over(self) -> None:
        """Somebody was answered."""
        self._patience = None


class ReadingPool:
    """At most READERS connections to the primary, made when they are needed and lent to one thread at a time.

    Who writes must see what it has written, so it never reads from a standby.
    """

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        self._changed = Condition()
        self._idle: list[Connection] = []
        self._made = 0
        self._closed = False
        self._outage = Outage()

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question that changes nothing. Raises StoreError."""
        while True:
            connection = self._take()
            try:
                rows = fetch(connection, sql, values)
                self._outage.is_over()
                return rows
            except psycopg.Error as error:
                if not is_lost(connection, error):
                    raise named(error, self._url.shown) from None
                self._drop_idle()
                if not self._outage.wait():
                    raise named(error, self._url.shown) from None
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close what nobody has; what a thread has is closed when that gives it back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._drop_idle()

    def _drop_idle(self) -> None:
        """When one connection is lost, those that nobody uses are lost too."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._made -= len(idle)
            self._changed.notify_all()
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        with self._changed:
            while not self._idle and self._made >= READERS and not self._closed:
                self._changed.wait()
            if self._closed:
                raise StoreClosed(f"{self._url.shown} was closed")
            if self._idle:
                return self._idle.pop()
            self._made += 1
        try:
            return self._connect()
        except BaseException:
            self._forget()
            raise

    def _connect(self) -> Connection:
        while True:
            try:
                return connect(self._url, primary=True)
            except StoreError:
                # This database has answered before: it is away, or has no room for another connection.
                if self._closed or not self._outage.wait():
                    raise

    def _give_back(self, connection: Connection) -> None:
        if connection.closed or self._closed:
            connection.close()
            self._forget()
            return
        with self._changed:
            self._idle.append(connection)
            self._changed.notify()

    def _forget(self) -> None:
        with self._changed:
            self._made -= 1
            self._changed.notify()


class OneView:
    """One connection that sees what was there when it was opened, and nothing that came later."""

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        self._connection = connect(url, primary=False)
        self._closed = False
        self.ask("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question. Raises StoreError."""
        if self._closed:
            raise StoreClosed(f"{self._url.shown} was closed")
        try:
            return fetch(self._connection, sql, values)
        except psycopg.Error as error:
            raise named(error, self._url.shown) from None

    def close(self) -> None:
        """End the view."""
        self._closed = True
        self._connection.close()


def fetch(connection: Connection, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows of a question, which the server prepares once for each connection."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(sql, values, prepare=True)
        return cursor.fetchall() if cursor.description else []


def _conninfo(url: PostgresUrl, *, primary: bool) -> str:
    """What libpq gets: the URL, and what it leaves open. Raises StoreError, whose text repeats no value of the URL."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    strange = [name for name in url.parameters if name not in known and name not in _ALIASES]
    if strange:
        raise StoreError(f"{url.shown}: libpq knows no parameter {strange[0]!r}")
    try:
        given = conninfo_to_dict(url.text)
    except psycopg.Error:
        # libpq repeats what it could not read, and that may be a part of a password.
        raise StoreError(f"{url.shown}: libpq can't read this URL") from None
    wanted = {"target_session_attrs": "read-write"} if primary else {}
    return str(make_conninfo("", **{**_DEFAULTS, **given, **wanted}))
