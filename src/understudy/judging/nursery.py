"""The nursery: a process that has loaded everything, run nothing, and forks performers for a judge.

The law: it is made before the judge has heard anything, so that no performer finds a record in its memory, nor a way to
the pipe on which the judge gives its verdicts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
from collections.abc import Sequence
from typing import Final

from understudy.judging.performer import perform_for
from understudy.judging.shut_world import separate_network
from understudy.judging.wire import FromPerformer, Pipe, ToPerformer

_NUMBER: Final = 8  # bytes of a process id, and of an exit code


class Nursery:
    """The judge's side. One performer lives at a time."""

    def __init__(self, *, close: Sequence[int]) -> None:
        """Fork it; `close` are the file descriptors that are for the judge alone. Call it before there are threads."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        if os.fork() == 0:
            ours.close()
            for fd in close:
                os.close(fd)
            _tend(theirs)
        theirs.close()
        self._control = ours
        self._performer: int | None = None

    def make(self) -> Pipe[FromPerformer]:
        """A new performer's pipe; the one before is ended. Raises OSError if the nursery is gone."""
        self.end()
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        socket.send_fds(self._control, [b"+"], [theirs.fileno()])
        theirs.close()
        self._performer = self._number()
        fd = ours.detach()
        return Pipe(fd, fd, FromPerformer)

    def end(self) -> int | None:
        """End the performer; its exit code, None if there is none."""
        if self._performer is None:
            return None
        # Until its code is asked for it is not reaped, so the number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._performer, signal.SIGKILL)
        self._performer = None
        self._control.sendall(b"-")
        return self._number()

    def wait(self) -> int:
        """The exit code of a performer that hung up. Raises OSError if the nursery is gone."""
        self._performer = None
        self._control.sendall(b"-")
        return self._number()

    def _number(self) -> int:
        data = self._control.recv(_NUMBER, socket.MSG_WAITALL)
        if len(data) < _NUMBER:
            raise ConnectionResetError("the nursery is gone")
        return int.from_bytes(data, "big", signed=True)


def _tend(control: socket.socket) -> None:
    """Fork performers one after the other until the judge is gone; never returns."""
    gc.freeze()
    separate_network()
    while True:
        asked, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            control.close()
            perform_for(Pipe(fds[0], fds[0], ToPerformer))
            os._exit(0)
        os.close(fds[0])
        control.sendall(pid.to_bytes(_NUMBER, "big", signed=True))
        control.recv(1)
        _, status = os.waitpid(pid, 0)
        control.sendall(os.waitstatus_to_exitcode(status).to_bytes(_NUMBER, "big", signed=True))
