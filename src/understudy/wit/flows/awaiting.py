"""What a flow waits for: an ask with the future that its code awaits."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from typing import Any, Final, TypeVar

from msgspec import Struct

from understudy.wit.flows.loop import FlowFuture, FlowLoop

Value = TypeVar("Value")
_DIGEST: Final = 32  # hexadecimal digits: who changes a flow's code does not look for collisions


class Kind(Enum):
    """What an ask is for."""

    REQUEST = "request"
    WAIT = "wait"
    TIMER = "timer"
    CALL = "call"
    CHILD = "child"
    NOW = "now"  # what is answered at once: a message, another actor, the state


class Ask(Struct, frozen=True, kw_only=True, eq=False):
    """What the code asks for.

    `what` and `digest` are compared with the record when the flow is run again. `decode` makes a value of an answer's bytes.
    `work` is what is needed to carry the ask out the first time; no record holds it.
    """

    kind: Kind
    what: str
    digest: str = ""
    decode: Callable[[bytes], Any] = bytes
    work: Any = None


class Await(FlowFuture[Value]):
    """What a flow waits for: await it, hand it to `asyncio.wait` or `gather`, or cancel it."""

    def __init__(self, loop: FlowLoop, n: int, ask: Ask) -> None:
        super().__init__(loop)
        self.n = n
        self.ask = ask
        self.message: str | None = None  # the id of the message that was sent for it
        self.to: str | None = None
        self.due: int | None = None
        self.key: str | None = None  # where the core says that it waits
        self.go_off: Callable[[], None] | None = None  # of a timer

    def __hash__(self) -> int:
        return super().__hash__()


def digest_of(*parts: bytes) -> str:
    """What stands for some content in a record."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:_DIGEST]
