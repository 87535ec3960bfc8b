"""What a verification and its judges say to each other: messages of msgpack, each after its length in four bytes."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from understudy.kernel.verify import Problem

_CHUNK: Final = 256 * 1024


class Setup(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge, first: what it needs to know for all spans.

    `modules` register wits when they are imported; `components` is the folder with compiled components.
    """

    modules: Sequence[str]
    components: str
    integrity_only: bool
    deep: bool = False


class Span(Struct, tag=True, frozen=True, kw_only=True):
    """To a judge: judge the steps of an actor from the height `low` up to `top`, a step at the height `high`.

    `genesis` is said to be the first step. `whole` means that the store claims to hold all of the history.
    """

    actor: bytes
    top: bytes
    high: int
    low: int
    genesis: bytes
    whole: bool


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


class GetHead(Struct, tag=True, frozen=True):
    """From a judge: what is the head of this actor?"""

    actor: bytes


class GetSteps(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: which steps does the index of this actor name at the heights `low` to `high`?"""

    actor: bytes
    low: int
    high: int


class At(Struct, tag=True, frozen=True):
    """From a judge: the step at this height comes next."""

    height: int


class Done(Struct, tag=True, frozen=True, kw_only=True):
    """From a judge: a span is judged. `lowest` is its lowest step, `below` the parent of that; None if not reached."""

    lowest: bytes | None
    below: bytes | None
    replayed: int
    problem: Problem | None


class Broken(Struct, tag=True, frozen=True):
    """From a judge: it failed itself."""

    text: str


ToJudge = Setup | Span | Blocks | Value | Values
Question = GetBlocks | GetHead | GetSteps
FromJudge = Question | At | Done | Broken


class HungUp(Exception):
    """The other side is gone."""


class Silent(Exception):
    """The other side says nothing for too long."""


class Pipe:
    """One side's pair of file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._buffer = bytearray()

    def send(self, message: ToJudge | FromJudge) -> None:
        """Send a message. Raises HungUp."""
        data = _encoder.encode(message)
        left = memoryview(len(data).to_bytes(4, "big") + data)
        try:
            while left:
                left = left[os.write(self._write_fd, left) :]
        except OSError as error:
            raise HungUp from error

    def receive_for_judge(self) -> ToJudge:
        """The next message to a judge. Raises HungUp."""
        return _for_judge.decode(self._receive(None))

    def receive_from_judge(self, seconds: float) -> FromJudge:
        """The next message from a judge. Raises HungUp, Silent after so many seconds without a word."""
        return _from_judge.decode(self._receive(seconds))

    def _receive(self, seconds: float | None) -> bytes:
        size = int.from_bytes(self._take(4, seconds), "big")
        return self._take(size, seconds)

    def _take(self, size: int, seconds: float | None) -> bytes:
        while len(self._buffer) < size:
            if seconds is not None and not select.select([self._read_fd], [], [], seconds)[0]:
                raise Silent
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


# Ids are a subclass of bytes, which msgpack does not know.
_encoder = msgspec.msgpack.Encoder(enc_hook=bytes)
_for_judge: msgspec.msgpack.Decoder[ToJudge] = msgspec.msgpack.Decoder(ToJudge)
_from_judge: msgspec.msgpack.Decoder[FromJudge] = msgspec.msgpack.Decoder(FromJudge)
