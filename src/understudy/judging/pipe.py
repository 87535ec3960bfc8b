"""The pipe between two processes of a verification: messages of msgpack, each after its length."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from understudy.objects import ids

MAX_MESSAGE: Final = 512 * 1024 * 1024  # bytes: what one step can hold several times over, and a machine has
_CHUNK: Final = 256 * 1024
_LENGTH: Final = 4  # bytes of a message's length

Heard = TypeVar("Heard")


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
        data = _encoded(message)
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


def _encoded(message: Struct) -> bytes:
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        # Code may log, or open, what is no well-formed text. What the kernel makes of it has question marks there, too.
        return _encoder.encode(_well_formed(msgspec.to_builtins(message, builtin_types=(bytes,), enc_hook=_plain)))


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    return [_well_formed(item) for item in value] if isinstance(value, list | tuple) else value


def _id(kind: type, value: Any) -> Any:
    return ids.from_bytes(value)


def _plain(value: Any) -> Any:
    """The bytes of an id, or the text of an author's own kind of text: msgpack knows no subclasses."""
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str):
        # What such a class says of itself is nobody's business here.
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} can't be said to another process")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
