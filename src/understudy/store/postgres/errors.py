"""Errors of psycopg, libpq and the server, as the errors of a store. None of their texts holds a password."""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from understudy.store.errors import Corrupt, StoreError, StoreFormat, StoreFull

POOLED: Final = (
    "A pooler stands between that lends a connection for a transaction at a time: connect to the server itself, or have the "
    "pooler lend it for a session"
)
_STARTS: Final = ("57P03",)  # the server is starting, or is shutting down
_AGAIN: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,
    errors.QueryCanceled,  # by a person: our own time limits are off
)
_CUT: Final = (errors.AdminShutdown, errors.CrashShutdown, errors.IdleInTransactionSessionTimeout)


def is_lost(connection: psycopg.Connection[object], error: BaseException) -> bool:
    """True if it is the connection that failed, and not what was asked of it."""
    return isinstance(error, psycopg.OperationalError) and (connection.broken or isinstance(error, _CUT))


def is_starting(error: psycopg.Error) -> bool:
    """True if a server refused a connection that it will take soon."""
    return error.sqlstate in _STARTS or "the database system is" in str(error)


def may_go_again(error: psycopg.Error) -> bool:
    """True if nothing was written because somebody was in the way, who may be gone the next time."""
    return isinstance(error, _AGAIN)


def named(error: psycopg.Error, shown: str) -> StoreError:
    """The error of ours for one of the driver's; `shown` names the store."""
    text = f"{shown}: {_sentence(error)}"
    if isinstance(error, errors.DiskFull):
        return StoreFull(f"{text}. Nothing that was acknowledged is lost: free space on the server and start again")
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return Corrupt(f"{text}. The server's own data is damaged: bring back a backup")
    if isinstance(error, errors.InvalidCatalogName):
        return StoreError(f"{text}. Make the database first: createdb")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreError(f"{text}. The user needs a schema of its own, or: GRANT CREATE, USAGE ON SCHEMA … TO …")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return StoreError(f"{text}. This server only reads: name the primary")
    if isinstance(error, errors.DuplicatePreparedStatement | errors.InvalidSqlStatementName):
        return StoreError(f"{text}. {POOLED}")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return StoreFormat(f"{text}. The tables of the store were changed or dropped while it was open")
    return StoreError(text)


def _sentence(error: psycopg.Error) -> str:
    """The first line that says something. libpq adds hints for those who compile it."""
    found = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return (found or type(error).__name__).rstrip(".")
