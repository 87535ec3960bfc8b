"""Requests: what an actor asked other actors, and which handler gets the answer.

A request that waits is a file of the core, `/requests/ID`, with the id of its message. So it outlives restarts and updates,
and is part of each fork, diff and replay.

The law: a request is answered once, by the actor that it went to, or by the node that says that there is none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery, StepInput
from understudy.actors.errors import WitError
from understudy.objects.clock import ring_of
from understudy.objects.duration import duration_us
from understudy.objects.message import ERROR, Message
from understudy.objects.names import is_outside
from understudy.objects.postmaster import is_postmaster
from understudy.objects.timer import Timer, check_instant
from understudy.wit.core import Core
from understudy.wit.outbox import Sent
from understudy.wit.timers import drop_timer, put_timer

FOLDER: Final = "requests"
Duration = float | str | timedelta
_TIMER: Final = "request-"  # the timers of requests, before their ids
REPLY: Final = "reply"
# Of one actor, waiting at once. Each is a small file; an actor with more of them has probably a fault.
MAX_REQUESTS: Final = 100_000


class Origin(Struct, frozen=True, kw_only=True):
    """The message that was handled when the request was made; `ctx.reply(…, to=request.origin)` answers it."""

    id: str
    sender: str
    type: str


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request that waits for its answer, as it stands in `/requests/ID`.

    `to` is the actor that was asked, `type` the type of the message, `since` the time of the step, in microseconds since
    1970. `on_answer` and `on_error` are names of handlers, `flow` is the flow that awaits the answer, `about` what the
    author gave to get back, as plain JSON. `due` is when it is given up, in microseconds since 1970.
    """

    to: str
    type: str
    since: int
    on_answer: str | None = None
    on_error: str | None = None
    flow: str | None = None
    about: Any = None
    origin: Origin | None = None
    due: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """Why a request got no answer: the content of a message of type `error`.

    `kind` and `code` are those of the outcome, or "timeout" and "Timeout" if nothing came in time, or "unsent" and
    "NoSuchActor" if no actor lives where it went to;
    `text` explains it, `message` is the id of the request, `type` its type.
    """

    code: str
    kind: str
    message: str
    text: str
    type: str


_decode: Final = msgspec.json.Decoder(Request).decode


def open_request(
    core: Core,
    given: StepInput,
    asked: Delivery | None,
    sent: Sent,
    on_answer: str | None = None,
    on_error: str | None = None,
    *,
    flow: str | None = None,
    about: Any = None,
    timeout: Duration | None = None,
) -> None:
    """Note in the core that a message that was sent waits for its answer. `asked` is the message that is being handled.

    Raises ValueError for a party outside, WitError("TooManyRequests"), BadTimer.
    """
    if is_outside(sent.to):
        raise ValueError(f"{sent.to} is outside: it gets messages and answers none, so send instead of request")
    check_count(given)
    origin = None if asked is None else Origin(id=str(asked.id), sender=asked.message.sender, type=asked.message.type)
    request = Request(
        to=sent.to,
        type=sent.type,
        since=given.time,
        on_answer=on_answer,
        on_error=on_error,
        flow=flow,
        about=about,
        origin=origin,
        due=None if timeout is None else due_after(given.time, timeout),
    )
    if request.due is not None:
        put_timer(core, _timer_of(str(sent.id)), _time_out(str(sent.id), request))
    core.set_json(f"{FOLDER}/{sent.id}", request)


def due_after(time: int, timeout: Duration) -> int:
    """When something is given up that begins at a time, in microseconds since 1970. Raises BadTimer."""
    return check_instant(time + duration_us(timeout, what="the timeout"), what="the time after the timeout")


def check_count(given: StepInput) -> None:
    """Raise WitError("TooManyRequests") if so many wait that no more may, WrongKind if /requests is no tree."""
    # Those of the step itself are not counted: it sends 10,000 messages at most.
    waiting = given.store.find(given.core, FOLDER)
    if waiting is not None and len(given.store.tree(waiting)) >= MAX_REQUESTS:
        text = f"{MAX_REQUESTS:,} requests of this actor wait for their answers already: no more may"
        raise WitError("TooManyRequests", text)


def answered_by(message: Message) -> str | None:
    """The id of the request that a message may answer, or that it says is given up, as text."""
    ring = ring_of(message) if message.headers else None
    if ring is not None and ring.name.startswith(_TIMER):
        return ring.name.removeprefix(_TIMER)
    return message.re


def find_request(core: Core, message: Message, *, is_ours: bool = True) -> Request | None:
    """The request that a message answers, if it waits and was made to the sender, or that its time is over.

    Raises WitError("BadRequest") for a file that is no record of one, unless it may be the author's own (`is_ours`).
    """
    id = answered_by(message)
    data = None if id is None else core.get(f"{FOLDER}/{id}")
    if data is None:
        return None
    try:
        request = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if not is_ours:
            return None
        raise WitError("BadRequest", f"/{FOLDER}/{id} is no record of a request: {error}") from error
    # Anybody may name the id of a message that went to somebody else.
    is_told = message.re is None or request.to == message.sender or is_postmaster(message.sender)
    return request if is_told else None


def close_request(core: Core, id: str) -> None:
    """Remove a request: its answer has come, or it is given up."""
    del core[f"{FOLDER}/{id}"]
    drop_timer(core, _timer_of(id))


def is_failure(message: Message) -> bool:
    """True for an answer that says why there is none."""
    return message.type == ERROR


def _timer_of(id: str) -> str:
    return f"{_TIMER}{id}"


def _time_out(id: str, request: Request) -> Timer:
    """The message that comes if no answer does; it is like that of an actor that failed."""
    text = f"no answer came from {request.to} in time"
    failure = Failure(code="Timeout", kind="timeout", message=id, text=text, type=request.type)
    return Timer(type=ERROR, content=msgspec.json.encode(failure), at=request.due)
