"""What a verification, its judges and their performers say to each other: messages of msgpack, each after its length."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from understudy.actors.contract import StepResult
from understudy.kernel.verdict import Problem
from understudy.objects import ids
from understudy.objects.journal import CallError
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message

_CHUNK: Final = 256 * 1024
_LENGTH: Final = 4  # bytes of a message's length

Heard = TypeVar("Heard")


class Setup(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge, first: what it needs to know for all spans.

    `modules` register wits when they are imported; `components` is the folder with compiled components. A step that
    replays longer than `step_seconds` is given up.
    """

    modules: Sequence[str]
    components: str
    integrity_only: bool
    deep: bool = False
    step_seconds: float = 60.0


class Span(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge: judge the steps of an actor from the height `low` up to `top`, a step at the height `high`.

    `genesis` is said to be the first step, and `head` the last one of the history. `whole` means that the store claims to
    hold all of the history. `skip` are heights whose replay took a judge down before; with `each`, the judge says which
    step comes before it replays it. With `again`, nothing is replayed, and each message is looked up in the history of its
    sender by itself.
    """

    actor: bytes
    top: bytes
    high: int
    low: int
    genesis: bytes
    head: bytes
    whole: bool
    skip: Sequence[int] = ()
    each: bool = False
    again: bool = False


class Blocks(Struct, tag=True, frozen=True):
    """To a judge: blocks in the order asked for, None for one that is absent; `damaged` says why by their number."""

    data: Sequence[bytes | None]
    damaged: dict[int, str] = {}


class Value(Struct, tag=True, frozen=True):
    """To a judge: a ref's or a row's value."""

    value: bytes | None


class Values(Struct, tag=True, frozen=True):
    """To a judge: the values of rows in order."""

    values: Sequence[bytes]


class GetBlocks(Struct, tag=True, frozen=True):
    """From a judge: send these blocks."""

    ids: Sequence[bytes]


class GetRef(Struct, tag=True, frozen=True):
    """From a judge: what does this ref hold?"""

    ref: bytes


class GetSteps(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: which steps does the index of this actor name at the heights `low` to `high`?"""

    actor: bytes
    low: int
    high: int


class GetBefore(Struct, tag=True, frozen=True):
    """From a judge: which steps of other actors does the node's feed name before this step?"""

    step: bytes


class At(Struct, tag=True, frozen=True):
    """From a judge: it lives, and has gone through so many more steps. `height` is that of a step that it is at."""

    height: int
    steps: int = 0


class Preparing(Struct, tag=True, frozen=True):
    """From a judge: it is making code ready to run, which is no part of a step. A text, if any, is for people."""

    text: str


class Done(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: a span is judged. `lowest` is its lowest step, `below` the parent of that; None if not reached.

    `sound` says that nothing is wrong with any of its steps, as far as no replay is needed to see that.
    """

    lowest: bytes | None
    below: bytes | None
    replayed: int
    problem: Problem | None
    sound: bool = False


class Broken(Struct, tag=True, frozen=True):
    """From a judge: it failed itself."""

    text: str


class Run(Struct, frozen=True, kw_only=True):
    """Run the code that an entry of a core names, in one of the `WAYS`; `journal` is the block of the recorded answers.

    `keeps_room` says that the step records how deep its code could call, and `room` how many frames deeper it may go.
    `spot` are names, as `json.dumps`: who changes one is told with the line.
    `after` is the core that the record says came out. It has no part in the run, only in how runs follow each other.
    The judge has read the step before and the messages already, so they come as they are, and are not decoded and
    checked again.
    """

    entry: str
    way: str
    actor: bytes
    parent: bytes | None
    height: int
    time: int
    seed: int
    core: bytes
    inbox: Mapping[str, Cursor] | bytes
    outbox: Mapping[str, Cursor] | bytes
    consumed: Sequence[tuple[bytes, Message]]
    journal: bytes | None
    exhausted: str | None
    timers_first: int
    abi: str | None
    room: int = 0
    keeps_room: bool = False
    spot: Sequence[str] = ()
    after: bytes | None = None


class Runs(Struct, tag=True, frozen=True):
    """To a performer: do these, one after the other; `ahead` are blocks that it will need."""

    runs: Sequence[Run]
    ahead: dict[bytes, bytes]


class LoadQuery(Struct, tag=True, frozen=True):
    """To a performer: get ready to answer a core's queries."""

    core: bytes


class RunQuery(Struct, tag=True, frozen=True, kw_only=True):
    """To a performer: answer a query at a step, asking nobody."""

    step: bytes
    name: str
    context: bytes
    media_type: str


class GetStaged(Struct, tag=True, frozen=True):
    """To a performer: send the blocks that the code staged."""


class LoadedQuery(Struct, tag=True, frozen=True):
    """From a performer: the queries can be asked; `external` says that their code is not in the core."""

    external: bool


class Answered(Struct, tag=True, frozen=True, kw_only=True):
    """From a performer: a query's answer, or its own error. `asked` says that it tried to ask others, `tried` as in Ran."""

    reply: bytes | None
    error: CallError | None
    asked: bool
    tried: Sequence[str] = ()


class Refused(Struct, tag=True, frozen=True):
    """From a performer: why it can't be loaded, or why a query has no answer; the rest as in `Answered`."""

    code: str
    text: str
    asked: bool = False
    tried: Sequence[str] = ()


class Noted(Struct, frozen=True):
    """A line of the code with what it calls, and the cause that this stands for; `sure` if it was seen to happen itself."""

    text: str
    cause: str
    sure: bool = True


class Ran(Struct, tag=True, frozen=True, kw_only=True):
    """From a performer: what came out; `journal` is the block of the answers that were taken, `noted` a witness's words.

    `asked` and `stuck` are `problem` and `stuck` of its `ReplayCalls`.
    `raced`: timers of the code could have gone off before answers that it got. `tried`: what it tried of the world.
    `threads`: where it started threads, `outlive`: those that went on after it. `peeked`: what it tried to read of the
    world while it was imported.
    """

    result: StepResult
    journal: bytes | None
    asked: tuple[str, str | None, str] | None
    stuck: bool
    requests: dict[str, bytes]
    noted: Sequence[Noted]
    raced: bool
    tried: Sequence[str] = ()
    threads: Sequence[str] = ()
    outlive: Sequence[str] = ()
    peeked: Sequence[str] = ()


class Rans(Struct, tag=True, frozen=True):
    """From a performer: what came out of the next runs, in their order."""

    found: Sequence[Ran | Refused | Unreadable]


class Staged(Struct, tag=True, frozen=True):
    """From a performer: the blocks by their ids."""

    blocks: dict[bytes, bytes]


class Unreadable(Struct, tag=True, frozen=True):
    """From a performer: the code needs an object that is not there, or can't be read."""

    id: bytes
    text: str
    missing: bool


FRESH: Final = "fresh"
WATCHED: Final = "watched"
KEPT: Final = "kept"
MINGLED: Final = "mingled"
WAYS: Final = (FRESH, WATCHED, KEPT, MINGLED)
MAX_SAID: Final = 400  # characters of an error in a verdict
MAX_MESSAGE: Final = 512 * 1024 * 1024  # bytes: what one step can hold several times over, and a machine has

ToJudge = Setup | Span | Blocks | Value | Values
Question = GetBlocks | GetRef | GetSteps | GetBefore
FromJudge = Question | At | Preparing | Done | Broken
ToPerformer = Setup | Runs | LoadQuery | RunQuery | GetStaged | Blocks
FromPerformer = GetBlocks | Rans | LoadedQuery | Answered | Refused | Staged | Unreadable | Broken


class HungUp(Exception):
    """The other side is gone."""


class Silent(Exception):
    """The other side says nothing for too long."""


class Beside(Protocol):
    """Who else is heard while a side waits for its pipe: at `fd`, whenever there is something to read."""

    @property
    def fd(self) -> int:
        """The file descriptor."""

    def answer(self) -> None:
        """There is something to read."""


class Pipe(Generic[Heard]):
    """One side's pair of file descriptors; `heard` is the type of what comes."""

    def __init__(self, read_fd: int, write_fd: int, heard: Any) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()
        self._decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(heard, dec_hook=_id)

    def send(self, message: Struct) -> None:
        """Send a message. Raises HungUp."""
        data = _encoder.encode(message)
        left = memoryview(len(data).to_bytes(_LENGTH, "big") + data)
        try:
            while left:
                left = left[os.write(self._write_fd, left) :]
        except OSError as error:
            raise HungUp from error

    def receive(self, seconds: float | None = None, *, beside: Beside | None = None) -> Heard:
        """The next message. Raises HungUp, Silent if it is not there after so many seconds, DecodeError."""
        until = None if seconds is None else time.monotonic() + seconds
        size = int.from_bytes(self._take(_LENGTH, until, beside), "big")
        if size > MAX_MESSAGE:
            raise msgspec.DecodeError(f"a message of {size:,} bytes")
        return self._decoder.decode(self._take(size, until, beside))

    def hand_over(self, fd: int | None) -> None:
        """Give the other side a file of ours before the first message, or say that there is none. Raises HungUp."""
        with socket.socket(fileno=os.dup(self._write_fd)) as end:
            try:
                socket.send_fds(end, [b"+"], [fd]) if fd is not None else end.sendall(b"-")
            except OSError as error:
                raise HungUp from error

    def take_over(self, seconds: float) -> int | None:
        """What the other side hands over before its first message. Raises HungUp, Silent."""
        self._wait(time.monotonic() + seconds, None)
        with socket.socket(fileno=os.dup(self._read_fd)) as end:
            try:
                said, fds, _, _ = socket.recv_fds(end, 1, 1)
            except OSError as error:
                raise HungUp from error
        if not said:
            raise HungUp
        return fds[0] if fds else None

    def other_side(self) -> int:
        """The id of the process that made this pipe."""
        with socket.socket(fileno=os.dup(self._read_fd)) as end:
            size = struct.calcsize("=iII")
            found: int = struct.unpack("=iII", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
            return found

    def close(self) -> None:
        """Hang up."""
        for fd in {self._read_fd, self._write_fd}:
            os.close(fd)

    def _wait(self, until: float | None, beside: Beside | None) -> None:
        """Wait for something to read. Raises Silent."""
        poll = select.poll()
        poll.register(self._read_fd, select.POLLIN)
        if beside is not None:
            poll.register(beside.fd, select.POLLIN)
        while True:
            ready = dict(poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000))
            if not ready:
                raise Silent
            heard = 0 if beside is None else ready.get(beside.fd, 0)
            if beside is not None and heard & select.POLLIN:
                beside.answer()
            elif beside is not None and heard:
                poll.unregister(beside.fd)
            if self._read_fd in ready:
                return

    def _take(self, size: int, until: float | None, beside: Beside | None) -> bytes:
        while len(self._buffer) < size:
            if until is not None or beside is not None:
                self._wait(until, beside)
            try:
                piece = os.read(self._read_fd, _CHUNK)
            except OSError as error:
                raise HungUp from error
            if not piece:
                raise HungUp
            self._buffer += piece
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def said_by(error: Exception) -> str:
    """An error of ours in a line, for a verdict: a traceback is none of its reader's business."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:MAX_SAID]


def _id(kind: type, value: Any) -> Any:
    return ids.from_bytes(value)


# Ids are a subclass of bytes, which msgpack does not know.
_encoder = msgspec.msgpack.Encoder(enc_hook=bytes)
