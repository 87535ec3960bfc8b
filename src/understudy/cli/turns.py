"""The order of commands on a store: those started at the same time wait for each other, for a bounded time.

Only one process may write a store. A second command waits until the first one serves the store, or has ended.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from understudy.cli.errors import CommandError
from understudy.cli.project import PROJECT_FILE
from understudy.cli.screen import remark
from understudy.store.errors import StoreInUse
from understudy.store.open import is_made, shown_store, store_folder

# A store that is not there, and that nobody is making: as long as a `serve` of the same second needs to say that it does.
APPEAR_SECONDS: Final = 5.0
# A node that starts pushes its project first, which may compile components; a local `send` waits up to its --wait.
TURN_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
STARTS: Final = "the process that starts to work on this store"
_QUIET_SECONDS: Final = 1.0  # of waiting that nobody needs to hear of


class Starting(Struct, frozen=True):
    """A process that is about to have the store. `makes_store`: there was none when it began."""

    pid: int
    makes_store: bool


@contextlib.contextmanager
def announce(url: str) -> Iterator[Callable[[], None]]:
    """Tell the other commands that this process starts to work on a store, until the function that this gives is called."""
    path = _note_of(url)
    note = Starting(os.getpid(), not is_made(url))
    if path is not None and other_that_starts(url) is None:
        # Beside the store's directory, since only the store itself makes that, and syncs it. Where this can't be
        # written, opening the store fails with a better message.
        with contextlib.suppress(OSError):
            fresh = path.with_name(f"{path.name}.{note.pid}")
            fresh.write_bytes(msgspec.json.encode(note))
            # Renamed into place: a reader that sees half a note would take it for none.
            fresh.replace(path)

    def done() -> None:
        if path is not None and _read(path) == note:
            path.unlink(missing_ok=True)

    try:
        yield done
    finally:
        done()


def wait_until_made(url: str) -> None:
    """Wait until there is a store to look at, and no longer the one that a process is just making. Raises CommandError."""
    patience = Patience()
    while True:
        # The store first: who makes it says so before, so the process that has made it since the last look is seen.
        made, other = is_made(url), other_that_starts(url)
        if other is not None and other.makes_store:
            time.sleep(patience.pause(TURN_SECONDS, "a process that makes this store"))
        elif made:
            return
        else:
            time.sleep(pause_for_store(patience, url))


def wait_for_starting(url: str) -> None:
    """Wait until no other process is starting on a store. Raises CommandError."""
    patience = Patience()
    while other_that_starts(url) is not None:
        time.sleep(patience.pause(TURN_SECONDS, STARTS))


def other_that_starts(url: str) -> Starting | None:
    """The other process that is about to have the store, None if nobody said so."""
    path = _note_of(url)
    found = None if path is None else _read(path)
    return found if found is not None and found.pid != os.getpid() and lives(found.pid) else None


def lives(pid: int) -> bool:
    """True if there is a process with this number."""
    if sys.platform == "win32":
        # There, "signal 0" is Ctrl-C to a process; whether it lives is seen by asking it.
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


class Patience:
    """How long a command has waited. After a second, it says what for."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = False

    def pause(self, seconds: float, what: str, error: Exception | None = None) -> float:
        """How long to sleep before the next look. Raises the error, or CommandError, after `seconds`."""
        waited = time.monotonic() - self._began
        if waited >= seconds:
            raise error or CommandError(f"waited {seconds:.0f} s for {what}; stop that process, or try again later")
        if waited >= _QUIET_SECONDS and not self._said:
            self._said = True
            remark(
                f"waiting for {what}, at most {seconds:.0f} s …{f' ({error})' if isinstance(error, StoreInUse) else ''}"
            )
        return _LOOK_SECONDS


def pause_for_store(patience: Patience, url: str) -> float:
    """How long to sleep before the next look for a store that is not there. Raises CommandError."""
    return patience.pause(
        APPEAR_SECONDS,
        f"`understudy serve` to make the store {shown_store(url)}",
        CommandError(
            f"there is no store at {shown_store(url)}: `understudy serve` makes one (in a folder with "
            f"{PROJECT_FILE}, its actors too), --store names another"
        ),
    )


def _note_of(url: str) -> Path | None:
    directory = store_folder(url)
    return None if directory is None else directory.with_name(f"{directory.name}.starting")


def _read(path: Path) -> Starting | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        # What a process left behind that was killed while it started, and whose number another one has by now.
        if time.time() - path.stat().st_mtime < TURN_SECONDS:
            return msgspec.json.decode(path.read_bytes(), type=Starting)
    return None
