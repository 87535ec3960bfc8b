"""The shut world of a replay: what a wit would do to the world, or ask of it, fails in the process that replays it.

The law: a step that tried is noted with the line of its author, and is never a MATCH. Python's audit events are the
first wall, and the only one that can name a line. The second is the system's, where it gives one, and holds for all code:
a network of its own that reaches nothing, no file that can grow, and what `confinement` takes away.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from understudy.judging.author import Belongs, find_author
from understudy.judging.confinement import SYSTEM_FILES, confine
from understudy.judging.other_threads import others_run
from understudy.judging.world_events import WorldEvents, shorten

MAX_TRIED: Final = 3  # the first is what to mend; more only to show that there are more
_MOMENT_SECONDS: Final = 0.1
_JOINABLE: Final = "_start_joinable_thread"

_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000


class Tried(Struct, frozen=True):
    """One attempt: where, as `code/card.py:7 calls urllib.request.urlopen`, and what it came to."""

    where: str
    what: str
    is_look: bool = False  # it asked about a file, as code does before it uses one

    def __str__(self) -> str:
        return f"{self.where} ({self.what})"


class WorldShut(PermissionError):
    """What a wit gets that reaches for the world in a replay."""


class ShutWorld:
    """Notes and refuses. Once shut, the world of this process stays shut; `tried` is since the last `begin`.

    `belongs` gives the path of the author's code that a frame runs, None for other code.
    """

    def __init__(self, belongs: Belongs) -> None:
        self.tried: list[Tried] = []
        self._belongs = belongs
        self._events = WorldEvents()
        self.peeked: list[Tried] = []  # what it tried to read while it was imported, which is no fault
        self.threads: list[str] = []  # where the author's code started threads since then
        self._thread: str | None = None  # where it did so last

    def shut(self, judge: int | None = None) -> int | None:
        """Put up both walls, for good. The second one is left out where the system refuses it.

        For a judge, whose process it is: the listener to hand to it, None where there is none.
        """
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        listener = confine((*self._events.readable, *SYSTEM_FILES), listen=judge is not None, reader=judge).listener
        self._replace_unheard()
        sys.addaudithook(self._hear)
        # Not every version of Python has an event for these.
        for module, name in ((_thread, "start_new_thread"), (threading, "_start_new_thread"), (threading, _JOINABLE)):
            if hasattr(module, name):
                setattr(module, name, self._noting(getattr(module, name)))
        return listener

    def begin(self) -> None:
        """A step begins: nothing was tried yet."""
        self.tried.clear()
        self.peeked.clear()
        self.threads.clear()

    def let_threads_end(self) -> list[str]:
        """Give the threads that a step started, and did not wait for, a moment to show what they try.

        Where those were started that go on after it: what they do then, no step shows.
        """
        until = time.monotonic() + _MOMENT_SECONDS
        while self.threads and others_run():
            if time.monotonic() > until:
                return list(self.threads)
            time.sleep(0.001)
        return []

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._events.knows(event):
            return
        what = self._events.look(event, args)
        if what is not None:
            self._refuse(event, what)

    def _replace_unheard(self) -> None:
        for path in _UNHEARD:
            name, _, function = path.partition(".")
            with contextlib.suppress(ImportError):
                module = import_module(name)
                if hasattr(module, function):
                    setattr(module, function, self._refusing(path))
        for name in _UNHEARD_LOOKS:
            if hasattr(os, name):
                setattr(os, name, self._looking(name, getattr(os, name)))

    def _refusing(self, name: str) -> Callable[..., Any]:
        def refuse(*args: Any, **more: Any) -> Any:
            self._refuse(name, name)

        return refuse

    def _looking(self, name: str, look: Callable[..., Any]) -> Callable[..., Any]:
        def look_inside(path: Any, *args: Any, **more: Any) -> Any:
            if not isinstance(path, int) and not self._events.is_looking:
                what = self._events.file(path, writes=False)
                if what is not None and not _looks_for_others(_caller()) and self._author()[0] is not None:
                    self._refuse(_LOOK, f"{name} {shorten(os.fsdecode(path))}")
            return look(path, *args, **more)

        return look_inside

    def _author(self) -> tuple[str | None, bool]:
        with self._events.looking():
            at = sys._getframe(1)
            while at.f_code.co_filename == __file__ and at.f_back is not None:
                at = at.f_back
            return find_author(at, self._belongs)

    def _noting(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def start_and_note(*args: Any, **more: Any) -> Any:
            self._started_a_thread()
            return start(*args, **more)

        return start_and_note

    def _started_a_thread(self) -> None:
        where, at_import = self._author()
        if where is not None and not at_import:
            self._thread = where
            if where not in self.threads and len(self.threads) < MAX_TRIED:
                self.threads.append(where)

    def _refuse(self, event: str, what: str) -> None:
        where, at_import = self._author()
        if at_import and event in _READ_AT_IMPORT and not what.startswith("write"):
            self._peek(event, Tried(where or "an import", what))
            return
        if not (at_import and event in _TRIED_AT_IMPORT):
            where = where or (f"a thread that was started where {self._thread}" if self._thread else "a callback")
            self._note(Tried(where, what, event == _LOOK))
        raise WorldShut(f"the world is shut in a replay: {what}")

    def _note(self, tried: Tried) -> None:
        """One attempt for each line; what it came to says more than that it looked first."""
        places = [one.where for one in self.tried]
        if tried.where in places:
            at = places.index(tried.where)
            if self.tried[at].is_look and not tried.is_look:
                self.tried[at] = tried
        elif len(places) < MAX_TRIED:
            self.tried.append(tried)

    def _peek(self, event: str, read: Tried) -> None:
        if event in _SHOWS and len(self.peeked) < MAX_TRIED:
            self.peeked.append(read)


def separate_network() -> bool:
    """Take this process and all that it starts off the network; False if the system does not allow it.

    Call it before there are threads.
    """
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        return False
    if unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return bool(unshare(_NEW_NETWORK) == 0)
    # The same numbers inside as outside, so that code which looks sees what it saw when the step was made.
    for name, text in (("setgroups", "deny"), ("gid_map", f"{group} {group} 1"), ("uid_map", f"{user} {user} 1")):
        with contextlib.suppress(OSError):
            Path(f"/proc/self/{name}").write_text(text)
    return True


def ask_what_machine() -> None:
    """Have the standard library find out what machine this is, as it does once in a process: it reads files and starts `uname`.

    Client libraries say it in a header of each request. What is known before the world is shut is no attempt to leave it.
    """
    with contextlib.suppress(OSError):
        platform.platform()
        platform.freedesktop_os_release()


def _looks_for_others(module: str) -> bool:
    """True for what looks for the source of code that runs, and for our own."""
    return module in _LOOK_FOR_OTHERS or module.partition(".")[0] == _OURS


def _caller() -> str:
    """The module that asked about a file, behind those of the library that only pass the question on."""
    at = sys._getframe(2)
    while at.f_back is not None and at.f_globals.get("__name__") in _PASS_ON:
        at = at.f_back
    return str(at.f_globals.get("__name__", ""))


# What changes the world and has no audit event: the process has functions of ours in their places.
_UNHEARD: Final = (
    *(f"{module}.{name}" for module in ("os", "posix") for name in ("mkfifo", "mknod", "setpriority")),
    *("signal.pidfd_send_signal", "_posixshmem.shm_open", "_posixshmem.shm_unlink"),
    "_posixsubprocess.fork_exec",  # by which `multiprocessing` starts processes
)
# These have none either, and are needed for the files that may be read.
_UNHEARD_LOOKS: Final = ("stat", "lstat", "access", "readlink", "statvfs")
_PASS_ON: Final = frozenset({"genericpath", "posixpath", "pathlib", "pathlib._local", "os"})
_OURS: Final = __name__.partition(".")[0]
_LOOK_FOR_OTHERS: Final = frozenset({"linecache", "inspect", "pkgutil", "zipimport"})  # for source of code
# A library that is imported looks around, which leaves nothing in the world; and some try what kinds of socket there are.
_LOOK: Final = "look"
_SHOWS: Final = frozenset({"open", "os.listdir", "os.scandir"})  # what the code then gets is not in the chain
_READ_AT_IMPORT: Final = _SHOWS | {_LOOK, "ctypes.dlopen", "ctypes.dlsym"}
_TRIED_AT_IMPORT: Final = frozenset({"socket.__new__", "socket.bind"})
