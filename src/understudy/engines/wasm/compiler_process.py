"""The process that compiles components for another one: it reads bytes and writes compiled code. It runs no component."""

from __future__ import annotations

import math
import os
import resource
import select
import signal
import threading
from typing import Final

from wasmtime import WasmtimeError
from wasmtime.component import Component

from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.compiling import ANSWER, LENGTH

IDLE_SECONDS: Final = 20.0  # it ends when there was nothing to do for so long: it holds some 40 MB
NICE: Final = 5  # of low priority: steps and answers go first
_PARENT_SECONDS: Final = 1.0


def main(most_bytes: int, most_seconds: int) -> None:
    """Compile what comes through stdin, until it ends or stays empty; each within so many seconds of processor time."""
    # A Ctrl-C at the terminal is for the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        head = _read(LENGTH.size)
        if head is None:
            return
        data = _read(*LENGTH.unpack(head))
        if data is None:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        end = math.ceil(used.ru_utime + used.ru_stime) + most_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))
        ok, answer = _compile(data)
        _write(ANSWER.pack(ok, len(answer)) + answer)


def _compile(data: bytes) -> tuple[bool, bytes]:
    try:
        return True, bytes(Component(compiler(), data).serialize())
    except WasmtimeError as error:
        return False, str(error).encode()


def _read(size: int) -> bytes | None:
    """So many bytes, None if the input ended."""
    found = bytearray()
    while len(found) < size:
        piece = os.read(0, size - len(found))
        if not piece:
            return None
        found += piece
    return bytes(found)


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


def _watch(parent: int) -> None:
    """End when the parent process ends, also while a component is compiled."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_PARENT_SECONDS)
    os._exit(1)
