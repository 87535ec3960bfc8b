"""The interface `timers`: a component sets and takes back timers as `ctx.after`, `ctx.at`, `ctx.every` and `ctx.cron` do.

They stand in the core of the step, by the same rules. A wrong one is an answer to the component, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.shapes import OK, Case
from understudy.objects.clock import ring_of
from understudy.objects.duration import duration_us
from understudy.objects.errors import ObjectError
from understudy.objects.timer import (
    Timer,
    check_cron,
    check_instant,
    check_zone,
    instant_us,
    local_time,
    period_us,
)
from understudy.wit.core import Core
from understudy.wit.timers import drop_timer, put_timer

# A timer takes some 40 microseconds until it is in the tree, and the node keeps two rows for it: this much fuel takes some 80.
# With the default fuel a message sets 10,000, as many as it may send messages.
TIMER_FUEL: Final = 95_000


def find(instance: str, name: str) -> Callable[..., Any] | None:
    """The function of the interface."""
    return _FUNCTIONS.get((instance, name))


def _after(host: Host, name: str, seconds: float, type: str, content: bytes | str) -> Case:
    def when() -> dict[str, Any]:
        delay = duration_us(seconds, what="the delay")
        return {"at": check_instant(host.time + delay, what="the time after the delay")}

    return _set(host, (name, type), content, when)


def _at(host: Host, name: str, time: str, zone: str | None, type: str, content: bytes | str) -> Case:
    def when() -> dict[str, Any]:
        if zone is None:
            return {"at": instant_us(time, what="the time")}
        return {"local": local_time(time), "zone": check_zone(zone)}

    return _set(host, (name, type, time, zone or ""), content, when)


def _every(host: Host, name: str, seconds: float, start: str | None, type: str, content: bytes | str) -> Case:
    def when() -> dict[str, Any]:
        begin = host.time if start is None else instant_us(start, what="the start")
        return {"every": period_us(seconds), "start": begin}

    return _set(host, (name, type, start or ""), content, when)


def _cron(host: Host, name: str, line: str, zone: str, type: str, content: bytes | str) -> Case:
    return _set(host, (name, type, line, zone), content, lambda: {"cron": check_cron(line), "zone": check_zone(zone)})


def _set(host: Host, texts: Sequence[str], content: bytes | str, when: Callable[[], Mapping[str, Any]]) -> Case:
    """Set a timer; `texts` are its name, the type of its message, and what else is to be charged for."""
    core = _core(host)
    name, type, *_ = texts
    data = content.encode() if isinstance(content, str) else content
    size = len(data) + sum(map(len, texts))
    host.charge(TIMER_FUEL + size)
    host.take_output(size)
    try:
        put_timer(core, name, Timer(type=type, content=data, **when()))
    except ObjectError as error:
        return Case("err", str(error))
    return OK


def _cancel(host: Host, name: str) -> Case:
    core = _core(host)
    host.charge(TIMER_FUEL + len(name))
    try:
        return Case("ok", drop_timer(core, name))
    except ObjectError as error:
        return Case("err", str(error))


def _ringing(host: Host) -> tuple[str, int, int] | None:
    ring = None if host.about is None else ring_of(host.about.message)
    return None if ring is None else (ring.name, ring.due, ring.missed)


def _core(host: Host) -> Core:
    """The core of the step. Raises Stopped where nothing may be changed."""
    if not host.sending or host.core is None:
        raise Stopped("NotNow", "a timer was set or taken back by a contract or a query, which change nothing")
    return host.core


_FUNCTIONS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("ntwk:simple-actor/timers", "after"): _after,
    ("ntwk:simple-actor/timers", "at"): _at,
    ("ntwk:simple-actor/timers", "every"): _every,
    ("ntwk:simple-actor/timers", "cron"): _cron,
    ("ntwk:simple-actor/timers", "cancel"): _cancel,
    ("ntwk:simple-actor/timers", "ringing"): _ringing,
}
