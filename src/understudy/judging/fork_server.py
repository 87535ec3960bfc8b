"""The fork server: one process that has loaded everything and run nothing, and forks judges and performers.

The law: it never hears of a history, and keeps no pipe that it hands on. So no performer finds a record in its memory,
nor a way to the pipe on which a judge gives its verdicts. When who started it is gone, it ends all that it forked.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pwd
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, NoReturn

import msgspec

from understudy.judging.pipe import Pipe
from understudy.judging.shut_world import separate_network
from understudy.judging.wire import FromJudge, FromPerformer, ToJudge, ToPerformer

_NUMBER: Final = 8  # bytes of a process id, and of an exit code
_FORK, _END = b"+", b"-"
HASH_SEED: Final = 0
FORKED: Final = -1  # no seed: a copy of the server, which has that one. Any seed means a process that is started anew
_END_SECONDS: Final = 1.0  # how long a process may take to end by itself, once it hung up
_ANSWER_SECONDS: Final = 60.0  # how long the server may take; one that code has stopped says nothing for ever
_COLLECT_AFTER: Final = 50_000  # allocations between collections: a step makes thousands of objects and no cycles

_START: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from understudy.judging.started import serve
serve(int(sys.argv[2]))
"""
_START_PERFORMER: Final = _START.replace("serve", "perform")
# What a process may need of the machine to start at all.
_ENVIRONMENT: Final = (
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "PATH", "TMPDIR", "TEMP"),
    # Whether what is imported to start may be kept compiled: to compile all of it anew takes as long as 1,000 small steps.
    "PYTHONDONTWRITEBYTECODE",
)


class ForkServer:
    """The side of who verifies: it makes judges. `path` is where all of them find modules. May be used from several threads."""

    def __init__(self, path: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX)
        with theirs:
            self._process = _start(_START, path, theirs.fileno(), hash_seed=HASH_SEED)
        self._lock = Lock()

    def make_judge(self) -> tuple[int, Pipe[FromJudge]]:
        """A new judge's process id and pipe. Raises OSError if the server is gone."""
        with self._lock:
            pid, fd = _make(self._control, _FORK)
        return pid, Pipe(fd, fd, FromJudge)

    def end_judge(self, pid: int) -> int:
        """End a judge and its performer; the judge's exit code. Raises OSError if the server is gone."""
        with self._lock:
            return _end(self._control, pid)

    def close(self) -> None:
        """End the server and all that it forked."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Performers:
    """The side of a judge: one performer lives at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._living: int | None = None

    def make(self, *, hash_seed: int = FORKED) -> Pipe[FromPerformer]:
        """A new performer's pipe; the one before is ended. Raises OSError if the server is gone.

        With another hash seed than ours it has to load everything first.
        """
        self.end()
        self._living, fd = _make(self._control, _FORK, hash_seed)
        return Pipe(fd, fd, FromPerformer)

    @property
    def living(self) -> int | None:
        """The process id of the performer."""
        return self._living

    def end(self, *, kill: bool = True) -> int | None:
        """End the performer, or wait for one that hung up; its exit code, None if there is none."""
        if self._living is None:
            return None
        pid, self._living = self._living, None
        if kill:
            # Until its code is asked for it is not reaped, so the number is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return _end(self._control, pid)


def serve_forks(
    control: socket.socket,
    judge: Callable[[Pipe[ToJudge], Performers], None],
    perform: Callable[[Pipe[ToPerformer]], None],
) -> NoReturn:
    """Fork until who started us hangs up; then end all that lives. `judge` and `perform` are what is forked to do."""
    separate_network()
    with contextlib.suppress(KeyError):
        # Asked once, the C library looks for a daemon that knows users, and then leaves that be.
        pwd.getpwuid(os.getuid())
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    gc.freeze()
    _Server(control, judge, perform).run()
    os._exit(0)


