"""A replay touches nothing outside, and a step that tried is never called a match."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.node.troupe import Troupe
from understudy.judging.refusals import Refusals
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId

MODULES = (
    "asyncio, ctypes, glob, mimetypes, multiprocessing.util, os, pathlib, shutil, signal, socket, sqlite3, subprocess, "
    "sys, tempfile, threading, urllib.request, zoneinfo"
)


@pytest.fixture
def troupe() -> Troupe:
    return Troupe()


@pytest.fixture
def served() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that answers everything alike, and what it was asked."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        thread = threading.Thread(target=serve)
        thread.start()
        yield "http://{}:{}".format(*server.getsockname()), heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def play(troupe: Troupe, body: str, *, kind: str = "def") -> ActorId:
    """An actor whose wit runs this body for one message, with `ctx`; a failure of it is a failure of the test."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"import {MODULES}\n{kind} wit(ctx):\n    if ctx.step_id is None:\n        return\n{lines}"
    actor = troupe.create({"wit": "/code:odd:wit", "code/odd.py": code})
    troupe.tell(actor, "go")
    assert troupe.step(actor).outcome is None, troupe.step(actor).outcome
    return actor


def judge(troupe: Troupe, actor: ActorId) -> Verdict:
    return verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]


def assert_shut(verdict: Verdict, line: str, *named: str) -> None:
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "world", 1), verdict
    for text in (line, *named, "through `ctx`"):
        assert text in str(verdict.reason), verdict.reason


POST = "urllib.request.urlopen('{url}/pay?key=1', data=b'card').read()"


@pytest.mark.parametrize(
    "body",
    [
        POST,
        f"try:\n    {POST}\nexcept OSError:\n    pass",
        f"thread = threading.Thread(target=lambda: {POST})\nthread.start()\nthread.join()",
        f"exec({POST!r})",
    ],
    ids=["plainly", "whatever happens", "in a thread", "by exec"],
)
def test_a_replay_does_not_charge_the_card_again(troupe: Troupe, served: tuple[str, list[bytes]], body: str):
    url, heard = served
    actor = play(troupe, body.replace("{url}", url))
    assert len(heard) == 1
    assert_shut(judge(troupe, actor), "code/odd.py:", "urllib.request.urlopen", f"urllib.Request {url}/pay")
    assert len(heard) == 1
    assert "key=1" not in str(judge(troupe, actor).reason)


