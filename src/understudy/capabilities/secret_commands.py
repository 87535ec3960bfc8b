"""Commands that print secrets: each runs once at a time, what it printed is used again, and so is that it failed.

The law: a command that hangs or fails delays the calls that need it once in a while, not each of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

Command = tuple[str, ...]

COMMAND_SECONDS: Final = 10.0  # a password manager that is unlocked answers in one or two
KEPT_SECONDS: Final = 60.0  # how long what a command printed is used again
FAILED_SECONDS: Final = 30.0  # how long it is not tried again after it failed


class CommandFailed(Exception):
    """No value. The text says why, and holds nothing that was printed."""


class _Kept(NamedTuple):
    until: float
    value: str | None
    why: str = ""


class SecretCommands:
    """What commands printed lately. From any thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._kept: dict[Command, _Kept] = {}
        self._locks: dict[Command, Lock] = {}

    def value(self, command: Command) -> str:
        """What a command prints. Blocks while it runs. Raises CommandFailed, also for a failure of a short while ago."""
        with self._locks.setdefault(command, Lock()):
            kept = self._kept.get(command)
            if kept is None or kept.until < self._monotonic():
                kept = self._kept[command] = self._run(command)
        if kept.value is None:
            raise CommandFailed(kept.why)
        return kept.value

    def _run(self, command: Command) -> _Kept:
        try:
            value = _printed(command)
        except CommandFailed as error:
            why = f"{error}; it is tried again {FAILED_SECONDS:g} s later"
            return _Kept(self._monotonic() + FAILED_SECONDS, None, why)
        return _Kept(self._monotonic() + KEPT_SECONDS, value)


def _printed(command: Command) -> str:
    try:
        # In a session of its own, so that what it started ends with it.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"failed: {error.strerror}") from None
    with process:
        try:
            printed, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise CommandFailed(f"failed: it took more than {COMMAND_SECONDS:g} s") from None
    if process.returncode != 0:
        raise CommandFailed(f"ended with exit code {process.returncode}")
    try:
        return printed.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandFailed("printed no text") from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    if os.name != "posix":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
