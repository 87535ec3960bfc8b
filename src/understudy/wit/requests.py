"""Requests: what an actor asked other actors, and who is to hear the answer.

A request that waits is a file of the core, `/requests/ID`, with the id of its message. So it outlives restarts and
updates, and a fork, a diff and a replay know of it.

The law: a request is answered once, by the actor that it went to.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from understudy.actors.contract import Delivery, StepInput
from understudy.actors.errors import WitError
from understudy.objects.message import ERROR, Message
from understudy.objects.names import is_outside
from understudy.wit.core import Core
from understudy.wit.outbox import Sent

FOLDER: Final = "requests"
REPLY: Final = "reply"
# Of one actor, waiting at once. Each is a small file; who has more outstanding than that has lost count of them.
MAX_REQUESTS: Final = 100_000


class Origin(Struct, frozen=True, kw_only=True):
    """The message that was handled when the request was made; `ctx.reply(…, to=request.origin)` answers it."""

    id: str
    sender: str
    type: str


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request that waits for its answer, as it stands in `/requests/ID`.

    `to` is the actor that was asked, `type` the type of the message, `since` the time of the step, in microseconds since
    1970. `on_answer` and `on_error` are names of handlers, `flow` is the flow that awaits the answer, `about` what the author
    wanted to find again, as plain JSON.
    """

    to: str
    type: str
    since: int
    on_answer: str | None = None
    on_error: str | None = None
    flow: str | None = None
    about: Any = None
    origin: Origin | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """Why a request got no answer: the content of a message of type `error`.

    `kind` and `code` are those of the outcome, `text` explains it, `message` is the id of the request, `type` its type.
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
) -> None:
    """Note in the core that a message that was sent waits for its answer. `asked` is the message that is being handled.

    Raises ValueError for a party outside, WitError("TooManyRequests").
    """
    if is_outside(sent.to):
        raise ValueError(f"{sent.to} is outside: it gets messages and answers none, so send instead of request")
    _check_count(given)
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
    )
    core.set_json(f"{FOLDER}/{sent.id}", request)


def find_request(core: Core, message: Message, *, is_ours: bool = True) -> Request | None:
    """The request that a message answers, if it waits and was made to the sender.

    Raises WitError("BadRequest") for a file that is no record of one, unless it may be the author's own (`is_ours`).
    """
    if message.re is None:
        return None
    data = core.get(f"{FOLDER}/{message.re}")
    if data is None:
        return None
    try:
        request = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if not is_ours:
            return None
        raise WitError("BadRequest", f"/{FOLDER}/{message.re} is no record of a request: {error}") from error
    # Anybody may name the id of a message that went to somebody else.
    return request if request.to == message.sender else None


def close_request(core: Core, id: str) -> None:
    """Its answer is there, or nobody waits for it any more."""
    del core[f"{FOLDER}/{id}"]


def is_failure(message: Message) -> bool:
    """True for an answer that says why there is none."""
    return message.type == ERROR


def _check_count(given: StepInput) -> None:
    # Those of the step itself are not counted: it sends 10,000 messages at most.
    waiting = given.store.find(given.core, FOLDER)
    if waiting is not None and len(given.store.tree(waiting)) >= MAX_REQUESTS:
        text = f"{MAX_REQUESTS:,} requests of this actor wait for their answers already: no more may"
        raise WitError("TooManyRequests", text)
