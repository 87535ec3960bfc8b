"""The command, loaded once: each run of it is a process of its own, forked from one that has imported everything.

The law: what a test sees is what a process shows that was started in the ordinary way: its folder, environment, files,
exit code and signals are its own, and nothing of it stays. It only saves the time of importing, which is most of the
time that a command takes. Tests of the start itself start Python.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Final

_ROOT: Final = Path(__file__).parents[1]
_NUMBER: Final = 8  # bytes of a process id, and of an exit code
_PATIENCE: Final = 120.0  # seconds for a command
_CLOSED_SECONDS: Final = 60.0  # how long what was ended may take to be gone


class Running:
    """A command that runs, with what tests use of `subprocess.Popen`."""

    def __init__(self, control: socket.socket, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self._control = control
        self.pid = _read(control)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._wait(0.0)

    def send_signal(self, how: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, how)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("understudy", timeout or 0)
        return code

    def communicate(self, input: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """Give it this, and read what it says to the end; nothing the second time. Raises TimeoutExpired."""
        if self.stdout.closed:
            return b"", b""
        said: list[bytes] = [b"", b""]

        def read(at: int, file: IO[bytes]) -> None:
            said[at] = file.read()

        readers = [threading.Thread(target=read, args=(n, f)) for n, f in enumerate((self.stdout, self.stderr))]
        for reader in readers:
            reader.start()
        try:
            self.stdin.write(input)
            self.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        for reader in readers:
            reader.join(_CLOSED_SECONDS)
        self.close()
        return said[0], said[1]

    def close(self) -> None:
        """Close its files."""
        for file in (self.stdin, self.stdout, self.stderr):
            file.close()
        self._control.close()

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._control.settimeout(timeout)
            try:
                self.returncode = _read(self._control)
            except (BlockingIOError, TimeoutError):
                return None
        return self.returncode


class LoadedCommand:
    """The process that has loaded everything. It starts with the first command."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()

    def start(
        self, args: Sequence[str], folder: Path, environment: Mapping[str, str], errors: IO[bytes] | None = None
    ) -> Running:
        """Start the command with these words, in this folder and with nothing but this environment.

        What it says on standard error goes to the file `errors`, or can be read.
        """
        with self._lock:
            if self._control is None:
                self._control = self._load()
            ours, theirs = socket.socketpair()
            (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
            given = [stdin, stdout, stderr if errors is None else errors.fileno()]
            order = json.dumps({"args": list(args), "folder": str(folder), "environment": dict(environment)}).encode()
            with theirs:
                socket.send_fds(self._control, [len(order).to_bytes(_NUMBER, "big")], [theirs.fileno(), *given])
                self._control.sendall(order)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        return Running(ours, os.fdopen(to_stdin, "wb"), os.fdopen(from_stdout, "rb"), os.fdopen(from_stderr, "rb"))

    def run(
        self,
        args: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        stdin: bytes = b"",
        timeout: float = _PATIENCE,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command to its end. Raises TimeoutExpired."""
        command = self.start(args, folder, environment)
        said, errors = command.communicate(stdin, timeout)
        return subprocess.CompletedProcess(args, command.wait(), said, errors)

    def close(self) -> None:
        """End the process that has loaded everything; commands that run go on."""
        if self._control is not None and self._server is not None:
            self._control.close()
            self._server.wait()

    def _load(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.loaded_command", str(theirs.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "TERMINAL_WIDTH": "200"},
                pass_fds=[theirs.fileno()],
            )
        return ours


LOADED: Final = LoadedCommand()  # of this process; the fixture in `conftest.py` ends it


def _read(control: socket.socket) -> int:
    data = control.recv(_NUMBER, socket.MSG_WAITALL)
    if len(data) < _NUMBER:
        raise ConnectionResetError("the process that starts commands is gone")
    return int.from_bytes(data, "big", signed=True)


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER, "big", signed=True)


def _serve(control: socket.socket) -> None:
    """Fork for each order, until who started us hangs up. Comes back only in the process of a command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, fds, _, _ = socket.recv_fds(control, _NUMBER, 4)
        if not head:
            os._exit(0)
        order = json.loads(control.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(fds[0], control)
            return _become(order, fds)
        for fd in fds:
            os.close(fd)


def _watch(told: int, control: socket.socket) -> None:
    """Fork the command, and say what became of it. Comes back only in the command."""
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)  # its number is known before anything can happen to it
        os.close(ready)
        control.close()
        return
    os.write(told, _number(pid))
    os.closerange(3, told)
    os.closerange(told + 1, 256)
    for fd in range(3):
        os.close(fd)
    os.write(told, _number(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def _become(order: Mapping[str, object], fds: Sequence[int]) -> None:
    for target, fd in enumerate(fds[1:]):
        os.dup2(fd, target)
    for fd in fds:
        os.close(fd)
    folder = str(order["folder"])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    sys.path[0] = folder
    sys.argv = ["understudy", *order["args"]]  # type: ignore[misc]


def _main(fd: int) -> None:
    from understudy.cli import main, start

    for where in main.COMMANDS.values():
        import_module(where.partition(":")[0])
    for name in ("understudy.web.app", "understudy.node.node", "understudy.store.open", "uvicorn", "uvloop"):
        import_module(name)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=fd))
    gc.unfreeze()
    start.start()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