def test_an_asynchronous_client_is_shut_out_too(troupe: Troupe, served: tuple[str, list[bytes]]):
    url, heard = served
    host, port = url.removeprefix("http://").split(":")
    body = f"""
reader, writer = await asyncio.open_connection("{host}", {port})
writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
await reader.read()
writer.close()
"""
    actor = play(troupe, body, kind="async def")
    assert_shut(judge(troupe, actor), "code/odd.py:5")
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("open('{file}', 'a').write('more')", "write {file}"),
        ("pathlib.Path('{file}').write_text('more')", "write {file}"),
        ("os.close(os.open('{file}', os.O_WRONLY | os.O_CREAT))", "write {file}"),
        ("ctx.log(open('{file}').read())", "read {file}"),
        ("ctx.log(len(os.listdir('{folder}')))", "read {folder}"),
        ("ctx.log(len(list(pathlib.Path('{folder}').iterdir())))", "read {folder}"),
        ("ctx.log(len(glob.glob('{folder}/*')))", "read {folder}"),
        ("ctx.log(os.path.exists('{file}'))", "stat {file}"),
        ("ctx.log(os.stat('{file}').st_size)", "stat {file}"),
        ("ctx.log(pathlib.Path('{folder}/no').is_file())", "stat {folder}/no"),
        ("ctx.log(os.access('{file}', os.R_OK))", "access {file}"),
        ("ctx.log(shutil.which('{file}'))", "{file}"),
        ("os.remove('{file}')", "os.remove {file}"),
        ("os.rename('{file}', '{file}.new')", "os.rename"),
        ("os.makedirs('{folder}/a/b')", "os.mkdir"),
        ("shutil.copy('{file}', '{folder}/copy')", "{file}"),
        ("tempfile.TemporaryFile().close()", "write "),
        ("sqlite3.connect('{folder}/db').execute('create table t (a)')", "sqlite3.connect"),
        ("subprocess.run(['true'])", "subprocess.Popen"),
        ("os.system('true')", "os.system"),
        ("if os.fork() == 0: os._exit(0)", "os.fork"),
        ("os.kill(os.getpid(), 0)", "os.kill"),
        ("os.mkfifo('{folder}/fifo')", "os.mkfifo"),
        ("os.mknod('{folder}/node')", "os.mknod"),
        ("signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0)", "signal.pidfd_send_signal"),
        ("multiprocessing.util.spawnv_passfds(b'/bin/true', [b'true'], ())", "_posixsubprocess.fork_exec"),
        ("socket.gethostname()", "socket.gethostname"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))", "socket.__new__"),
        ("ctypes.CDLL('libc.so.6')", "ctypes.dlopen libc.so.6"),
        ("ctypes.CDLL(None).getpid()", "ctypes.dlsym"),
    ],
)
def test_what_reaches_out_of_the_process_is_refused_and_its_line_named(
    troupe: Troupe, tmp_path: Path, body: str, named: str
):
    file = tmp_path / "file"
    file.write_text("some")
    places = {"{file}": str(file), "{folder}": str(tmp_path)}
    for name, value in places.items():
        body, named = body.replace(name, value), named.replace(name, value)
    actor = play(troupe, body)
    file.write_text("some")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    verdict = judge(troupe, actor)
    assert_shut(verdict, "code/odd.py:5", named)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "body",
    [
        "import colorsys, html.entities, json.tool",
        "ctx.log(zoneinfo.ZoneInfo('Europe/Berlin').key)",
        "ctx.log(mimetypes.guess_type('a.html')[0])",
        "ctx.log(sqlite3.connect(':memory:').execute('select 1').fetchone())",
        "print('to nobody', file=open(os.devnull, 'w'))",
        "ctx.log(asyncio.run(asyncio.sleep(0, 'done')))",
        "os.environ['TZ'] = 'UTC'",
        "left, right = socket.socketpair()\nleft.sendall(b'to myself')\nctx.log(right.recv(99))\nleft.close()\nright.close()",
        "ctx.log(len(ctypes.create_string_buffer(3)))",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    import traceback; ctx.log(len(traceback.format_exc()))",
        "import inspect; ctx.log(inspect.getmodule(wit).__name__)",
        "ctx.log(os.path.isfile(os.__file__))",
        "import ssl; ctx.log(ssl.create_default_context().check_hostname)",
        "import random; ctx.log(random.Random(4).random())",
        "import pydantic, httpx; ctx.log(httpx.Client().follow_redirects)",
        "import uuid; ctx.log(uuid.UUID(int=5))",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool: ctx.log(pool.submit(pow, 2, 9).result())",
    ],
)
def test_what_stays_in_the_process_or_is_the_interpreters_own_is_not_refused(troupe: Troupe, body: str):
    verdict = judge(troupe, play(troupe, body))
    assert verdict.ok, verdict


def test_a_library_that_only_looks_around_while_it_is_imported_is_not_accused(troupe: Troupe, tmp_path: Path):
    body = (
        "import numpy, requests" if _has("numpy") and _has("requests") else "import uuid, urllib.request, ssl, platform"
    )
    assert judge(troupe, play(troupe, body)).ok


