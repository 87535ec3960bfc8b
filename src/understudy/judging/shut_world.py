"""The shut world of a replay: what a wit would do to the world, or ask of it, fails in the process that replays it.

The law: a step that tried is noted with the line of its author, and is never a MATCH. Python's audit events are the
first wall, and the only one that can name a line. The second is the system's, where it gives one, and holds for all code:
a network of its own that reaches nothing, no file that can grow, and what `confinement` takes away.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import mimetypes
import os
import platform
import resource
import socket
import sys
import sysconfig
import threading
import time
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final

from msgspec import Struct

from understudy.judging.confinement import SYSTEM_FILES, confine
from understudy.judging.other_threads import others_run

MAX_TRIED: Final = 3  # the first is what to mend; more only to show that there are more
_MOMENT_SECONDS: Final = 0.1
_JOINABLE: Final = "_start_joinable_thread"
_MAX_DEPTH: Final = 200  # frames between the author's line and what it comes to
_MAX_SHOWN: Final = 200  # characters of a path or an address

_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IMPORTS: Final = "<frozen importlib"

Belongs = Callable[[FrameType], str | None]


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
        self._readable = _readable()
        self.peeked: list[Tried] = []  # what it tried to read while it was imported, which is no fault
        self.threads: list[str] = []  # where the author's code started threads since then
        self._thread: str | None = None  # where it did so last
        self._own = threading.local()  # `looks` while we look where a path leads

    def shut(self, judge: int | None = None) -> int | None:
        """Put up both walls, for good. The second one is left out where the system refuses it.

        For a judge, whose process it is: the listener to hand to it, None where there is none.
        """
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        listener = confine((*self._readable, *SYSTEM_FILES), listen=judge is not None, reader=judge).listener
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

    def knows(self, event: str) -> bool:
        """True for an audit event that may say that something is done to the world."""
        return event in _LOOKS

    def look(self, event: str, args: tuple[Any, ...]) -> str | None:
        """What an audit event that we know does to the world, None if nothing."""
        return _LOOKS[event](self, event, args)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _LOOKS:
            return
        what = self.look(event, args)
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
            if not isinstance(path, int) and not getattr(self._own, "looks", False):
                what = self._file(path, writes=False)
                if what is not None and not _looks_for_others(_caller()) and self._author()[0] is not None:
                    self._refuse(_LOOK, f"{name} {_short(os.fsdecode(path))}")
            return look(path, *args, **more)

        return look_inside

    @contextlib.contextmanager
    def _looking_ourselves(self) -> Iterator[None]:
        before, self._own.looks = getattr(self._own, "looks", False), True
        try:
            yield
        finally:
            self._own.looks = before

    def _author(self) -> tuple[str | None, bool]:
        with self._looking_ourselves():
            return find_author(sys._getframe(1), self._belongs)

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

    def _open(self, event: str, args: tuple[Any, ...]) -> str | None:
        path, mode, flags = args
        if isinstance(path, int):
            return None
        writes = bool(flags & _WRITING) if isinstance(flags, int) else False
        if isinstance(mode, str):
            writes = writes or any(letter in mode for letter in "wax+")
        return self._file(path, writes=writes)

    def _list(self, event: str, args: tuple[Any, ...]) -> str | None:
        path = args[0] if args else "."
        return None if isinstance(path, int) else self._file("." if path is None else path, writes=False)

    def _file(self, path: Any, *, writes: bool) -> str | None:
        with self._looking_ourselves():
            name = _real(os.fsdecode(path))
        if name == os.devnull or (not writes and _is_below(name, self._readable)):
            return None
        return f"{'write' if writes else 'read'} {_short(os.fsdecode(path))}"


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


def _nowhere(frame: FrameType) -> bool:
    return False


def find_author(
    frame: FrameType, belongs: Belongs, skip: Callable[[FrameType], bool] = _nowhere
) -> tuple[str | None, bool]:
    """The author's line that led to a frame, and what it calls; and whether that only imports something.

    None if a frame that `skip` names comes first: it did it on its own account.
    """
    called, at_import = None, False
    at: FrameType | None = frame
    for _ in range(_MAX_DEPTH):
        if at is None:
            break
        code = at.f_code
        path = belongs(at)
        if path is not None:
            return f"{path}:{at.f_lineno}" + (f" calls {called}" if called else ""), at_import
        if skip(at):
            break
        if code.co_filename.startswith(_IMPORTS):
            at_import = True
        elif code.co_filename != __file__ and not code.co_filename.startswith("<"):
            called = f"{at.f_globals.get('__name__', '?')}.{code.co_qualname}"
        at = at.f_back
    return None, at_import


def _looks_for_others(module: str) -> bool:
    """True for what looks for the source of code that runs, and for our own."""
    return module in _LOOK_FOR_OTHERS or module.partition(".")[0] == _OURS


def _caller() -> str:
    """The module that asked about a file, behind those of the library that only pass the question on."""
    at = sys._getframe(2)
    while at.f_back is not None and at.f_globals.get("__name__") in _PASS_ON:
        at = at.f_back
    return str(at.f_globals.get("__name__", ""))


def _readable() -> tuple[str, ...]:
    """The interpreter's own files, those of the modules that it was told of, and the tables that its library reads."""
    library = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = str(Path(__file__).parent.parent)
    folders = [sys.prefix, sys.base_prefix, *library, own, *filter(os.path.isabs, sys.path), *zoneinfo.TZPATH]
    found = [_real(os.fspath(name)) for name in (*folders, *mimetypes.knownfiles)]
    return tuple(dict.fromkeys(name for name in found if name != os.sep))


