"""Compiling components in other processes, which can be ended, with bounds on time and memory.

The law: no component can make this process compute, or take memory, without a bound. Compiling takes a
second for each few megabytes of ordinary code, and minutes for a few kilobytes of code that was made to be hard.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from struct import Struct
from typing import Final

from understudy.actors.errors import HostFailed, WitError

COMPILE_CPU_SECONDS: Final = 180  # of all its threads; CPython takes 12, SpiderMonkey 30
COMPILE_SECONDS: Final = 900.0  # the same on a machine that is busy with other things
COMPILE_BYTES: Final = 3 * 1024 * 1024 * 1024  # of address space, four times what CPython takes
COMPILE_THREADS: Final = 4  # each reserves address space of its own
MAX_AT_ONCE: Final = 2  # more would only take memory
MAX_WAITING: Final = 32  # that wait for one of those; beyond this a caller is told to come again
MAX_GIVEN_UP: Final = 1_000  # components that are remembered to be too hard
SAY_SECONDS: Final = 2.0  # after this long it is said that somebody waits, and what for
AGAIN_SECONDS: Final = 30.0
TICK_SECONDS: Final = 1.0  # how often whoever waits is told that it goes on

LENGTH: Final = Struct("=Q")
ANSWER: Final = Struct("=?Q")
_START: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from understudy.engines.wasm.compiler_process import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""

Tell = Callable[[str], None]

_log = logging.getLogger("understudy.components")
_given_up: dict[bytes, str] = {}  # digests of components that are too hard, and why; a restart tries them again
_waiting_threads: set[int] = set()


def compile_beside(data: bytes, tell: Tell) -> bytes:
    """What a component compiles to, for wasmtime to load; waits for it.

    `tell` hears every second that it goes on, with a text now and then, else with none. Raises WitError("BadComponent")
    for what is no component, HostFailed for one that is too hard to compile here.
    """
    digest = sha256(data).digest()
    known = _given_up.get(digest)
    if known is not None:
        raise HostFailed(known, again=False)
    _waiting_threads.add(threading.get_ident())
    try:
        with _places:
            return _compile(data, _Progress(len(data), tell))
    except HostFailed as error:
        if not error.again and len(_given_up) < MAX_GIVEN_UP:
            _given_up[digest] = str(error)
        raise
    finally:
        _waiting_threads.discard(threading.get_ident())


def is_compiling(thread: int) -> bool:
    """True if a thread waits for a component to be compiled, which is not the component's own time."""
    return thread in _waiting_threads


class _Places:
    """Lets only some threads compile at once, and refuses those that would wait too long."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside >= MAX_AT_ONCE + MAX_WAITING:
                raise HostFailed(f"{self._inside} components are being compiled already; try again later")
            self._inside += 1
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()
        with self._lock:
            self._inside -= 1


class _Progress:
    """Reports that a component is being compiled when that takes long, and ends it when it takes too long."""

    def __init__(self, size: int, tell: Tell) -> None:
        self._size = size
        self._tell = tell
        self._began = time.monotonic()
        self._due = SAY_SECONDS

    def go_on(self) -> None:
        """Report that it goes on. Raises HostFailed when its time is up."""
        seconds = time.monotonic() - self._began
        if seconds >= COMPILE_SECONDS:
            raise HostFailed(
                f"the component, of {self._size:,} bytes, took more than {COMPILE_SECONDS:.0f} s to compile and was "
                "given up: are there functions in it of a size that no program needs?",
                again=False,
            )
        text = ""
        if seconds >= self._due:
            self._due += AGAIN_SECONDS
            text = (
                f"compiling a component of {self._size:,} bytes for {seconds:.0f} s now "
                f"(once for this machine; given up after {COMPILE_CPU_SECONDS} s of processor time)"
            )
            _log.warning("%s", text)
        self._tell(text)


class _Compiler:
    """A process that compiles one component after the other, until its input ends or nothing came for a while."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-s",
                "-P",
                "-c",
                _START,
                json.dumps(sys.path),
                str(COMPILE_BYTES),
                str(COMPILE_CPU_SECONDS),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "RAYON_NUM_THREADS": str(COMPILE_THREADS)},
        )

    def compile(self, data: bytes, progress: _Progress) -> bytes | None:
        """What it answers: the compiled component, or None if it ended. Raises WitError, HostFailed."""
        try:
            self._write(LENGTH.pack(len(data)))
            self._write(data)
            ok, size = ANSWER.unpack(self._read(ANSWER.size, progress))
            answer = self._read(size, progress)
        except (OSError, EOFError):
            return None
        if not ok:
            text = f"this is no WebAssembly component that can run here: {answer.decode()}"
            raise WitError("BadComponent", text)
        return answer

    def kill(self) -> int:
        """End it; its exit code."""
        self._process.kill()
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        return code

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        # It reads everything before it begins to compile, so this waits for nothing.
        rest = memoryview(data)
        while rest:
            rest = rest[self._process.stdin.write(rest) or 0 :]

    def _read(self, size: int, progress: _Progress) -> bytes:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        found = bytearray()
        while len(found) < size:
            if not poll.poll(min(TICK_SECONDS, COMPILE_SECONDS) * 1000):
                progress.go_on()
                continue
            piece = os.read(fd, size - len(found))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)


_places: Final = _Places()
_idle: Final[list[_Compiler]] = []  # those that wait for work; an append and a pop are atomic

# A process that is forked from this one must not talk to its compilers.
os.register_at_fork(after_in_child=_idle.clear)


def _compile(data: bytes, progress: _Progress) -> bytes:
    with contextlib.suppress(IndexError):
        compiler = _idle.pop()
        answer = _try(compiler, data, progress)
        if answer is not None:
            return answer
        # It may have ended because it had no work: that says nothing about this component.
    compiler = _Compiler()
    answer = _try(compiler, data, progress)
    if answer is None:
        code = compiler.kill()
        if code == -signal.SIGKILL:
            # Its own bounds end it by other signals, so this says nothing about the component.
            raise HostFailed(
                f"the compiler of a component of {len(data):,} bytes was killed from outside, perhaps since the machine had "
                "no memory left; try again later"
            )
        raise HostFailed(
            f"the compiler of a component of {len(data):,} bytes ended before it was done (exit code {code}); "
            f"it may use {COMPILE_CPU_SECONDS} s of processor time and {COMPILE_BYTES >> 30} GiB of memory",
            again=False,
        )
    return answer


def _try(compiler: _Compiler, data: bytes, progress: _Progress) -> bytes | None:
    try:
        answer = compiler.compile(data, progress)
    except WitError:
        _idle.append(compiler)
        raise
    except BaseException:
        compiler.kill()
        raise
    if answer is None:
        compiler.kill()
    else:
        _idle.append(compiler)
    return answer
