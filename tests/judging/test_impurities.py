"""What honest authors reach for beside `ctx`: what a living node says of it at once, and what a verdict says of it later.

One node plays all rows, and one run of `verify` judges all histories. A row whose `told` is None is not heard by the living
node; `why` says for what reason, and docs/reference.md says so to users.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.node.living import Living
from understudy.judging.verification import Target, verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId

MATCH, MISMATCH, UNVERIFIABLE = "MATCH", "MISMATCH", "UNVERIFIABLE"
# What a living node says is to be done.
NOW, RANDOM, CORE = "ctx.now()", "ctx.random", "put it into the core or the message"
HTTP, EFFECT = "ask by ctx.http", "ctx.effect(function"
# Why it says nothing.
NO_EVENT = "Python tells nobody when an attribute is read or an object is made"
LATER = "only a second process or a later step shows it"
IN_ASYNC = "an `async def` handler shares its thread with others, so it is not looked at call by call"
OF_A_LIBRARY = "a library asks for its own sake more often than for the author's"
IN_A_THREAD = "only the thread of the handler is watched"
NOTHING_WRONG = "nothing is wrong"


class Row(NamedTuple):
    """A handler's body, what stands before it, and what is said of it. `says` is part of the verdict's reason."""

    name: str
    body: str
    verdict: str
    cause: str | None = None
    says: str = ""
    told: str | None = None
    why: str = ""
    head: str = ""
    kind: str = "def"
    times: int = 1
    at: int = 0  # which line of the body is told of


def shown(
    expression: str, verdict: str, cause: str | None = None, says: str = "", *, told: str | None = None, why: str = ""
) -> Row:
    """A row whose body logs an expression; what it needs is imported."""
    modules = [found.group() for found in re.finditer(r"[a-z_0-9]+(\.[a-z]+)?(?=\.)", expression)]
    head = "".join(
        f"import {found if found in SUBMODULES else found.partition('.')[0]}\n"
        for found in modules
        if found.partition(".")[0] in sys.stdlib_module_names | {"httpx", "requests"}
    )
    return Row(expression, f"ctx.log({expression})", verdict, cause, says, told, why, head)


SUBMODULES = {"email.utils", "http.client", "importlib.metadata", "urllib.request"}
clock = partial(shown, verdict=MISMATCH, cause="clock", told=NOW)
chance = partial(shown, verdict=MISMATCH, cause="clock", told=RANDOM)
machine = partial(shown, verdict=MISMATCH, cause="world", told=EFFECT)
outside = partial(shown, verdict=UNVERIFIABLE, cause="world", told=EFFECT)
network = partial(shown, verdict=UNVERIFIABLE, cause="world", told=HTTP)


def kept(name: str, head: str, body: str, says: str = "keeps something between steps") -> Row:
    """A row that keeps something from its first step to its second."""
    return Row(name, body, MISMATCH, "global", says, why=LATER, head=head, times=2)


ROWS = [
    # Clocks.
    clock("time.time()", says="calls time.time"),
    clock("time.monotonic()", says="calls time.monotonic"),
    clock("time.perf_counter()", says="calls time.perf_counter"),
    clock("time.localtime().tm_sec", says="calls time.localtime"),
    clock("datetime.datetime.now()", says="calls datetime.now"),
    clock("datetime.datetime.utcnow()", says="calls datetime.utcnow"),
    clock("datetime.datetime.fromtimestamp(0)", says="by the machine's time zone"),
    shown("email.utils.formatdate()", MISMATCH, "clock", "calls email.utils.formatdate", why=OF_A_LIBRARY),
    Row(
        "the clock, awaited",
        "ctx.log(time.time())",
        MISMATCH,
        "clock",
        "calls time.time",
        why=IN_ASYNC,
        head="import time",
        kind="async def",
    ),
    Row(
        "the clock of the loop",
        "ctx.log(asyncio.get_running_loop().time())",
        MISMATCH,
        "clock",
        "by its event loop",
        why=IN_ASYNC,
        head="import asyncio",
        kind="async def",
    ),
    Row(
        "the clock in a thread",
        "thread = threading.Thread(target=lambda: ctx.log(time.time()))\nthread.start()\nthread.join()",
        MISMATCH,
        "clock",
        "calls time.time",
        why=IN_A_THREAD,
        head="import threading, time",
    ),
    Row("a sleep", "await asyncio.sleep(0.001)", MATCH, why=NOTHING_WRONG, head="import asyncio", kind="async def"),
    # Chance.
    chance("random.random()", says="calls random.random"),
    chance("random.Random().random()", says="calls random.Random, without a seed"),
    chance("secrets.token_hex()", says="calls secrets.token_hex"),
    chance("os.urandom(4)", says="calls os.urandom"),
    chance("uuid.uuid1()", says="calls uuid.uuid1"),
    chance("uuid.uuid4()", says="calls uuid.uuid4"),
    shown("random.Random(4).random()", MATCH, why=NOTHING_WRONG),
    # The environment.
    shown("os.environ['UNDERSTUDY_IMPURE']", MISMATCH, "world", "calls os.environ", told=CORE),
    shown("os.getenv('UNDERSTUDY_IMPURE')", MISMATCH, "world", "calls os.environ", told=CORE),
    machine("os.getpid()", says="calls os.getpid"),
    shown("os.getcwd()", MATCH, told=EFFECT),
    shown("os.cpu_count()", MATCH, told=EFFECT),
    machine("resource.getrusage(0).ru_maxrss", says="calls resource.getrusage"),
    outside("socket.gethostname()", says="(socket.gethostname)"),
    shown("platform.node()", MATCH, why="the machine is asked once, before the world is shut"),
    shown("locale.getlocale()", MATCH, why=NO_EVENT),
    shown("sys.argv", MISMATCH, "world", "sys.argv", why=NO_EVENT),
    shown("sys.flags", MISMATCH, "hash", why=NO_EVENT),  # one of them says whether hashes are random
    shown("threading.get_ident()", MISMATCH, "world", "calls threading.get_ident", why=LATER),
    shown("threading.current_thread().name", MISMATCH, "world", "calls threading.Thread.name", why=LATER),
    Row(
        "the name of a task",
        "ctx.log(asyncio.current_task().get_name())",
        MISMATCH,
        "world",
        "calls asyncio.Task.get_name",
        why=IN_ASYNC,
        head="import asyncio",
        kind="async def",
    ),
    # Files.
    outside("open('{folder}/some').read()", says="(read {folder}/some)"),
    outside("open('{folder}/new', 'a').write('x')", says="(write {folder}/new)"),
    outside("pathlib.Path('{folder}/some').read_text()", says="pathlib.Path.read_text"),
    outside("tempfile.mkdtemp()", says="tempfile.mkdtemp"),
    outside("sqlite3.connect('{folder}/db').execute('select 1').fetchone()", says="sqlite3.connect"),
    outside("glob.glob('{folder}/*')", says="glob.glob"),
    outside("os.stat('{folder}/some').st_size", says="(stat {folder}/some)"),
    outside("os.path.exists('{folder}/some')", says="(stat {folder}/some)"),
    outside("os.listdir('{folder}')", says="(read {folder})"),
    shown("importlib.metadata.version('httpx')", MATCH, why="what is installed beside Python may be read"),
    # The network.
    network("socket.create_connection({server}).close()", says="socket.create_connection"),
    network("urllib.request.urlopen('{url}').read()", says="urllib.request.urlopen"),
    network("http.client.HTTPConnection(*{server}).request('GET', '/')", says="http.client.HTTPConnection.request"),
    network("requests.get('{url}').text", says="requests.api.get"),
    network("httpx.get('{url}').text", says="httpx._api.get"),
    network("socket.getaddrinfo('localhost', 80)", says="socket.getaddrinfo"),
    Row(
        "a stream",
        "_, writer = await asyncio.open_connection(*{server})\nwriter.close()",
        UNVERIFIABLE,
        "world",
        "asyncio.streams.open_connection",
        HTTP,
        head="import asyncio",
        kind="async def",
    ),
    Row(
        "a client that begins tasks",
        "async with httpx.AsyncClient() as client:\n    ctx.log((await client.get('{url}')).text)",
        UNVERIFIABLE,
        "world",
        "a callback",
        HTTP,
        head="import httpx",
        kind="async def",
    ),
    # Processes and threads.
    outside("subprocess.run(['true']).returncode", says="subprocess.run"),
    outside("os.system('true')", says="os.system"),
    Row(
        "a fork",
        "if (child := os.fork()) == 0:\n    os._exit(0)\nos.waitpid(child, 0)",
        UNVERIFIABLE,
        "world",
        "os.fork",
        EFFECT,
        head="import os",
    ),
    Row(
        "a process",
        "process = multiprocessing.get_context('fork').Process(target=int)\nprocess.start()\nprocess.join()",
        UNVERIFIABLE,
        "world",
        "os.fork",
        EFFECT,
        head="import multiprocessing",
        at=1,
    ),
    Row(
        "a pool of threads",
        "with ThreadPoolExecutor(1) as pool:\n    ctx.log(pool.submit(pow, 2, 3).result())",
        MATCH,
        why=NOTHING_WRONG,
        head="from concurrent.futures import ThreadPoolExecutor",
    ),
    Row(
        "a thread that goes on",
        "threading.Thread(target=time.sleep, args=[2], daemon=True).start()",
        UNVERIFIABLE,
        "threads",
        "a thread goes on after the step",
        why=LATER,
        head="import threading, time",
    ),
    # Order, and what is another in each process.
    Row(
        "the order of a set",
        "ctx.log(list({'ada', 'bela', 'chidi', 'dunya', 'emre', 'farah'}))",
        MISMATCH,
        "hash",
        "makes a set",
        why=LATER,
    ),
    Row(
        "a dictionary of a set",
        "ctx.log(list(dict.fromkeys({'ada', 'bela', 'chidi', 'dunya', 'emre', 'farah'})))",
        MISMATCH,
        "hash",
        "makes a set",
        why=LATER,
    ),
    Row("a hash", "ctx.log(hash('ada'))", MISMATCH, "hash", "calls hash", why=LATER),
    Row("a number for an object", "ctx.log(id(ctx))", MISMATCH, "clock", "calls id", why=LATER),
    Row("an address", "ctx.log(Thing())", MISMATCH, "clock", "defines Thing", why=LATER, head="class Thing: pass"),
    Row(
        "a weak reference",
        "ctx.log(weakref.ref(Thing()))",
        MISMATCH,
        "world",
        "an address in memory",
        why=LATER,
        head="import weakref\nclass Thing: pass",
    ),
    shown("len(gc.get_objects())", MISMATCH, "world", "what it holds (gc", why=LATER),
    # What is kept between steps.
    kept(
        "a counter in the module", "COUNT = 0", "global COUNT\nCOUNT += 1\nctx.log(COUNT)", "changes its global COUNT"
    ),
    kept(
        "a cache",
        "import functools\nCALLS = []\n@functools.cache\ndef slow(n): return CALLS.append(n) or len(CALLS)",
        "ctx.log(slow(ctx.height))",
        "changes its global CALLS",
    ),
    kept("an attribute of a class", "class Thing:\n    count = 0", "Thing.count += 1\nctx.log(Thing.count)"),
    kept("a default that changes", "def add(to=[]): return to.append(1) or len(to)", "ctx.log(add())"),
    kept("a generator of numbers", "import random\nDICE = random.Random(4)", "ctx.log(DICE.random())"),
    kept(
        "a patched library",
        "import string",
        "string.odd = getattr(string, 'odd', 0) + 1\nctx.log(string.odd)",
        "the code changes string.odd",
    ),
    kept(
        "a handler of a log",
        "import io, logging\nPAPER, LOGGER = io.StringIO(), logging.getLogger('understudy.odd')",
        "LOGGER.addHandler(logging.StreamHandler(PAPER))\nLOGGER.warning('x')\nctx.log(len(PAPER.getvalue()))",
    ),
    Row(
        "a context variable",
        "COUNT.set(COUNT.get() + 1)\nctx.log(COUNT.get())",
        MATCH,
        why=NOTHING_WRONG,
        head="from contextvars import ContextVar\nCOUNT = ContextVar('count', default=0)",
        times=4,
    ),
    # Others.
    shown("math.lgamma(0.3)", MATCH, why=NO_EVENT),
    shown("__import__('httpx').__version__", MATCH, why=NO_EVENT),
    Row(
        "a warning that is shown once",
        "warnings.warn('odd', stacklevel=1)",
        MATCH,
        why=NOTHING_WRONG,
        head="import warnings",
        times=2,
    ),
    Row(
        "a signal",
        "try:\n    signal.signal(signal.SIGUSR1, signal.SIG_DFL)\nexcept ValueError as error:\n    ctx.log(error)",
        MISMATCH,
        "world",
        "calls signal.signal",
        EFFECT,
        head="import signal",
        at=1,
    ),
    outside("ctypes.CDLL(None).getpid()", says="ctypes.dlsym"),
]


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class _Told(logging.Handler):
    """The warnings of the node."""

    def __init__(self) -> None:
        super().__init__()
        self._all: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._all.append(record.getMessage())

    def about(self, number: int, actor: object) -> list[str]:
        """Those that name a row's file, or its actor."""
        return [told for told in self._all if f"code/row_{number}.py:" in told or f"{actor}: a task" in told]