@lru_cache(maxsize=4096)
def _real(path: str) -> str:
    return os.path.realpath(path)


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name == folder or name.startswith(folder + os.sep) for folder in folders)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _always(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    return event


def _first(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    return f"{event} {_short(args[0])}" if args and isinstance(args[0], str | bytes | os.PathLike) else event


def _address(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    return f"{event} {_short(args[1])}" if len(args) > 1 else event


def _message(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    # Without an address: to the other end of a pair, which is in this process.
    return None if len(args) < 2 or args[1] is None else _address(world, event, args)


def _socket(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    # Every event loop has a pair of local sockets, by which its threads wake it.
    return None if args[1] in (socket.AF_UNIX, -1) else event


def _url(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    # What comes behind a question mark may be a secret.
    return f"{event} {_short(str(args[0]).partition('?')[0])}"


def _database(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    return None if args and args[0] in (":memory:", b":memory:", "") else _first(world, event, args)


def _library(world: ShutWorld, event: str, args: tuple[Any, ...]) -> str | None:
    return None if not args or args[0] is None else _first(world, event, args)


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
_Look = Callable[[ShutWorld, str, tuple[Any, ...]], str | None]
_PROCESSES: Final = (
    *("os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.posix_spawn", "os.spawn", "os.startfile"),
    *("os.system", "pty.spawn", "signal.pthread_kill", "subprocess.Popen", "webbrowser.open"),
)
_FILES: Final = (
    *("os.chflags", "os.chmod", "os.chown", "os.chroot", "os.link", "os.lockf", "os.mkdir", "os.remove", "os.rename"),
    *(
        "os.removexattr",
        "os.rmdir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "fcntl.flock",
        "fcntl.lockf",
    ),
    *("tempfile.mkdtemp", "tempfile.mkstemp", "shutil.chown", "shutil.make_archive", "shutil.move", "shutil.rmtree"),
)
_HOSTS: Final = (
    *("socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.gethostname", "socket.getnameinfo"),
    *("socket.getservbyname", "socket.getservbyport", "socket.sethostname", "http.client.connect", "http.client.send"),
    *(
        "ftplib.connect",
        "imaplib.open",
        "nntplib.connect",
        "poplib.connect",
        "smtplib.connect",
        "telnetlib.Telnet.open",
    ),
    *("syslog.openlog", "syslog.syslog", "resource.setrlimit", "resource.prlimit"),
)
# A library that is imported looks around, which leaves nothing in the world; and some try what kinds of socket there are.
_LOOK: Final = "look"
_SHOWS: Final = frozenset({"open", "os.listdir", "os.scandir"})  # what the code then gets is not in the chain
_READ_AT_IMPORT: Final = _SHOWS | {_LOOK, "ctypes.dlopen", "ctypes.dlsym"}
_TRIED_AT_IMPORT: Final = frozenset({"socket.__new__", "socket.bind"})
_LOOKS: Final[dict[str, _Look]] = {
    "open": ShutWorld._open,
    "os.listdir": ShutWorld._list,
    "os.scandir": ShutWorld._list,
    "socket.__new__": _socket,
    "socket.connect": _address,
    "socket.bind": _address,
    "socket.sendto": _address,
    "socket.sendmsg": _message,
    "urllib.Request": _url,
    "sqlite3.connect": _database,
    "sqlite3.load_extension": _first,
    "ctypes.dlopen": _library,
    "ctypes.dlsym": _always,
    "ctypes.call_function": _always,
    **dict.fromkeys(_PROCESSES, _first),
    **dict.fromkeys(_FILES, _first),
    **dict.fromkeys(_HOSTS, _always),
}
