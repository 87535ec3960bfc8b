"""The interface `http`: requests of a component, by the same capability as `ctx.http`, with the same record and the same grants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudy.actors.errors import CallFailed
from understudy.actors.exchange import HTTP, Aside, ExchangeRequest, has_meaning, read_reply, request_bytes
from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.network import Network
from understudy.engines.wasm.shapes import Case

_Fields = list[tuple[str, str]]


def find(instance: str, name: str) -> Callable[..., Any] | None:
    """The function of the interface."""
    return _FUNCTIONS.get((instance, name))


def _fetch(host: Host, request: tuple[str, str, _Fields, bytes]) -> Case:
    network = _network(host, "fetch")
    method, url, fields, body = request
    headers = [(name.lower(), value) for name, value in fields]
    host.charge(len(url) + len(body) + sum(len(name) + len(value) for name, value in headers))
    wanted = ExchangeRequest(
        method=method.upper(),
        url=url.partition("#")[0],
        headers=[header for header in headers if has_meaning(header[0])],
        body=body,
    )
    beside = [header for header in headers if not has_meaning(header[0])]
    aside = Aside(headers=beside, spent=network.spent, secrets=network.secrets)
    try:
        reply = read_reply(host.calls.call_and_wait(HTTP, request_bytes(wanted), beside=aside))
    except CallFailed as error:
        return Case("err", (str(error.code), str(error.text)))
    if len(reply.body) > host.limits.message:
        text = f"the response has {len(reply.body):,} bytes; this actor takes {host.limits.message:,}: raise `message` in /limits"
        return Case("err", ("TooLarge", text))
    host.charge(len(reply.body))
    return Case("ok", (reply.status, list(reply.headers), reply.body))


def _secret(host: Host, name: str) -> str:
    host.charge(len(name))
    try:
        return _network(host, "secret").marker(name)
    except ValueError as error:
        raise Stopped("BadSecret", str(error)) from error


def _network(host: Host, what: str) -> Network:
    """Raises Stopped where nothing may be reached."""
    if not host.sending or host.network is None:
        raise Stopped("NotNow", f"`{what}` was called by a contract or a query, which reach nothing")
    return host.network


_FUNCTIONS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("ntwk:simple-actor/http", "fetch"): _fetch,
    ("ntwk:simple-actor/http", "secret"): _secret,
}
