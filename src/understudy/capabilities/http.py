"""The capability `http`: the way of wits to the network, behind an ordinary httpx client.

The laws: nothing leaves that was not granted; a secret becomes itself only here, on the way to a host that it was granted
for, and is taken out of whatever comes back; what is answered has bounds in bytes and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpcore
from msgspec import Struct

from understudy.actors.errors import CallFailed
from understudy.actors.exchange import (
    HTTP,
    IDEMPOTENCY_KEY,
    Aside,
    ExchangeReply,
    ExchangeRequest,
    Headers,
    read_request,
    reply_bytes,
)
from understudy.capabilities.http_body import ACCEPT_ENCODING, read_body, unpack
from understudy.capabilities.http_grants import NOTHING_NARROWED, Grant, Grants, Narrowing, check_place, place_text
from understudy.capabilities.http_network import HttpThread, Network, Resolve, resolve
from understudy.capabilities.http_places import DEFAULT_PORTS
from understudy.capabilities.http_turns import Turn, Turns
from understudy.capabilities.secrets import NO_SECRETS, Filled, Secrets, is_safe_for_secrets
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId

MAX_URL: Final = 64 * 1024
MAX_OF_A_STEP: Final = 256 * 1024 * 1024  # bytes of its responses together: they are held in memory until it is sealed
SMALL: Final = (
    64 * 1024
)  # bytes of a body that is searched for secrets where it came in: it takes less than a millisecond
NO_ASIDE: Final = Aside()

NameOf = Callable[[ActorId], str | None]
NarrowingOf = Callable[[ActorId], Narrowing]

# What a response says of how it was sent, and what stands in the reply has already lost.
_OF_THE_WAY: Final = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
# What is written anew for each request.
_WRITTEN: Final = frozenset({"accept-encoding", "connection", "content-length", "host", "te", "transfer-encoding"})


class Target(Struct, frozen=True):
    """Where a request goes."""

    scheme: str
    host: str
    port: int
    path: str


class HttpCapability:
    """Makes the HTTP calls of wits. Any event loop may await it; `stop` ends its thread."""

    def __init__(
        self,
        grants: Grants | None = None,
        secrets: Secrets = NO_SECRETS,
        *,
        name_of: NameOf = lambda actor: None,
        narrowing_of: NarrowingOf = lambda actor: NOTHING_NARROWED,
        resolve: Resolve = resolve,
    ) -> None:
        """`name_of` gives an actor's name, `narrowing_of` what its own policy leaves of its grant."""
        self._grants = grants or Grants()
        self._secrets = secrets
        self._name_of = name_of
        self._narrowing_of = narrowing_of
        self._resolve = resolve
        self._thread = HttpThread()
        self._networks: dict[Grant, Network] = {}
        self._turns = Turns(self._grants)

    takes_aside = True

    @property
    def name(self) -> str:
        """`http`."""
        return HTTP

    def stop(self) -> None:
        """End what is under way. From any thread."""
        self._thread.stop()

    async def call(self, request: bytes, *, caller: ActorId, key: str, beside: object = None) -> bytes:
        """The response, read to its end. Raises CallFailed: NotGranted, NoSecret, TooLarge, TooManyCalls, BadRequest, or the
        name of an exception of httpx for what the network failed of.
        """
        aside = beside if isinstance(beside, Aside) else NO_ASIDE
        try:
            wanted = read_request(request)
        except WrongKind as error:
            raise CallFailed("BadRequest", str(error)) from error
        name = self._name_of(caller)
        grant, table = self._grants.of(lambda text: text in (name, str(caller)))
        target = _target(wanted.url)
        who = f"the actor {name or caller}"
        narrowing = self._narrowing_of(caller)
        check_place(grant, table, narrowing, method=wanted.method, host=target.host, port=target.port, who=who)
        _count(aside, grant)
        if len(wanted.body) > grant.max_request:
            raise CallFailed(
                "TooLarge",
                f"the request has {len(wanted.body):,} bytes; [{table}] max_request allows {grant.max_request:,}",
            )
        filled = await self._fill(wanted, aside, target, actor=(name, str(caller)))
        idempotency_key = None if grant.takes_no_key(target.host, target.port) else _key(aside, key)
        return await self._thread.run(
            self._exchange(grant, target, wanted, aside, filled, idempotency_key, actor=str(caller))
        )

    async def _fill(
        self, wanted: ExchangeRequest, aside: Aside, target: Target, *, actor: tuple[str | None, str]
    ) -> Filled:
        """The request with its secrets. On a thread beside ours, since a command may have to print them, which may take long."""
        parts = Filled(target=target.path, headers=(*wanted.headers, *aside.headers), body=wanted.body)
        if not self._secrets.any():
            return self._secrets.refuse_markers(parts, aside.secrets)
        safe = is_safe_for_secrets(target.scheme, target.host)
        return await self._thread.run(
            asyncio.to_thread(
                self._secrets.fill, parts, aside.secrets, host=target.host, port=target.port, safe=safe, actor=actor
            )
        )

    async def _exchange(
        self,
        grant: Grant,
        target: Target,
        wanted: ExchangeRequest,
        aside: Aside,
        filled: Filled,
        key: str | None,
        *,
        actor: str,
    ) -> bytes:
        """On our own thread."""
        if grant not in self._networks:
            self._networks[grant] = Network(grant, self._resolve)
        request = _request(target, wanted.method, filled, key, aside, grant.seconds)
        turn = Turn()
        try:
            async with (
                asyncio.timeout(grant.seconds),
                self._turns.take(turn, actor=actor, host=f"{target.host}:{target.port}"),
                self._networks[grant].exchange(request) as response,
            ):
                packed = await read_body(response.aiter_stream(), most=grant.max_response)
            encoding = "".join(value for name, value in _texts(response.headers) if name == "content-encoding")
            body = await _plain_body(packed, encoding, grant.max_response, filled)
        except CallFailed as error:
            raise CallFailed(error.code, filled.scrub(error.text)) from None
        except TimeoutError:
            raise _too_late(turn, target, grant.seconds) from None
        except Exception as error:
            # Not its cause: what libraries keep in their exceptions may hold a secret.
            text = filled.scrub(str(error)) or f"{wanted.method} {target.host}: no more is known"
            raise CallFailed(_code_of(error), text) from None
        headers = [
            (filled.scrub(name).lower(), filled.scrub(value))
            for name, value in _texts(response.headers)
            if name not in _OF_THE_WAY
        ]
        aside.spent.bytes += len(body)
        if aside.spent.bytes > MAX_OF_A_STEP:
            raise CallFailed("TooLarge", f"the responses of one step have more than {MAX_OF_A_STEP:,} bytes together")
        return reply_bytes(
            ExchangeReply(
                method=wanted.method,
                url=wanted.url,
                status=response.status,
                headers=[*headers, ("content-length", str(len(body)))] if body else headers,
                body=body,
            )
        )


