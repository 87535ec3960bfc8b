"""The lines of a flow's record: what it asked for, and what it was answered, in the order in which that happened.

The law: the lines and the beginning of a flow are all that its code is run again with, so they hold everything that it saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError


class Asked(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="ask", tag_field="is"
):
    """The flow asked for something: `what` in words, `digest` of the content that went along, `at` the line of its code.

    `n` counts a flow's asks from 0. `message` is the id of the message that was sent for it, and `to` the actor that it went
    to; `due` is when a timer goes off, in microseconds since 1970; `key` is the file that says that it waits for a message.
    """

    n: int
    what: str
    digest: str = ""
    at: str = ""
    message: str | None = None
    to: str | None = None
    due: int | None = None
    key: str | None = None


class Answered(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="answer", tag_field="is"
):
    """The answer to an ask, and the time of the step that it came in: a text, a file of `answers/`, or an error.

    With `now` it was there at once, before the flow's code went on.
    """

    n: int
    time: int
    now: bool = False
    text: str | None = None
    file: bool = False
    error: tuple[str, str] | None = None


class Dropped(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="drop", tag_field="is"
):
    """The flow waits for this answer no more: it was cancelled, or its time was over."""

    n: int


class Cancelled(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="cancel", tag_field="is"
):
    """Somebody cancelled the flow. With `told`, who began it hears why."""

    time: int
    why: str = ""
    told: bool = False


Line = Asked | Answered | Dropped | Cancelled
Event = Answered | Cancelled


def open_asks(lines: Iterable[Line]) -> list[Asked]:
    """What a flow with these lines waits for."""
    found: dict[int, Asked] = {}
    for line in lines:
        if isinstance(line, Asked):
            found[line.n] = line
        elif isinstance(line, Answered | Dropped):
            found.pop(line.n, None)
    return list(found.values())


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Line).decode


def line_bytes(line: Line) -> bytes:
    """A line as JSON, with its end."""
    return _encode(line) + b"\n"


def read_lines(data: bytes) -> list[Line]:
    """The lines of a page. Raises WitError("BadFlow")."""
    try:
        return [_decode(line) for line in data.splitlines()]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WitError("BadFlow", f"the record of a flow holds a line that is none: {error}") from error
