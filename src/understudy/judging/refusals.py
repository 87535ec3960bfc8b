"""What the system refused the code that a performer runs, heard in the process of its judge.

The law: the code can neither hide a refused call nor answer it. The call waits until it is answered here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
from typing import Final

from understudy.judging.confinement import call_names

MAX_SEEN: Final = 3  # the first is enough for a verdict; more only to show that there are more
_MAX_PATH: Final = 4096
_CALL: Final = struct.Struct("=QIIiIQ6Q")  # id, process, flags; then the call: number, processor, where, arguments
_ANSWER: Final = struct.Struct("=Qqii")  # id, value, error, flags
_GIVE: Final = struct.Struct("=QIIII")  # id, flags, our file, its number there, flags there
_HEAR, _SAY, _HAND_OVER = 0xC0502100, 0xC0182101, 0x40182103
_GO_ON: Final = 1
_OPENS: Final = {"open": 0, "openat": 1}  # with the number of the argument that is the path


class Refusals:
    """The listener of one performer; `seen` is what was refused since `turn`, and late before it."""

    def __init__(self, listener: int, process: int) -> None:
        """`process` is the performer's id."""
        self.fd = listener
        self.seen: list[str] = []
        self._late: list[str] = []
        self._names = call_names()
        self._memory = _open_memory(process)

    def turn(self) -> None:
        """Another message is waited for. What was refused after the last one may be of a run of the next."""
        self.seen, self._late = self._late, []

    def answer(self) -> None:
        """Refuse the call that waits, and note it. Raises OSError if nobody can make calls any more."""
        heard = bytearray(_CALL.size)
        try:
            fcntl.ioctl(self.fd, _HEAR, heard)
        except InterruptedError:
            return
        except OSError as error:
            if error.errno == errno.ENOENT:  # who made the call was ended meanwhile
                return
            raise
        id, _, _, number, _, _, *arguments = _CALL.unpack(heard)
        name = self._names.get(number, f"call {number}")
        path = self._path(arguments[_OPENS[name]]) if name in _OPENS else None
        # The one that made the call may have ended: then nobody waits for the answer.
        with contextlib.suppress(OSError):
            if path == os.devnull.encode():
                self._open_null(id)
            elif name in _OPENS and self._memory is None:
                # Which file it is we can't see. Landlock can, and refuses it.
                fcntl.ioctl(self.fd, _SAY, _ANSWER.pack(id, 0, 0, _GO_ON))
            else:
                self._note(name, path)
                fcntl.ioctl(self.fd, _SAY, _ANSWER.pack(id, 0, -errno.EPERM, 0))

    def answer_late(self) -> None:
        """Refuse what waits now, after a message came: a thread of a run that it tells of did it, or the next run."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        before, self.seen = self.seen, []
        while any(ready & select.POLLIN for _, ready in poll.poll(0)):
            self.answer()
        self._late = _first([*self._late, *self.seen])
        self.seen = _first([*before, *self.seen])

    def close(self) -> None:
        """Hear no more."""
        os.close(self.fd)
        if self._memory is not None:
            os.close(self._memory)

    def _note(self, name: str, path: bytes | None) -> None:
        text = name if path is None else f"{name} {path.decode('utf-8', 'replace')}"
        if len(self.seen) < MAX_SEEN and text not in self.seen:
            self.seen.append(text)

    def _path(self, at: int) -> bytes | None:
        if self._memory is None:
            return None
        try:
            return os.pread(self._memory, _MAX_PATH, at).partition(b"\0")[0]
        except (OSError, OverflowError):
            return None

    def _open_null(self, id: int) -> None:
        """Open it for the code. What was read here decides: its memory may say something else by now."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            number = fcntl.ioctl(self.fd, _HAND_OVER, bytearray(_GIVE.pack(id, 0, null, 0, os.O_CLOEXEC)))
            fcntl.ioctl(self.fd, _SAY, _ANSWER.pack(id, number, 0, 0))
        finally:
            os.close(null)


def _first(seen: list[str]) -> list[str]:
    return list(dict.fromkeys(seen))[:MAX_SEEN]


def _open_memory(process: int) -> int | None:
    try:
        return os.open(f"/proc/{process}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