class Played(NamedTuple):
    """What a row came to."""

    line: int
    told: list[str]
    verdict: Verdict
    places: Mapping[str, str]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A folder with a file, and a server."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "some").write_text("text")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        host, port = "127.0.0.1", server.server_port
        yield {"{folder}": str(folder), "{url}": f"http://{host}:{port}/", "{server}": f"({host!r}, {port})"}
        server.shutdown()


@pytest.fixture(scope="module")
def played(places: Mapping[str, str]) -> Iterator[list[Played]]:
    """All rows, played by one node and judged by one run."""
    heard = _Told()
    logger = logging.getLogger("understudy.impure")
    logger.addHandler(heard)
    with pytest.MonkeyPatch.context() as machine:
        machine.setenv("UNDERSTUDY_IMPURE", "here")
        machine.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        with Living() as living:
            made = [_play(living, number, row, places) for number, row in enumerate(ROWS)]
            targets = [Target(actor, living.node.lookup.newest(actor)) for actor, _ in made]
            verdicts = verify_targets(living.backend, targets, processes=2)
    time.tzset()
    logger.removeHandler(heard)
    yield [
        Played(line, heard.about(number, actor), verdict, places)
        for number, ((actor, line), verdict) in enumerate(zip(made, verdicts, strict=True))
    ]


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def _play(living: Living, number: int, row: Row, places: Mapping[str, str]) -> tuple[ActorId, int]:
    """The actor of a row, which did what it does, and the line where its body begins."""
    body = "".join(f"    {line}\n" for line in _filled(row.body, places).splitlines())
    head = f"from understudy import Wit\nwit = Wit()\n{row.head.rstrip()}\n\n@wit.message('go')\n{row.kind} go(n: int, ctx):\n"
    files = {"wit": f"/code:row_{number}:wit", f"code/row_{number}.py": head + body}
    actor = living.run(living.node.create({path: text.encode() for path, text in files.items()})).id
    for count in range(row.times):
        outcome = living.ask(actor, "go", count).outcome
        assert outcome is None, (row.name, outcome)
    return actor, head.count("\n") + 1


def test_there_are_many():
    assert len(ROWS) >= 40 and len({row.name for row in ROWS}) == len(ROWS)
    # Whatever is not told has a reason.
    assert all((row.told is None) == bool(row.why) for row in ROWS)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row.name for row in ROWS])
def test_an_impurity_is_told_and_judged_and_its_cause_is_right(played: list[Played], number: int):
    row, (line, told, verdict, places) = ROWS[number], played[number]
    assert (verdict.verdict, verdict.cause) == (row.verdict, row.cause), verdict
    assert _filled(row.says, places) in str(verdict.reason or ""), verdict.reason
    if row.told is None:
        assert told == []
        return
    assert told and all(row.told in one for one in told), told
    if "a task or callback" not in told[0]:
        assert re.match(rf"code/row_{number}\.py:{line + row.at}\b", told[0]), told


@pytest.mark.skipif(os.name != "posix", reason="paths")
def test_what_is_not_seen_stands_in_the_reference():
    text = Path("docs/reference.md").read_text(encoding="utf-8")
    for word in ("sys.argv", "`async def`", "threads do that a wit starts", "email.utils", "order of a set"):
        assert word in text, word
