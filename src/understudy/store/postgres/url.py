"""A PostgreSQL URL, as libpq reads it: what names the database, and what people may see of it.

The law: nothing that this module gives out to be shown, or to be part of a file's name, holds a password. It connects to
nothing, and needs no driver.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from understudy.store.errors import StoreError

SCHEME: Final = "postgresql"
_UNREADABLE: Final = (
    f"not a URL of a PostgreSQL database: it looks like {SCHEME}://USER@HOST:PORT/DATABASE?sslmode=verify-full, and a "
    "character of :/?#@% in a name or a password is written as % with two digits (@ is %40)"
)
# libpq ends the user and the password at the first '@' that comes before any of '/', '?' and '#'.
_URL: Final = re.compile(
    r"//(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?(?P<hosts>[^@/?#\s]*)(?:/(?P<database>[^@/?#\s]*))?"
    r"(?:\?(?P<query>[^#\s]*))?\Z"
)
_HOSTS: Final = re.compile(r"((\[[0-9A-Fa-f:.%]+\]|[^:,\[\]]*)(:[0-9]*)?(,|\Z))*\Z")
DEFAULT_PORT: Final = "5432"
_PERCENT: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*\Z")
# Also where the name is misspelt: the message that says so must not show the value.
_SECRET: Final = re.compile(r"pas(?!sfile)|pwd|secret|token", re.IGNORECASE)
# What says which database it is, and where in it the tables are. The rest says how to reach it.
_IDENTITY: Final = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE"}
_PLACES: Final = {**_IDENTITY, "user": "PGUSER", "service": "PGSERVICE", "options": "PGOPTIONS"}


class PostgresUrl(Struct, frozen=True):
    """A URL that was read. `text` is what libpq gets, with the password if there is one; never show it."""

    text: str
    shown: str
    parameters: tuple[str, ...]
    folder_name: str


def read_url(place: str) -> PostgresUrl:
    """Read what stands behind the colon of a URL. Raises StoreError, whose text repeats nothing of it."""
    found = _URL.match(place)
    if found is None or not _PERCENT.match(place) or not _HOSTS.match(found["hosts"]):
        raise StoreError(_UNREADABLE)
    query = _read_query(found["query"] or "")
    open_query = {name: value for name, value in query.items() if not _SECRET.search(name)}
    bare = "".join(
        (
            f"{SCHEME}://",
            "" if found["user"] is None else f"{found['user']}@",
            found["hosts"],
            "" if found["database"] is None else f"/{found['database']}",
            "?" if open_query else "",
            "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in open_query.items()),
        )
    )
    is_open = found["password"] is None and len(open_query) == len(query)
    return PostgresUrl(
        text=f"{SCHEME}:{place}",
        shown=f"{SCHEME}:{place}" if is_open else bare,
        parameters=tuple(query),
        folder_name=_folder_name(found.groupdict(), query, os.environ),
    )


def state_folder(url: PostgresUrl) -> Path:
    """The folder on this machine for what belongs to a store without being in it: below XDG_STATE_HOME."""
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "understudy" / url.folder_name


def _read_query(text: str) -> dict[str, str]:
    pairs = [pair.split("=") for pair in text.split("&")] if text else []
    if any(len(pair) != 2 for pair in pairs):
        raise StoreError(_UNREADABLE)
    return {unquote(name): unquote(value) for name, value in pairs}


def _host_and_port(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    return (text, "") if not colon or "]" in port else (host, port)


def _folder_name(parts: Mapping[str, str | None], query: dict[str, str], environment: Mapping[str, str]) -> str:
    """A name for the database that stays when only the way to reach it changes: TLS, the password, time-outs.

    Which user asks does not matter, unless the name of the database is taken from it.
    """
    hosts, ports = zip(*map(_host_and_port, (parts["hosts"] or "").split(",")), strict=True)
    named = {
        "host": ",".join(hosts),
        "port": ",".join(ports).strip(","),
        "dbname": parts["database"],
        "user": parts["user"],
    }
    given = {name: unquote(value) for name, value in named.items() if value}
    facts = {name: environment.get(variable, "") for name, variable in _PLACES.items()} | given | query
    facts["port"] = facts["port"] or DEFAULT_PORT
    if not facts["dbname"] and not facts["service"]:
        facts["dbname"] = facts["user"] or getpass.getuser()
    identity = "\0".join(facts[name] for name in (*_IDENTITY, "service", "options"))
    words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{facts['host']}-{facts['dbname']}").strip("-.")[:40]
    return f"{SCHEME}-{words}-{sha256(identity.encode()).hexdigest()[:12]}"