def test_code_outside_the_core_is_named_by_its_module(troupe: Troupe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = f"writer_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(f"def wit(ctx):\n    open({str(tmp_path / 'file')!r}, 'a').write('x')\n")
    monkeypatch.syspath_prepend(tmp_path)
    actor = troupe.create({"wit": f"external:{name}:wit"})
    verdict = judge(troupe, actor)
    assert (verdict.verdict, verdict.cause) == ("UNVERIFIABLE", "world")
    assert f"{name}.py:2" in str(verdict.reason)
    assert (tmp_path / "file").read_text() == "x"


def test_where_the_system_allows_it_there_is_no_network_to_reach(served: tuple[str, list[bytes]]):
    url, heard = served
    code = f"""
import sys, urllib.request
from understudy.judging.shut_world import separate_network
if not separate_network():
    sys.exit(7)
urllib.request.urlopen({url!r}, timeout=5)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if ended.returncode == 7:
        pytest.skip("this system gives no network of one's own")
    assert ended.returncode == 1
    assert "unreachable" in ended.stderr or "refused" in ended.stderr, ended.stderr
    assert heard == []


WITHOUT_A_WALL = """
if 'PYTEST_CURRENT_TEST' not in os.environ:  # in a performer
    import understudy.judging.world_events
    understudy.judging.world_events._LOOKS.clear()
    try:
        {what}
    except (OSError, sqlite3.Error):
        pass
"""


@pytest.mark.parametrize(
    "what",
    [
        "open('{folder}/new', 'w')",
        "os.mkdir('{folder}/new')",
        "os.remove('{folder}/file')",
        "os.rename('{folder}/file', '{folder}/new')",
        "os.symlink('there', '{folder}/new')",
        "os.truncate('{folder}/file', 0)",
        "os.chmod('{folder}/file', 0)",
        "os.utime('{folder}/file', (1, 1))",
        "os.system('echo x > {folder}/new')",
        "subprocess.run(['cp', '{folder}/file', '{folder}/new'])",
        "os.fork() or os.mkdir('{folder}/new')",
        "sqlite3.connect(':memory:').execute(\"attach '{folder}/new' as new\").execute('create table new.t (a)')",
        "sqlite3.connect(':memory:').execute(\"vacuum into '{folder}/new'\")",
        "ctypes.CDLL(None).mkdir(b'{folder}/new', 0o700)",
        "os.kill({pid}, signal.SIGUSR1)",
        "ctypes.CDLL(None).syscall(424, os.pidfd_open({pid}), signal.SIGUSR1, None, 0)",
        "socket.socket(socket.AF_UNIX).connect('{folder}/socket')",
        "ctypes.CDLL(None).shmget(0x0dd, 64, 0o1600)",
    ],
)
def test_the_system_keeps_code_that_got_around_python_from_the_world(troupe: Troupe, tmp_path: Path, what: str):
    if not all(confined_here()):
        pytest.skip("this system has no Landlock, or seccomp of which we know no numbers")
    (tmp_path / "file").write_text("some")
    heard: list[int] = []
    usual = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "socket"))
            server.listen()
            server.setblocking(False)
            what = what.replace("{folder}", str(tmp_path)).replace("{pid}", str(os.getpid()))
            actor = play(troupe, WITHOUT_A_WALL.replace("{what}", what))
            before = looked_at(tmp_path)
            assert_refused(judge(troupe, actor))
            with pytest.raises(BlockingIOError):
                server.accept()
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert looked_at(tmp_path) == before
    assert heard == []
    assert ctypes.CDLL(None).shmget(0x0DD, 64, 0) == -1


def assert_refused(verdict: Verdict) -> None:
    """Python showed nothing of what was tried; the system did, unless it has no listener for it."""
    if not listens_here():
        return
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "world", 1), verdict
    assert "the system kept the code from this" in str(verdict.reason)


@pytest.mark.parametrize(
    "what",
    [
        "open('{folder}/file').read()",
        "sqlite3.connect(':memory:').execute(\"attach '{folder}/db' as other\").execute('select * from other.t')",
        "ctx.log(os.listdir('{folder}'))",
    ],
)
def test_code_that_got_around_python_reads_nothing_that_is_not_in_the_chain(troupe: Troupe, tmp_path: Path, what: str):
    if not all(confined_here()):
        pytest.skip("this system has no Landlock, or seccomp of which we know no numbers")
    (tmp_path / "file").write_text("some")
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("create table t (a)")
    told = f"""
if 'PYTEST_CURRENT_TEST' not in os.environ:
    import understudy.judging.world_events
    understudy.judging.world_events._LOOKS.clear()
    try:
        {what.replace("{folder}", str(tmp_path))}
        ctx.log('read')
    except (OSError, sqlite3.Error):
        ctx.log('nothing')
else:
    ctx.log('nothing')
"""
    verdict = judge(troupe, play(troupe, told))
    assert verdict.replayed is None, verdict  # what comes out is 'nothing', here as there
    assert verdict.ok or verdict.cause == "world"


def test_a_step_is_told_from_its_neighbours_where_only_the_system_saw_what_it_tried(troupe: Troupe, tmp_path: Path):
    if not listens_here():
        pytest.skip("this system has no listener for refused calls")
    what = f"os.mkdir({str(tmp_path / 'new')!r})"
    actor = play(
        troupe,
        # So long that each of them is told of by itself.
        "import time\ntime.sleep(0.03)"
        + WITHOUT_A_WALL.replace(
            "'PYTEST_CURRENT_TEST' not in os.environ", "ctx.height == 3 and 'PYTEST_CURRENT_TEST' not in os.environ"
        ).replace("{what}", what),
    )
    for _ in range(5):
        troupe.tell(actor, "go")
    verdict = judge(troupe, actor)
    assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "world", 3), verdict
    assert "mkdir" in str(verdict.reason)


def test_what_is_refused_after_a_message_counts_for_the_next_one_too():
    """The next run may have begun before its judge turned to it."""
    if not listens_here():
        pytest.skip("this system has no listener for refused calls")
    code = """
import os, socket, sys
from understudy.judging.confinement import confine
with socket.socket(fileno=int(sys.argv[1])) as end:
    listener = confine(listen=True, reader=os.getppid()).listener
    socket.send_fds(end, [b"+"], [listener])
    os.close(listener)
    try:
        os.mkdir("/tmp/never")
    except PermissionError:
        end.sendall(b"refused")
    end.recv(1)
"""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen([sys.executable, "-c", code, str(theirs.fileno())], pass_fds=[theirs.fileno()]) as ended,
    ):
        _, [listener], _, _ = socket.recv_fds(ours, 1, 1)
        refusals = Refusals(listener, ended.pid)
        select.select([listener], [], [], 60)
        refusals.answer_late()
        assert ours.recv(9) == b"refused"
        assert refusals.seen == ["mkdir"]
        refusals.turn()
        assert refusals.seen == ["mkdir"]
        refusals.turn()
        assert refusals.seen == []
        refusals.close()
        ours.sendall(b".")


def test_no_code_takes_the_listener_away(troupe: Troupe, tmp_path: Path):
    """A filter of the code's own could answer before ours, and nobody would hear of it."""
    if not listens_here():
        pytest.skip("this system has no listener for refused calls")
    what = "ctypes.CDLL(None).prctl(22, 2, 0, 0, 0)"
    assert_refused(judge(troupe, play(troupe, WITHOUT_A_WALL.replace("{what}", what))))


@cache
def listens_here() -> bool:
    code = "from understudy.judging.confinement import confine; print(confine(listen=True).listener is not None)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return found.strip() == "True"


def looked_at(folder: Path) -> list[tuple[Path, int, int, int]]:
    return sorted(
        (path, status.st_mode, status.st_size, status.st_mtime_ns)
        for path in folder.rglob("*")
        if (status := path.lstat())
    )


@cache
def confined_here() -> tuple[bool, bool]:
    code = "from understudy.judging.confinement import confine; print(*map(int, confine()[:2]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return found[0] == "1", found[1] == "1"


def test_confined_code_still_has_threads_its_own_signals_and_nowhere_to_write():
    code = """
import os, signal, socket, threading
from understudy.judging.confinement import confine
confine()
thread = threading.Thread(target=print, args=("a thread",))
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("a signal"))
signal.raise_signal(signal.SIGUSR1)
open(os.devnull, "w").write("gone")
[one.close() for one in socket.socketpair()]
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == ["a thread", "a signal"], ended.stderr


def test_a_forged_step_of_code_that_reaches_out_is_no_match(troupe: Troupe, tmp_path: Path):
    actor = play(troupe, f"open({str(tmp_path / 'file')!r}, 'a').write('x')\nctx.log('a')")
    troupe.forge(actor, log=None)
    assert judge(troupe, actor).verdict != "MATCH"


def _has(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True
