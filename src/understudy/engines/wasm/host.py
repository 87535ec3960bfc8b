"""What a running component reaches: its log, its messages to others, and the time and chance of its step. Nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from wasmtime import StoreContext

from understudy.actors.contract import StepInput
from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.limits import Limits
from understudy.objects.step import MAX_SENT

MAX_LOG: Final = 1024 * 1024  # bytes; what a step's log may hold


_NO_STORE: Final = StoreContext(None)  # type: ignore[arg-type]


class Log:
    """The lines of one step, within bounds; one byte too many is kept, so that the step shows that the log was cut."""

    __slots__ = ("_left", "lines")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._left = MAX_LOG

    def write(self, line: bytes) -> None:
        """Add a line."""
        if self._left >= 0:
            self.lines.append(line[: self._left + 1].decode("utf-8", "replace"))
            self._left -= len(line)


class Host:
    """The world of one message. `error` is what an import raised: it must not travel through wasmtime itself.

    `store` is where the component runs.
    """

    __slots__ = (
        "_chance",
        "_output_left",
        "_printed",
        "error",
        "given",
        "limits",
        "log",
        "number",
        "sending",
        "sent",
        "store",
    )

    def __init__(self, given: StepInput, limits: Limits, log: Log, *, number: int) -> None:
        self.given = given
        self.limits = limits
        self.log = log
        self.number = number
        self.sent: list[tuple[str, bytes]] = []
        self.sending = False
        self.error: BaseException | None = None
        self.store: StoreContext = _NO_STORE
        self._printed: dict[int, bytes] = {}
        self._chance: Iterator[int] | None = None
        self._output_left = limits.output

    def send(self, to: bytes, content: bytes) -> None:
        """Note a message to somebody. Raises Stopped."""
        if not self.sending:
            raise Stopped("NotNow", "`send` was called by a contract or a query, which change nothing")
        if len(self.sent) == MAX_SENT:
            raise Stopped("TooManySent", f"one step sends at most {MAX_SENT:,} messages")
        self.take_output(len(to) + len(content))
        self.sent.append((to.decode(), content))

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
        held = self._printed.get(stream, b"") + data
        *lines, rest = held.split(b"\n")
        for line in lines:
            self.log.write(line)
        # A line that never ends is cut where the log would be.
        self._printed[stream] = rest[: MAX_LOG + 1]

    def finish(self) -> None:
        """Log what was printed without an end of the line."""
        for rest in self._printed.values():
            if rest:
                self.log.write(rest)
        self._printed = {}

    @property
    def time_ns(self) -> int:
        """The step's time in nanoseconds since 1970."""
        return self.given.time * 1000

    def random(self, count: int) -> bytes:
        """The next random bytes, from the step's seed and the message's number in the step."""
        if self._chance is None:
            self._chance = _random_bytes(self.given.seed, self.number)
        return bytes(next(self._chance) for _ in range(count))


def _random_bytes(seed: int, number: int) -> Iterator[int]:
    counter = 0
    while True:
        yield from sha256(b"%d %d %d" % (seed, number, counter)).digest()
        counter += 1
