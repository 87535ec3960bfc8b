"""What actors may do over HTTP: the grants of an operator, `[capabilities.http]` in understudy.toml.

The law: what nobody granted is refused before anything leaves, and the refusal names the line that would grant it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from understudy.actors.errors import CallFailed
from understudy.actors.exchange import NOT_GRANTED
from understudy.capabilities.http_places import Place, parse_place

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
MAX_REQUEST: Final = 16 * 1024 * 1024  # bytes of a request's body: what a file that is sent with it may well have
MAX_RESPONSE: Final = 16 * 1024 * 1024  # of a response's body, unpacked; it is kept for ever
SECONDS: Final = 300.0  # for one call, from its connection to the last byte: a model's answer may take minutes
CALLS: Final = 100  # of one step: what a step asks for is held in memory until it is sealed
CONCURRENT: Final = 64  # calls of the node at once; the others wait
CONCURRENT_ACTOR: Final = 16  # of one actor: one that asks for all it can leaves room for others
CONCURRENT_HOST: Final = 32  # to one host and port: half of all, so that one that never answers leaves the other half
MAX_SECONDS: Final = 3600.0
MAX_BYTES: Final = 256 * 1024 * 1024  # that max_request and max_response may be: both are held in memory
MAX_CALLS: Final = 10_000  # as many as a journal holds


class BadGrants(ValueError):
    """Grants that can't be."""


class GrantPart(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be said for all actors and for one. What is not said for one actor is what is said for all."""

    allow: list[str] | UnsetType = UNSET
    methods: list[str] | UnsetType = UNSET
    max_request: int | UnsetType = UNSET
    max_response: int | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    calls: int | UnsetType = UNSET
    no_idempotency_key: list[str] | UnsetType = UNSET


class HttpPart(GrantPart, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[capabilities.http]`; `actors` are by name or id."""

    concurrent: int = CONCURRENT
    concurrent_actor: int = CONCURRENT_ACTOR
    concurrent_host: int = CONCURRENT_HOST
    actors: dict[str, GrantPart] = {}


class Grant(Struct, frozen=True, kw_only=True):
    """What one actor may do."""

    allow: tuple[Place, ...] = ()
    methods: frozenset[str] = frozenset(METHODS)
    max_request: int = MAX_REQUEST
    max_response: int = MAX_RESPONSE
    seconds: float = SECONDS
    calls: int = CALLS
    no_idempotency_key: tuple[Place, ...] = ()

    def takes_no_key(self, host: str, port: int) -> bool:
        """True if a host is to get no `Idempotency-Key`."""
        return any(place.covers(host, port) for place in self.no_idempotency_key)


class Narrowing(Struct, frozen=True):
    """What a core's `/policy` leaves of a grant; None: all."""

    allow: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None


NOTHING_NARROWED: Final = Narrowing()
NO_GRANTS: Final = HttpPart()
Named = Callable[[str], bool]


class Grants:
    """The grants of a node. Raises BadGrants for what can't be."""

    def __init__(self, part: HttpPart = NO_GRANTS, more: Sequence[str] = ()) -> None:
        """`more` is granted to all actors besides, as `understudy serve --allow-http` does."""
        for name in ("concurrent", "concurrent_actor", "concurrent_host"):
            if not 1 <= getattr(part, name) <= MAX_CALLS:
                raise BadGrants(f"capabilities.http: {name} is 1 to {MAX_CALLS:,}, not {getattr(part, name)}")
        self.concurrent = part.concurrent
        self.concurrent_actor = part.concurrent_actor
        self.concurrent_host = part.concurrent_host
        self._all = _grant(part, Grant(), more, "capabilities.http")
        self._of = {
            name: _grant(own, self._all, more, f"capabilities.http.actors.{name}") for name, own in part.actors.items()
        }

    def of(self, is_called: Named) -> tuple[Grant, str]:
        """The grant of an actor, of which `is_called` says whether a text is its name or id; and the table it stands in."""
        for name, grant in self._of.items():
            if is_called(name):
                return grant, f"capabilities.http.actors.{name}"
        return self._all, "capabilities.http"


def check_place(grant: Grant, table: str, narrowing: Narrowing, *, method: str, host: str, port: int, who: str) -> None:
    """Raise CallFailed(NotGranted) that names the line that would grant it.

    It names nothing else that was granted: the text stands in a history, which others may read.
    """
    shown = place_text(host, port)
    if not any(place.covers(host, port) for place in grant.allow):
        raise not_granted(
            f'{who} may not reach {shown}. To grant it, add in understudy.toml: [{table}] allow = ["{shown}"]'
        )
    if narrowing.allow is not None and not any(place.covers(host, port) for place in _own_places(narrowing.allow)):
        raise not_granted(f'{who} may not reach {shown}: its own /policy leaves that out of "http": {{"allow": …}}')
    if method not in grant.methods:
        raise not_granted(
            f'{who} may not send {method} to {shown}. To grant it, add in understudy.toml: [{table}] methods = ["{method}"]'
        )
    if narrowing.methods is not None and method not in narrowing.methods:
        raise not_granted(f'{who} may not send {method}: its own /policy leaves that out of "http": {{"methods": …}}')


def not_granted(text: str) -> CallFailed:
    """The refusal; nothing has left."""
    return CallFailed(NOT_GRANTED, f"{text} (nothing was sent)")


def place_text(host: str, port: int) -> str:
    """A place as an operator writes it."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == 443 else f"{shown}:{port}"


def _own_places(texts: tuple[str, ...]) -> tuple[Place, ...]:
    try:
        return _places(texts)
    except ValueError as error:
        raise not_granted(f'/policy: "http": {{"allow": …}}: {error}') from error


@lru_cache(maxsize=1024)
def _places(texts: tuple[str, ...]) -> tuple[Place, ...]:
    return tuple(parse_place(text) for text in texts)


def _grant(part: GrantPart, base: Grant, more: Sequence[str], where: str) -> Grant:
    given: Mapping[str, object] = {name: value for name in _GRANT_FIELDS if (value := getattr(part, name)) is not UNSET}
    try:
        grant = msgspec.structs.replace(
            base,
            **{
                **given,
                **{name: _parse(given[name]) for name in ("allow", "no_idempotency_key") if name in given},
                **({"methods": _methods(given["methods"])} if "methods" in given else {}),
            },
        )
        grant = msgspec.structs.replace(grant, allow=tuple(dict.fromkeys((*grant.allow, *_parse(list(more))))))
    except ValueError as error:
        raise BadGrants(f"{where}: {error}") from error
    for name, least, most in _BOUNDS:
        if not least <= getattr(grant, name) <= most:
            raise BadGrants(f"{where}: {name} is {least:,} to {most:,}, not {getattr(grant, name):,}")
    return grant


def _parse(texts: object) -> tuple[Place, ...]:
    assert isinstance(texts, list)
    return tuple(parse_place(text) for text in texts)


def _methods(names: object) -> frozenset[str]:
    assert isinstance(names, list)
    for name in names:
        if name not in METHODS:
            raise ValueError(f"methods: {name!r} is none of {', '.join(METHODS)}")
    return frozenset(names)


_GRANT_FIELDS: Final = tuple(each for each in GrantPart.__struct_fields__)
_BOUNDS: Final = (
    ("max_request", 0, MAX_BYTES),
    ("max_response", 0, MAX_BYTES),
    ("seconds", 0.001, MAX_SECONDS),
    ("calls", 0, MAX_CALLS),
)
