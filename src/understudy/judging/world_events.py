"""What Python's audit events do to the world, or ask of it, in words: `write /tmp/file`, `socket.connect ('…', 80)`.

The tables name each event that we know. What is in none of them does nothing to the world.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
import socket
import sys
import sysconfig
import threading
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_MAX_SHOWN: Final = 200  # characters of a path or an address
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class WorldEvents:
    """Reads audit events. What may be read without a word, `readable`, is what this process knew when it was made."""

    def __init__(self) -> None:
        self.readable: Final = _readable()
        self._own = threading.local()  # `looks` while we look where a path leads

    def knows(self, event: str) -> bool:
        """True for an audit event that may say that something is done to the world."""
        return event in _LOOKS

    def look(self, event: str, args: tuple[Any, ...]) -> str | None:
        """What an audit event that we know does to the world, None if nothing."""
        return _LOOKS[event](self, event, args)

    def file(self, path: Any, *, writes: bool) -> str | None:
        """What it is to use a file; None if nothing, as for the interpreter's own files."""
        with self.looking():
            name = _real(os.fsdecode(path))
        if name == os.devnull or (not writes and _is_below(name, self.readable)):
            return None
        return f"{'write' if writes else 'read'} {shorten(os.fsdecode(path))}"

    @property
    def is_looking(self) -> bool:
        """True if this thread looks for our own purposes, which is nobody's attempt."""
        return getattr(self._own, "looks", False)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look for our own purposes, on this thread."""
        before, self._own.looks = self.is_looking, True
        try:
            yield
        finally:
            self._own.looks = before

    def _open(self, event: str, args: tuple[Any, ...]) -> str | None:
        path, mode, flags = args
        if isinstance(path, int):
            return None
        writes = bool(flags & _WRITING) if isinstance(flags, int) else False
        if isinstance(mode, str):
            writes = writes or any(letter in mode for letter in "wax+")
        return self.file(path, writes=writes)

    def _list(self, event: str, args: tuple[Any, ...]) -> str | None:
        path = args[0] if args else "."
        return None if isinstance(path, int) else self.file("." if path is None else path, writes=False)


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


def shorten(value: Any) -> str:
    """A value as text of a bounded length."""
    text = str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _always(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    return event


def _first(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    return f"{event} {shorten(args[0])}" if args and isinstance(args[0], str | bytes | os.PathLike) else event


def _address(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    return f"{event} {shorten(args[1])}" if len(args) > 1 else event


def _message(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    # Without an address: to the other end of a pair, which is in this process.
    return None if len(args) < 2 or args[1] is None else _address(events, event, args)


def _socket(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    # Every event loop has a pair of local sockets, by which its threads wake it.
    return None if args[1] in (socket.AF_UNIX, -1) else event


def _url(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    # What comes behind a question mark may be a secret.
    return f"{event} {shorten(str(args[0]).partition('?')[0])}"


def _database(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    return None if args and args[0] in (":memory:", b":memory:", "") else _first(events, event, args)


def _library(events: WorldEvents, event: str, args: tuple[Any, ...]) -> str | None:
    return None if not args or args[0] is None else _first(events, event, args)


_Look = Callable[[WorldEvents, str, tuple[Any, ...]], str | None]
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
_LOOKS: Final[dict[str, _Look]] = {
    "open": WorldEvents._open,
    "os.listdir": WorldEvents._list,
    "os.scandir": WorldEvents._list,
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
