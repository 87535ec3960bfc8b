"""The interface `requests`: a component asks other actors as `ctx.request` does, and the answers come as messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudy.actors.errors import CallFailed, WitError
from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.post import Posted
from understudy.engines.wasm.shapes import Case
from understudy.engines.wasm.waiting import Waiting
from understudy.objects.errors import BadName, ObjectError
from understudy.objects.message import check_type
from understudy.objects.names import is_outside
from understudy.wit.requests import due_after

# A request is a message, a file and perhaps a timer, with its rows: twice what a timer is.
REQUEST_FUEL: Final = 195_000


def find(instance: str, name: str) -> Callable[..., Any] | None:
    """The function of the interface."""
    return _FUNCTIONS.get((instance, name))


def _request(host: Host, to: str, type: str, content: bytes | str, timeout: float | None) -> Case:
    waiting = _waiting(host)
    data = content.encode() if isinstance(content, str) else content
    size = len(to) + len(type) + len(data)
    host.charge(REQUEST_FUEL + size)
    try:
        party = _check(host, waiting, to, type, timeout)
    except (CallFailed, ObjectError, WitError) as error:
        return Case("err", str(error))
    host.take_message(size)
    host.sent.append(Posted(party, data, type))
    try:
        return Case("ok", waiting.open(host.about, waiting.place(host.sent), timeout))
    except ObjectError as error:
        # The id counts on the message, so there is no going back: /timers of the core is no tree, or full.
        raise Stopped("BadRequest", f"the core can't hold this request: {error}") from error


def _check(host: Host, waiting: Waiting, to: str, type: str, timeout: float | None) -> str:
    """Whom a request goes to. Raises CallFailed, ObjectError, WitError for one that can't be."""
    check_type(type)
    if timeout is not None:
        due_after(host.time, timeout)
    if is_outside(to):
        raise BadName(f"{to} is outside: it gets messages and answers none, so send instead of request")
    waiting.check()
    return waiting.party(to)


def _answered(host: Host) -> tuple[str, str, str, bool] | None:
    return host.answered


def _waiting(host: Host) -> Waiting:
    """Raises Stopped where nothing may be changed."""
    if not host.sending or host.waiting is None:
        raise Stopped("NotNow", "`request` was called by a contract or a query, which change nothing")
    return host.waiting


_FUNCTIONS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("ntwk:simple-actor/requests", "request"): _request,
    ("ntwk:simple-actor/requests", "answered"): _answered,
}