async def _plain_body(packed: bytes, encoding: str, most: int, filled: Filled) -> bytes:
    """The body, unpacked and without secrets. Of a large one another thread makes it: all actors share this one."""

    def work() -> bytes:
        return filled.scrub_bytes(unpack(packed, encoding, most=most))

    return work() if len(packed) <= SMALL and not encoding else await asyncio.to_thread(work)


def _too_late(turn: Turn, target: Target, seconds: float) -> CallFailed:
    if turn.waits_for is None:
        text = f"no whole response within {seconds:g} s; [capabilities.http] seconds says how long it may take"
        return CallFailed("ReadTimeout", text)
    return CallFailed(
        "PoolTimeout",
        f"{place_text(target.host, target.port)} was not asked within {seconds:g} s: too many calls were under way; "
        f"[capabilities.http] {turn.waits_for} says how many there may be (nothing was sent)",
    )


def _target(url: str) -> Target:
    """Where a URL leads. Raises CallFailed(BadRequest)."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise CallFailed("BadRequest", f"this is no URL: {error}") from None
    if scheme not in DEFAULT_PORTS:
        raise CallFailed(
            "UnsupportedProtocol", f"only http and https URLs can be asked for, not {scheme or 'a path'!r}"
        )
    if not host or len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise CallFailed(
            "BadRequest", "this is no URL that can be asked for: it has no host, is too long, or not ASCII"
        )
    path = parts.path or "/"
    return Target(scheme, host, port or DEFAULT_PORTS[scheme], f"{path}?{parts.query}" if parts.query else path)


def _count(aside: Aside, grant: Grant) -> None:
    if aside.spent.calls >= grant.calls:
        raise CallFailed(
            "TooManyCalls", f"a step may make {grant.calls:,} calls of http; [capabilities.http] calls says how many"
        )
    aside.spent.calls += 1


def _key(aside: Aside, key: str) -> str:
    if aside.shared_key is None:
        return key
    aside.shared_key.text = aside.shared_key.text or key
    return aside.shared_key.text


def _request(
    target: Target, method: str, filled: Filled, key: str | None, aside: Aside, seconds: float
) -> httpcore.Request:
    default = target.port == DEFAULT_PORTS[target.scheme]
    shown = f"[{target.host}]" if ":" in target.host else target.host
    headers = [(name, value) for name, value in filled.headers if name not in _WRITTEN]
    if key is not None and not any(name == IDEMPOTENCY_KEY for name, _ in headers):
        headers.append((IDEMPOTENCY_KEY, key))
    headers = [
        ("host", shown if default else f"{shown}:{target.port}"),
        *headers,
        ("accept-encoding", ACCEPT_ENCODING),
    ]
    if filled.body or method in ("POST", "PUT", "PATCH"):
        headers.append(("content-length", str(len(filled.body))))
    timeout = {name: min(seconds, value) for name, value in aside.timeout.items() if value is not None}
    return httpcore.Request(
        method.encode(),
        httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=filled.target.encode(),
        ),
        headers=[(_header(name), _header(value)) for name, value in headers],
        content=filled.body,
        extensions={"timeout": timeout},
    )


def _header(text: str) -> bytes:
    if any(character in text for character in "\r\n\0"):
        raise CallFailed("LocalProtocolError", "a header has a line feed in it, which would begin another one")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise CallFailed("LocalProtocolError", "a header has a character that no header can have") from None


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]


def _code_of(error: Exception) -> str:
    """The name of the exception; httpx calls its own by the same names."""
    return type(error).__name__ if isinstance(error, _OF_THE_NETWORK) else "NetworkError"


_OF_THE_NETWORK: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
)
