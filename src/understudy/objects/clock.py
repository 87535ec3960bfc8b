"""Messages from the clock: what a node sends for a timer that is due.

They come from the party `out/NODE/clock`. Their headers name the timer, so that the kernel can see whether it is still
there, and take one away that does not fire again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id
from understudy.objects.mailbox import QUEUE
from understudy.objects.message import Message
from understudy.objects.names import check_name, is_caller

CLOCK: Final = "clock"  # the caller as whom a node sends what is due; nobody else may be it

_NAME: Final = "timer"
_FILE: Final = "timer-file"
_DUE: Final = "timer-due"
_MISSED: Final = "timer-missed"
_LAST: Final = "timer-last"
_TRUE: Final = "true"
_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z")


class Ring(NamedTuple):
    """What a message from the clock says of its timer.

    - `name`: it stands at `/timers/NAME`
    - `file`: the id of what stood there when the message was made
    - `due`: the instant, in microseconds since 1970
    - `missed`: how many instants before it got no message of their own
    - `is_last`: the timer does not fire again
    """

    name: str
    file: Id
    due: int
    missed: int = 0
    is_last: bool = True


def ring_headers(ring: Ring) -> dict[str, str]:
    """The headers of a message from the clock."""
    headers = {_NAME: ring.name, _FILE: str(ring.file), _DUE: str(ring.due)}
    if ring.missed:
        headers[_MISSED] = str(ring.missed)
    if ring.is_last:
        headers[_LAST] = _TRUE
    return headers


def ring_of(message: Message) -> Ring | None:
    """What a message says of its timer; None for one that is not from the clock."""
    headers = message.headers
    if not headers or _NAME not in headers or message.lane != QUEUE or not is_clock(message.sender):
        return None
    if not (_FILE in headers and _DUE in headers) or headers.get(_LAST, _TRUE) != _TRUE:
        return None
    return _ring(headers[_NAME], headers[_FILE], headers[_DUE], headers.get(_MISSED, "0"), _LAST in headers)


# A step asks several times for the ring of its message. As many are kept as may be under way (node/running/timers.py).
@lru_cache(maxsize=1024)
def _ring(name: str, file: str, due: str, missed: str, is_last: bool) -> Ring | None:
    if not (_NUMBER.match(due) and _NUMBER.match(missed)):
        return None
    try:
        return Ring(check_name(name), ids.parse(file), int(due), int(missed), is_last)
    except ObjectError:
        return None


def is_clock(party: str) -> bool:
    """True for `out/NODE/clock`: the clock of a node."""
    return is_caller(party, CLOCK)


def clock_of(node: str) -> str:
    """The clock of a node, as messages name it."""
    return f"out/{node}/{CLOCK}"
