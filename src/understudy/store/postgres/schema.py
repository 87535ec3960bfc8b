"""The tables of a store in PostgreSQL, their version, and who has the store open.

The law: migrations go forward only, one after the other, in the transaction of the opening. A version that is not known is
left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from psycopg.errors import LockNotAvailable

from understudy.store.errors import StoreError, StoreFormat, StoreInUse
from understudy.store.meta import FORMAT_ROW, check_format, new_meta
from understudy.store.postgres.connections import Connection, fetch

# The version of a schema is the number of these that made it. What stands here was run somewhere: only add to it.
MIGRATIONS: Final = (
    """
    CREATE TABLE understudy_store (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        version integer NOT NULL,
        feed bigint NOT NULL DEFAULT 0,
        commits bigint NOT NULL DEFAULT 0,
        batch bytea,
        writer bytea,
        holder text,
        since timestamptz
    );
    CREATE TABLE understudy_blocks (id bytea PRIMARY KEY, data bytea NOT NULL);
    CREATE TABLE understudy_refs (name bytea PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE understudy_rows (key bytea PRIMARY KEY, value bytea NOT NULL);
    INSERT INTO understudy_store (version) VALUES (0);
    """,
)
LOCK_SECONDS: Final = 1  # a process that was just killed: its connection is closed within milliseconds

_IS_MADE: Final = "SELECT to_regclass('understudy_store') IS NOT NULL"
_PLACE: Final = "SELECT current_schema()::text, pg_is_in_recovery()"
# One lock for the schema that has the tables, or will have them; the high half keeps clear of locks of other programs.
_LOCK: Final = """
SELECT pg_advisory_lock((1970169204::bigint << 32) | coalesce(
    (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('understudy_store')),
    (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))::bigint), pg_backend_pid()
"""
_FACTS: Final = """
SELECT version, feed, commits, batch, writer, holder || coalesce(', since ' || date_trunc('second', since)::text, '')
FROM understudy_store
"""
_CLAIM: Final = "UPDATE understudy_store SET version = %b::int4, writer = %b, holder = %b, since = now()"
ROW: Final = "SELECT value FROM understudy_rows WHERE key = %b"


class Facts(Struct, frozen=True):
    """The row in which a store in PostgreSQL describes itself."""

    version: int
    feed: int
    commits: int
    batch: bytes | None
    writer: bytes | None
    holder: str | None


Ask = Callable[..., list[tuple[Any, ...]]]


def is_made(ask: Ask) -> bool:
    """True if there is a store."""
    return bool(ask(_IS_MADE)[0][0])


def facts(ask: Ask) -> Facts:
    """What the store says of itself. There has to be one."""
    return Facts(*ask(_FACTS)[0])


def lock(connection: Connection, shown: str) -> int:
    """Be the only one who writes, until the connection ends. Returns the number of the server's process, which has the lock.

    Raises StoreInUse, which names who has it.
    """
    schema, is_standby = fetch(connection, _PLACE)[0]
    if is_standby:
        raise StoreError(f"{shown}: this server is a standby and only reads: name the primary")
    if schema is None:
        raise StoreError(f"{shown}: the search_path names no schema that is there: CREATE SCHEMA …")
    fetch(connection, f"SET lock_timeout = '{LOCK_SECONDS}s'")
    try:
        _, process = fetch(connection, _LOCK)[0]
    except LockNotAvailable:
        raise StoreInUse(f"{shown} is in use by {_holder(connection)}: stop it, or talk to it instead") from None
    fetch(connection, "SET lock_timeout = 0")
    return int(process)


def check_version(found: Facts, format: bytes | None, shown: str) -> None:
    """Raise StoreFormat unless this version of Understudy can read what is there."""
    if found.version > len(MIGRATIONS):
        raise StoreFormat(
            f"{shown} has schema version {found.version}, and this version of Understudy knows {len(MIGRATIONS)}: use a newer one"
        )
    if found.version < len(MIGRATIONS):
        raise StoreFormat(
            f"{shown} has schema version {found.version}, and {len(MIGRATIONS)} is read: open it once for writing, as "
            "`understudy serve` does"
        )
    check_format(format, where=shown)


def claim(connection: Connection, shown: str, *, writer: bytes, holder: str, entropy: Callable[[int], bytes]) -> Facts:
    """Make the tables, or bring them up to date, and say who writes from now on. Raises StoreFormat."""

    def ask(sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return fetch(connection, sql, values)

    with connection.transaction():
        new = not is_made(ask)
        version = 0 if new else facts(ask).version
        for migration in MIGRATIONS[version:]:
            connection.execute(migration)
        if new:
            meta = new_meta(entropy)
            ask(
                "INSERT INTO understudy_rows SELECT * FROM unnest(%b::bytea[], %b::bytea[])",
                ([row.key for row in meta], [row.value for row in meta]),
            )
        ask(_CLAIM, (max(version, len(MIGRATIONS)), writer, holder))
        found = facts(ask)
        check_version(found, format_of(ask), shown)
    return found


def format_of(ask: Ask) -> bytes | None:
    """The row that says the format of the store's keys and blocks."""
    found = ask(ROW, (FORMAT_ROW,))
    return bytes(found[0][0]) if found else None


def _holder(connection: Connection) -> str:
    if not fetch(connection, _IS_MADE)[0][0]:
        return "another process, which is just making it"
    return fetch(connection, _FACTS)[0][5] or "another process"
