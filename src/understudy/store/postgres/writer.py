"""The one connection that writes a store in PostgreSQL. It holds the store's lock.

The law: a batch of units is one transaction, and one statement unless it is very large. When the connection is lost while a
batch is under way, the database says afterwards whether it was written: each batch leaves its own number there. Nobody else
can have written meanwhile without being noticed, since each opening leaves its name.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct

from understudy.store.errors import StoreError, StoreInUse, StoreLost
from understudy.store.port import Receipt, Unit
from understudy.store.postgres.batch import BLOCKS, WRITE, Batch, decide, refs_of
from understudy.store.postgres.connections import Patience, connect, fetch
from understudy.store.postgres.errors import POOLED, is_lost, may_go_again, named
from understudy.store.postgres.schema import Facts, claim, facts, lock
from understudy.store.postgres.url import PostgresUrl

_ID_BYTES = 16


class Written(Struct, frozen=True):
    """What became of the units of a commit, and where the store is now."""

    receipts: list[Receipt]
    feed: int
    commits: int
    last: bytes | None


class _Replaced(StoreInUse):
    """Another process has opened the store since."""


class _Attempt:
    """A batch that was sent, or is about to be, and the number that it leaves in the database."""

    def __init__(self) -> None:
        self.id = secrets.token_bytes(_ID_BYTES)
        self.batch: Batch | None = None


class Writer:
    """Locks the store for writing, also one that is not made yet. Raises StoreInUse, StoreError."""

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        self._me = secrets.token_bytes(_ID_BYTES)
        self._connection = connect(url, primary=True)
        self.feed = self.commits = 0
        try:
            self._process = lock(self._connection, url.shown)
        except psycopg.Error as error:
            self.close()
            raise named(error, url.shown) from None
        except BaseException:
            self.close()
            raise

    def claim(self, *, entropy: Callable[[int], bytes]) -> None:
        """Make the store if there is none, bring it up to date, and say who writes from now on. Raises StoreFormat."""
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        try:
            found = claim(self._connection, self._url.shown, writer=self._me, holder=holder, entropy=entropy)
        except psycopg.Error as error:
            raise named(error, self._url.shown) from None
        self.feed, self.commits = found.feed, found.commits

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question, on the connection that has the lock. Raises StoreError."""
        try:
            return fetch(self._connection, sql, values)
        except psycopg.Error as error:
            raise named(error, self._url.shown) from None

    def close(self) -> None:
        """Give the store back."""
        self._connection.close()

    def write(self, units: Sequence[Unit]) -> Written:
        """Write what can be written of these units. Raises StoreError; what became of them is then unknown."""
        patience = Patience()
        while True:
            attempt = _Attempt()
            try:
                base = self._try(units, attempt)
            except psycopg.Error as error:
                if is_lost(self._connection, error):
                    base = self._find_out(attempt, error, patience)
                elif not may_go_again(error) or not patience.wait():
                    raise named(error, self._url.shown) from None
                else:
                    base = None
            if base is not None and attempt.batch is not None:
                return self._written(attempt.batch, base)

    def _try(self, units: Sequence[Unit], attempt: _Attempt) -> int | None:
        """The last feed number before these units."""
        attempt.batch = batch = decide(units)
        if batch.is_empty:
            return self.feed
        base = self._send(batch, attempt.id)
        return self._try_with_care(units, attempt) if base is None else base

    def _try_with_care(self, units: Sequence[Unit], attempt: _Attempt) -> int | None:
        """The same where a ref does not hold what the units expect: look first, while nobody can change it."""
        connection = self._connection
        with connection.transaction():
            found = Facts(
                *fetch(
                    connection, "SELECT version, feed, commits, batch, writer, holder FROM understudy_store FOR UPDATE"
                )[0]
            )
            self._check_mine(found)
            self._check_process()
            names = refs_of(units)
            held: dict[bytes, bytes | None] = dict.fromkeys(names)
            held.update(
                fetch(connection, "SELECT name, value FROM understudy_refs WHERE name = ANY(%b::bytea[])", (names,))
            )
            attempt.batch = batch = decide(units, held)
            return self._send(batch, attempt.id)

    def _send(self, batch: Batch, id: bytes) -> int | None:
        connection = self._connection
        before, rest = batch.parts()
        if not before:
            return self._send_rest(batch, rest, id)
        with connection.transaction() as transaction:
            for part in before:
                fetch(connection, BLOCKS, (list(part), list(part.values())))
            base = self._send_rest(batch, rest, id)
            if base is None:
                raise psycopg.Rollback(transaction)
        return base

    def _send_rest(self, batch: Batch, blocks: Mapping[bytes, bytes], id: bytes) -> int | None:
        found = fetch(self._connection, WRITE, batch.values(blocks, id=id, writer=self._me, process=self._process))
        return int(found[0][0]) if found else None

    def _find_out(self, attempt: _Attempt, error: psycopg.Error, patience: Patience) -> int | None:
        """Connect again; the last feed number before the units if they were written, None if they were not."""
        cause = named(error, self._url.shown)
        self.close()
        while True:
            try:
                self._connection = connect(self._url, primary=True)
                self._check_mine(facts(self.ask))
                # Until the server has noticed that the connection before is gone, the lock is still with that.
                self._process = lock(self._connection, self._url.shown)
                found = facts(self.ask)
                break
            except _Replaced:
                raise
            except (StoreError, psycopg.Error) as again:
                self.close()
                if not patience.wait():
                    raise again if isinstance(again, StoreInUse) else cause from None
        self._check_mine(found)
        if found.commits == self.commits:
            return None
        if found.commits == self.commits + 1 and found.batch == attempt.id and attempt.batch is not None:
            return found.feed - len(attempt.batch.feed)
        raise StoreLost(
            f"{self._url.shown} came back without what it had acknowledged: {self.commits} commits, and now {found.commits}"
        )

    def _check_mine(self, found: Facts) -> None:
        if found.writer != self._me:
            raise _Replaced(
                f"{self._url.shown} was taken over by {found.holder or 'another process'} while this one was away"
            )

    def _check_process(self) -> None:
        if fetch(self._connection, "SELECT pg_backend_pid()") != [(self._process,)]:
            raise StoreError(
                f"{self._url.shown}: another process of the server answers than the one that has the lock of the store. {POOLED}"
            )

    def _written(self, batch: Batch, base: int) -> Written:
        if not batch.is_empty:
            self.feed, self.commits = base + len(batch.feed), self.commits + 1
        last = batch.feed[-1] if batch.feed else None
        return Written(batch.receipts_from(base), self.feed, self.commits, last)
