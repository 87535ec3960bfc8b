"""The call `effect`: a plain function that the host runs, and whose result stands in the journal.

The law: what a result is, its bytes say. The author gets what they say, at once as in a replay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from understudy.objects.errors import WrongKind

EFFECT: Final = "effect"  # the capability
_JSON: Final = b"json"
_BYTES: Final = b"bytes"


class Work(Struct, frozen=True):
    """What goes along with the request, which only names the function: the function itself, with its arguments.

    `name` is what the request calls it. `encode` gives the JSON of a result. Raises TypeError and ValueError for one that JSON can't hold.
    """

    name: str
    run: Callable[[], Any] | Callable[[], Awaitable[Any]]
    is_async: bool
    encode: Callable[[Any], bytes]


def result_bytes(work: Work, result: Any) -> bytes:
    """The reply for a result: bytes as they are, all else as JSON."""
    if isinstance(result, bytes | bytearray | memoryview):
        return _BYTES + b"\n" + bytes(result)
    return _JSON + b"\n" + work.encode(result)


def read_result(reply: bytes) -> tuple[bool, bytes]:
    """True if a reply holds JSON, and what it holds. Raises WrongKind."""
    kind, _, data = reply.partition(b"\n")
    if kind not in (_JSON, _BYTES):
        raise WrongKind("not the result of an effect")
    return kind == _JSON, data
