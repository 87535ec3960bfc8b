"""What a running component can reach: its log, its messages to others, the time and the random numbers of its step. Nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from wasmtime import StoreContext

from understudy.actors.calls import Calls
from understudy.actors.contract import Delivery
from understudy.engines.wasm.failure import OUT_OF_FUEL, Stopped
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.network import Network
from understudy.engines.wasm.post import REPLY, Posted
from understudy.engines.wasm.waiting import Waiting
from understudy.objects.step import MAX_SENT
from understudy.store.reader import Reader
from understudy.wit.core import Core

CALL_FUEL: Final = 5000  # wasmtime charges one unit for the call of an import, which takes some microseconds
MAX_LOG: Final = 1024 * 1024  # bytes; what a step's log may hold


_LINE: Final = 2  # bytes of a line beside its text
_NO_STORE: Final = StoreContext(None)  # type: ignore[arg-type]


class Log:
    """The lines of one step, within bounds; one byte too many is kept, so that the step shows that the log was cut."""

    __slots__ = ("_left", "lines")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._left = MAX_LOG

    @property
    def room(self) -> int:
        """How many bytes of the next line are kept; 0 if the log is full."""
        return max(0, self._left + 1)

    def write(self, line: bytes, size: int | None = None) -> None:
        """Add a line; `size` is what it has where only its first `room` bytes are given."""
        if self._left >= 0:
            self.lines.append(line[: self.room].decode("utf-8", "replace"))
            self._left -= (len(line) if size is None else size) + _LINE


class Host:
    """The world of one message, or of one query.

    `time` (in microseconds) and `seed` are the step's, `number` says which of its messages it is. `error` is what an import
    raised: it must not travel through wasmtime itself. `store` is where the component runs, `objects` what it may read.
    `fuel` is what it gets, where that is not what the limits say. `about` is the message that is handled, if there is one.
    `network` is what requests to the network have in common, None where they are not allowed. `core` is the core of the
    step, which may be changed; None where it may not.
    `waiting` are the requests of the step, None where there are none; `answered` says which request the message answers: its id,
    who was asked, its type, and whether it failed.
    """

    __slots__ = (
        "_calls_fuel",
        "_chance",
        "_output_left",
        "_printed",
        "about",
        "answered",
        "bytes_sent",
        "calls",
        "core",
        "error",
        "fuel",
        "limits",
        "log",
        "network",
        "number",
        "objects",
        "seed",
        "sending",
        "sent",
        "store",
        "time",
        "waiting",
    )

    def __init__(
        self,
        limits: Limits,
        log: Log,
        *,
        time: int,
        seed: int,
        number: int,
        objects: Reader,
        calls: Calls,
        fuel: int | None = None,
        about: Delivery | None = None,
        network: Network | None = None,
        core: Core | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self.limits = limits
        self.objects = objects
        self.calls = calls
        self.time = time
        self.seed = seed
        self.log = log
        self.number = number
        self.sent: list[Posted] = []
        self.about = about
        self.network = network
        self.core = core
        self.waiting = waiting
        self.answered: tuple[str, str, str, bool] | None = None
        self.bytes_sent = 0
        self.sending = False
        self.error: BaseException | None = None
        self.store: StoreContext = _NO_STORE
        self._printed: dict[int, bytearray] = {}
        self._chance: Iterator[int] | None = None
        self._output_left = limits.output
        self._calls_fuel = limits.fuel if fuel is None else fuel
        self.fuel = self._calls_fuel

    def charge(self, size: int = 0) -> None:
        """Charge fuel for a call of an import, and for its bytes. Raises Stopped."""
        self._calls_fuel -= CALL_FUEL + size
        if self._calls_fuel < 0:
            raise Stopped(OUT_OF_FUEL, "the calls of imports used as much fuel as the code may")

    def take_message(self, size: int) -> None:
        """Count a message to somebody, its address included, before it is copied. Raises Stopped."""
        if not self.sending:
            raise Stopped("NotNow", "`send` or `reply` was called by a contract or a query, which change nothing")
        if len(self.sent) == MAX_SENT:
            raise Stopped("TooManySent", f"one step sends at most {MAX_SENT:,} messages")
        self.take_output(size)
        self.bytes_sent += size

    def reply(self, content: bytes) -> None:
        """Answer the message that is handled. Raises Stopped."""
        if self.about is None:
            raise Stopped("NotNow", "`reply` was called where there is no message to answer")
        id, message, _ = self.about
        self.sent.append(Posted(message.sender, content, REPLY, str(id)))

    def take_output(self, size: int) -> None:
        """Count what leaves the component. Raises Stopped."""
        self._output_left -= size
        if self._output_left < 0:
            most = self.limits.output
            raise Stopped(
                "OutputTooLarge", f"the new state and all that is sent have more than {most:,} bytes: raise /limits"
            )

    def print(self, stream: int, data: bytes) -> None:
        """Log what is written to a stream, a line at a time."""
        if not self.log.room:
            # Nothing of it would be kept, and a million empty lines take their time.
            return
        held = self._printed.setdefault(stream, bytearray())
        first, *others = data.split(b"\n")
        held += first
        for line in others:
            self.log.write(bytes(held))
            held[:] = line
        # A line that never ends is cut where the log would be.
        del held[MAX_LOG + 1 :]

    def finish(self) -> None:
        """Log what was printed without an end of the line."""
        for rest in self._printed.values():
            if rest:
                self.log.write(bytes(rest))
        self._printed = {}

    @property
    def time_ns(self) -> int:
        """The step's time in nanoseconds since 1970."""
        return self.time * 1000

    def random(self, count: int) -> bytes:
        """The next random bytes, from the step's seed and the message's number in the step."""
        if self._chance is None:
            self._chance = _random_bytes(self.seed, self.number)
        return bytes(next(self._chance) for _ in range(count))


def _random_bytes(seed: int, number: int) -> Iterator[int]:
    counter = 0
    while True:
        yield from sha256(b"%d %d %d" % (seed, number, counter)).digest()
        counter += 1