class _Server:
    def __init__(
        self,
        control: socket.socket,
        judge: Callable[[Pipe[ToJudge], Performers], None],
        perform: Callable[[Pipe[ToPerformer]], None],
    ) -> None:
        self._control = control
        self._judge = judge
        self._perform = perform
        self._performers: dict[socket.socket, int | None] = {}  # by the control of their judge
        self._judges: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                control = key.fileobj
                assert isinstance(control, socket.socket)
                try:
                    asked, fds, _, _ = socket.recv_fds(control, 1 + _NUMBER, 1)
                except OSError:
                    asked, fds = b"", []
                if control is self._control and not asked:
                    for pid in list(self._judges):
                        self._end_judge(pid)
                    return
                if not asked:
                    self._hang_up(control)
                    continue
                # A judge that was killed in the middle of a question gets no answer.
                with contextlib.suppress(OSError):
                    self._answer(control, asked, fds)

    def _answer(self, control: socket.socket, asked: bytes, fds: Sequence[int]) -> None:
        ask, number = asked[:1], _number(asked[1:])
        if ask == _END:
            code = self._end_judge(number) if control is self._control else _wait(number)
            if control is not self._control:
                self._performers[control] = None
            control.sendall(_bytes(code))
            return
        if control is self._control:
            made = self._fork_judge(fds[0])
        else:
            made = self._performers[control] = self._fork_performer(fds[0], hash_seed=number)
        os.close(fds[0])
        control.sendall(_bytes(made))

    def _fork_judge(self, fd: int) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._forget()
            _run(lambda: self._judge(Pipe(fd, fd, ToJudge), Performers(theirs)))
        theirs.close()
        self._judges[pid] = ours
        self._performers[ours] = None
        self._selector.register(ours, selectors.EVENT_READ)
        return pid

    def _fork_performer(self, fd: int, *, hash_seed: int) -> int:
        if hash_seed != FORKED:
            return _start(_START_PERFORMER, sys.path, fd, hash_seed=hash_seed, alone=False).pid
        pid = os.fork()
        if pid == 0:
            self._forget()
            _run(lambda: self._perform(Pipe(fd, fd, ToPerformer)))
        return pid

    def _forget(self) -> None:
        """In a child: close what leads to others."""
        self._selector.close()
        for control in (self._control, *self._performers):
            control.close()

    def _end_judge(self, pid: int) -> int:
        control = self._judges.pop(pid, None)
        if control is None:
            return 0
        self._kill(pid)
        code = _wait(pid)
        self._hang_up(control)
        control.close()
        return code

    def _hang_up(self, control: socket.socket) -> None:
        """The judge of this control is gone: its performer has nobody to work for."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(control)
        performer = self._performers.pop(control, None)
        if performer is not None:
            self._kill(performer)
            _wait(performer)

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _make(control: socket.socket, ask: bytes, hash_seed: int = FORKED) -> tuple[int, int]:
    """Have a process made: its id, and our end of its pipe."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    control.settimeout(_ANSWER_SECONDS)
    with ours, theirs:
        socket.send_fds(control, [ask + _bytes(hash_seed)], [theirs.fileno()])
        theirs.close()
        return _answered(control), ours.detach()


def _end(control: socket.socket, pid: int) -> int:
    control.settimeout(_ANSWER_SECONDS)
    control.sendall(_END + _bytes(pid))
    return _answered(control)


def _answered(control: socket.socket) -> int:
    data = control.recv(_NUMBER, socket.MSG_WAITALL)
    if len(data) < _NUMBER:
        raise ConnectionResetError("the process that forks others is gone")
    return _number(data)


def _wait(pid: int) -> int:
    """The exit code of a child that was killed or hung up; one that hung up and goes on is killed after a moment."""
    until = time.monotonic() + _END_SECONDS
    while True:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _run(work: Callable[[], None]) -> NoReturn:
    try:
        work()
    finally:
        os._exit(0)


def _start(code: str, path: Sequence[str], fd: int, *, hash_seed: int, alone: bool = True) -> subprocess.Popen[bytes]:
    """Start Python with nothing of the user's environment but what a process needs to start, and a fixed hash seed."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {"PYTHONHASHSEED": str(hash_seed), "LANG": "C.UTF-8", "TZ": "UTC"}
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-c", code, msgspec.json.encode(list(path)).decode(), str(fd)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        pass_fds=[fd],
        # A Ctrl-C at the terminal is for us; we end those that we started.
        start_new_session=alone,
    )


def _bytes(number: int) -> bytes:
    return number.to_bytes(_NUMBER, "big", signed=True)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)
