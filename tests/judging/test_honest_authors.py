"""What honest but careless authors write, and what a verdict says of it: the word, the cause, and where to look."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.node.troupe import Troupe
from understudy.engines.python.settings import SETTINGS
from understudy.judging.foreign import verify_car
from understudy.judging.verification import verify_targets
from understudy.kernel.verdict import Verdict
from understudy.objects.ids import ActorId
from understudy.objects.step import Outcome
from understudy.store.car import car_pieces
from understudy.store.walk import walk


class Row(NamedTuple):
    """A wit: its body at each message, and what goes before it; what is said of its history; `times` messages."""

    name: str
    head: str
    body: str
    verdict: str
    cause: str | None = None
    says: str = ""
    times: int = 1
    kind: str = "def"


MATCH, MISMATCH, UNVERIFIABLE = "MATCH", "MISMATCH", "UNVERIFIABLE"
RACE = "thread = threading.Thread(target=lambda: ctx.log(threading.get_ident()))\nthread.start()\nthread.join()"
ROWS = [
    Row(
        "a request with a constant answer",
        "import httpx",
        "try:\n    httpx.post('http://127.0.0.1:9/', content=b'card')\nexcept httpx.HTTPError:\n    pass",
        *(UNVERIFIABLE, "world", "code/odd.py:6 calls httpx"),
    ),
    Row("a file that grows", "", "open('{folder}/log', 'a').write('x')", UNVERIFIABLE, "world", "code/odd.py:5"),
    Row("a file that is read", "", "ctx.log(open('{folder}/some').read())", UNVERIFIABLE, "world", "code/odd.py:5"),
    Row(
        "a process for each step, awaited",
        "import asyncio",
        "process = await asyncio.create_subprocess_exec('true')\nawait process.wait()",
        *(UNVERIFIABLE, "world", "code/odd.py:5"),
        kind="async def",
    ),
    Row(
        "a counter in the environment",
        "import os",
        "os.environ['UNDERSTUDY_ODD'] = str(int(os.environ.get('UNDERSTUDY_ODD', '0')) + 1)\n"
        "ctx.log(os.environ['UNDERSTUDY_ODD'])",
        *(MISMATCH, "global", "between steps"),
        times=9,
    ),
    Row(
        "the environment", "import os", "ctx.log(os.environ['PYTEST_CURRENT_TEST'])", MISMATCH, "world", "os.environ"
    )._replace(body="ctx.log(os.environ.get('PYTEST_CURRENT_TEST'))"),
    Row(
        "a counter on a library's module",
        "import string",
        "string.odd = getattr(string, 'odd', 0) + 1\nctx.log(string.odd)",
        *(MISMATCH, "global", "the code changes string.odd"),
        times=9,
    ),
    Row(
        "a counter in the module",
        "SEEN = []",
        "SEEN.append(1)\nctx.log(len(SEEN))",
        *(MISMATCH, "global", "code/odd.py changes its global SEEN"),
        times=9,
    ),
    Row("a cache that shows nowhere", "CACHE = {}", "ctx.log(CACHE.setdefault(2, 2 ** 9))", MATCH, times=9),
    Row(
        "the precision of decimals, set where the module begins",
        "import decimal\ndecimal.getcontext().prec = 6",
        "ctx.log(decimal.Decimal(1) / 3)",
        MATCH,
        times=3,
    ),
    Row(
        "the precision of decimals, raised in each step",
        "import decimal",
        "decimal.getcontext().prec += 1\nctx.log(decimal.Decimal(1) / 3)",
        MATCH,
        times=5,
    ),
    Row(
        "a context variable",
        "from contextvars import ContextVar\nCOUNT = ContextVar('count', default=0)",
        "COUNT.set(COUNT.get() + 1)\nctx.log(COUNT.get())",
        MATCH,
        times=5,
    ),
    Row(
        "a context variable, awaited",
        "import asyncio\nfrom contextvars import ContextVar\nCOUNT = ContextVar('count', default=0)",
        "COUNT.set(COUNT.get() + 1)\nawait asyncio.sleep(0)\nctx.log(COUNT.get())",
        MATCH,
        times=5,
        kind="async def",
    ),
    Row(
        "six sleeps of one length",
        "import asyncio",
        "async def one(n):\n    await asyncio.sleep(0.01)\n    ctx.log(n)\nawait asyncio.gather(*map(one, range(6)))",
        MATCH,
        times=3,
        kind="async def",
    ),
    Row(
        "a pool of one's own",
        "import asyncio\nfrom concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor(2)",
        "ctx.log(await asyncio.wrap_future(POOL.submit(pow, 2, 9)))",
        MATCH,
        times=3,
        kind="async def",
    ),
    Row(
        "a pool of one's own, with a deadline",
        "import asyncio, time\nfrom concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor(2)",
        "slow = POOL.submit(lambda: time.sleep(0.05) or 'done')\n"
        "ctx.log(await asyncio.wait_for(asyncio.wrap_future(slow), 5))",
        MATCH,
        kind="async def",
    ),
    Row(
        "a thread that calls the loop",
        "import asyncio, threading",
        "loop = asyncio.get_running_loop()\ndone = loop.create_future()\n"
        "threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set_result, 1)).start()\nctx.log(await done)",
        MATCH,
        kind="async def",
    ),
    Row(
        "a thread that only hands over where it was played",
        "import asyncio, sys, threading",
        "loop = asyncio.get_running_loop()\ndone = loop.create_future()\n"
        "go = lambda: 'pytest' in sys.modules and loop.call_soon_threadsafe(done.set_result, 1)\n"
        "threading.Thread(target=go).start()\nctx.log(await done)",
        *(UNVERIFIABLE, "threads", "code/odd.py:8"),
        kind="async def",
    ),
    Row(
        "a thread that goes on after its step",
        "import threading, time",
        "threading.Thread(target=time.sleep, args=[9], daemon=True).start()",
        *(UNVERIFIABLE, "threads", "code/odd.py:5 calls threading.Thread.start: a thread goes on after the step"),
        times=3,
    ),
    Row(
        "a thread that writes to a file when its step is long over",
        "import threading, time",
        "go = lambda: time.sleep(3) or open('{folder}/some', 'a').write('x')\n"
        "threading.Thread(target=go, daemon=True).start()",
        *(UNVERIFIABLE, "threads", "code/odd.py:6"),
    ),
    Row(
        "a thread that ends soon",
        "import threading, time",
        "threading.Thread(target=time.sleep, args=[0.01]).start()",
        *(MATCH,),
        times=3,
    ),
    Row(
        "a pool that is left open",
        "from concurrent.futures import ThreadPoolExecutor",
        "ctx.log(ThreadPoolExecutor(2).submit(pow, 2, 9).result())",
        *(MATCH,),
        times=3,
    ),
    Row("a race of threads", "import threading", RACE, MISMATCH, "threads", "code/odd.py:6"),
    Row("the clock", "import time", "ctx.log(time.time_ns())", MISMATCH, "clock", "code/odd.py:5 calls time.time_ns"),
    Row("chance", "import uuid", "ctx.log(uuid.uuid4())", MISMATCH, "clock", "code/odd.py:5 calls uuid.uuid4"),
    Row(
        "a clock that msgspec calls",
        "import time\nfrom msgspec import Struct, field\nclass Note(Struct):\n    at: float = field(default_factory=time.time)",
        "ctx.log(Note().at)",
        *(MISMATCH, "clock", "code/odd.py:4 hands on time.time"),
    ),
    Row(
        "a clock that msgspec calls by another name",
        "from time import time_ns as now\nfrom msgspec import Struct, field\n"
        "class Note(Struct):\n    at: int = field(default_factory=now)",
        "ctx.log(Note().at)",
        *(MISMATCH, "clock", "code/odd.py:4 hands on time.time_ns"),
    ),
    Row(
        "a clock that pydantic calls",
        "from datetime import datetime\nfrom pydantic import BaseModel, Field\n"
        "class Note(BaseModel):\n    at: datetime = Field(default_factory=datetime.now)",
        "ctx.log(Note().at.isoformat())",
        *(MISMATCH, "clock", "code/odd.py:4 hands on datetime.now"),
    ),
    Row(
        "a time zone",
        "from datetime import datetime",
        "ctx.log(datetime.fromtimestamp(1_700_000_000).isoformat())",
        *(MISMATCH, "clock", "code/odd.py:5 calls datetime.fromtimestamp, by the machine's time zone"),
    ),
    Row("an address", "class Thing: pass", "ctx.log(Thing())", MISMATCH, "clock", "code/odd.py:1 defines Thing"),
    Row("a function's address", "", "ctx.log(lambda: 1)", MISMATCH, "clock", "code/odd.py:5 defines <lambda>"),
    Row(
        "an address in the state",
        "class Outer:\n    class Thing: pass",
        "ctx.core['state'] = str([Outer.Thing()])",
        *(MISMATCH, "clock", "code/odd.py:2 defines Thing"),
    ),
    Row(
        "a library's address",
        "import threading",
        "ctx.log(threading.Lock())",
        MISMATCH,
        "clock",
        "address of an object",
    ),
    Row(
        "the order of keys that were subtracted",
        "",
        "ctx.log(' '.join(dict.fromkeys(['ada', 'bela', 'chidi', 'dunya', 'emre']).keys() - {}.keys()))",
        *(MISMATCH, "hash", "order of a set"),
    ),
    Row("a number for an object", "", "ctx.log(id(ctx))", MISMATCH, "clock", "code/odd.py:5 calls id"),
    Row(
        "the order of a set",
        "",
        "ctx.log(' '.join({'ada', 'bela', 'chidi', 'dunya', 'emre', 'farah'}))",
        *(MISMATCH, "hash", "code/odd.py:5 makes a set"),
    ),
    Row("the hash of a text", "", "ctx.log(hash('ada'))", MISMATCH, "hash", "code/odd.py:5"),
    Row("a set that is sorted", "", "ctx.log(sorted({'ada', 'bela', 'chidi', 'dunya'}))", MATCH, times=3),
    Row("the time of the step", "", "ctx.log(ctx.now(), ctx.random.random())", MATCH, times=3)._replace(
        body="ctx.log(ctx.now())\nctx.log(ctx.random.random())"
    ),
]


@pytest.fixture
def troupe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Troupe]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield Troupe()
    monkeypatch.undo()
    time.tzset()
    os.environ.pop("UNDERSTUDY_ODD", None)
    vars(string).pop("odd", None)


def create(troupe: Troupe, head: str, body: str, *, kind: str = "def", nonce: str = "") -> ActorId:
    """An actor that does this at each message."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = f"{head}\n{kind} wit(ctx):\n    if ctx.step_id is None:\n        return\n{lines}"
    files = {"wit": "/code:odd:wit", "code/odd.py": code}
    return troupe.create({**files, "nonce": nonce} if nonce else files)


def judge(troupe: Troupe, actor: ActorId) -> Verdict:
    return verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]


def assert_said(verdict: Verdict, word: str, cause: str | None, says: str) -> None:
    assert (verdict.verdict, verdict.cause) == (word, cause), verdict
    assert says in str(verdict.reason or ""), verdict.reason


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_verdict_is_right_and_names_the_cause(troupe: Troupe, tmp_path: Path, row: Row):
    (tmp_path / "some").write_text("text")
    # The line numbers above count from a head of one line.
    shift = row.head.count("\n")
    actor = create(troupe, row.head, row.body.replace("{folder}", str(tmp_path)), kind=row.kind)
    for number in range(row.times):
        troupe.tell(actor, "go", number)
        assert troupe.step(actor).outcome is None, troupe.step(actor).outcome
    says = row.says if "hands on" in row.says else row.says.replace("py:5", f"py:{5 + shift}")
    assert_said(judge(troupe, actor), row.verdict, row.cause, says)


def test_how_a_node_was_started_changes_no_step():
    code = """
import sys
from understudy.engines.python.modules import Source
source = Source("odd.py", "core-x/odd.py", b"if not __debug__: raise SystemExit('off')\\nassert False, 'told'", is_package=False)
print(sys.flags.optimize, flush=True)
exec(source.code())
"""
    ended = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr.splitlines()[-1:]) == ("1\n", ["AssertionError: told"]), ended


@pytest.mark.parametrize("made_by", ["python/2;python=3.99", "python/2;optimize=1;python=3.11"])
def test_another_interpreter_may_give_something_else_and_accuses_nobody(troupe: Troupe, made_by: str):
    actor = create(troupe, "", "ctx.log('a')")
    troupe.tell(actor, "go")
    honest = troupe.step(actor)
    assert honest.engine == f"python/2{SETTINGS}"
    troupe.forge(actor, engine=made_by)
    assert judge(troupe, actor).ok  # what comes out is the same
    troupe.forge(actor, log=None)
    assert_said(judge(troupe, actor), UNVERIFIABLE, "engine", "python 3.")
    # Of a step that says nothing, as they did in the beginning, what comes out must be what is recorded.
    troupe.forge(actor, engine="python/2")
    assert_said(judge(troupe, actor), MISMATCH, "output", "gives something else")
    troupe.forge(actor, engine="python/2", log=honest.log)
    assert judge(troupe, actor).ok


@pytest.mark.parametrize(
    "made_by", ["python/2;python=new", "python/2;optimize=0", "python/2;optimize=x", "python/2;python=3.011"]
)
def test_an_interpreter_that_there_can_not_be_is_a_false_engine_text(troupe: Troupe, made_by: str):
    actor = create(troupe, "", "ctx.log('a')")
    troupe.tell(actor, "go")
    troupe.forge(actor, engine=made_by)
    for integrity_only in (True, False):
        verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1, integrity_only=integrity_only)[0]
        assert_said(verdict, MISMATCH, "engine", "has no part")


def test_a_node_that_leaves_asserts_out_says_so():
    code = "from understudy.engines.python.settings import SETTINGS; print(SETTINGS)"
    said = [
        subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for flags in ([], ["-O"], ["-OO"])
    ]
    version = f";python={sys.version_info.major}.{sys.version_info.minor};room=1000"
    assert said == [version, f";optimize=1{version}", f";optimize=2{version}"]


def test_a_forged_recursion_is_found(troupe: Troupe):
    actor = create(troupe, "", "ctx.log('a')")
    before = troupe.step(actor)
    troupe.tell(actor, "go")
    outcome = Outcome("failed", "RecursionError", "made up")
    troupe.forge(actor, outcome=outcome, core=before.core, log=None)
    assert_said(judge(troupe, actor), MISMATCH, "output", "gives something else")


def test_two_actors_of_equal_code_that_share_a_global_are_told_which(troupe: Troupe):
    head, body = "SEEN = []", "SEEN.append(1)\nctx.log(len(SEEN))"
    first, second = (create(troupe, head, body, nonce=nonce) for nonce in ("first", "second"))
    troupe.tell(first, "go")
    troupe.tell(second, "go")
    assert judge(troupe, first).ok
    verdict = judge(troupe, second)
    if not verdict.ok:
        # Where a living node keeps such actors apart, there is nothing to tell.
        assert_said(
            verdict, MISMATCH, "global", f"the global SEEN of code/odd.py: that of the actor {first}, in its step 1"
        )


@pytest.fixture
def put_right() -> Iterator[None]:
    """Who verifies is another process: what a wit changes in this one is put right again."""
    kept = {(holder, name): vars(holder)[name] for holder, name in ((json, "dumps"), (json.JSONEncoder, "default"))}
    try:
        yield
    finally:
        for (holder, name), value in kept.items():
            setattr(holder, name, value)


def judged_after(troupe: Troupe, neighbour: ActorId, victim: ActorId, *others: ActorId) -> Verdict:
    troupe.tell(neighbour, "go")
    for number, other in enumerate(others):
        troupe.tell(other, "go", number)
    troupe.tell(victim, "go")
    return judge(troupe, victim)


DUMPS = "ctx.log(json.dumps([1]))"


@pytest.mark.parametrize(
    ("head", "body", "victim", "named"),
    [
        ("import json\njson.dumps = lambda value: 'mine'", "pass", DUMPS, "json.dumps in code/odd.py:2"),
        (
            "import json",
            "exec('json.dumps = str', globals())",
            "ctx.log(json.dumps('a'))",
            "json.dumps in code/odd.py:5",
        ),
        (
            "import json\nfrom unittest.mock import patch",
            "patch('json.JSONEncoder.default', lambda self, value: 'mine').start()",
            "ctx.log(json.dumps({1}))",
            "json.encoder.JSONEncoder.default in code/odd.py:6",
        ),
        (
            "import os",
            "os.environ['UNDERSTUDY_ODD'] = 'mine'",
            "import os; ctx.log(os.path.expandvars('$UNDERSTUDY_ODD'))",
            "os.environ['UNDERSTUDY_ODD'] in code/odd.py:5",
        ),
        (
            "import string",
            "string.odd = 7",
            "import string; ctx.log(getattr(string, 'odd', 0))",
            "string.odd in code/odd.py:5",
        ),
    ],
    ids=["at import", "by exec", "a method", "the environment", "a number"],
)
def test_whose_neighbour_changed_a_library_is_not_accused(
    troupe: Troupe, put_right: None, head: str, body: str, victim: str, named: str
):
    neighbour, innocent = create(troupe, head, body), create(troupe, "import json", victim)
    bystander = create(troupe, "import time", "time.odd = ctx.now()\nctx.log('also changes something')")
    verdict = judged_after(troupe, neighbour, innocent, *[bystander] * 3)
    assert_said(verdict, MISMATCH, "global", f"had changed {named}: that of the actor {neighbour}, in its step 1;")
    assert verdict.at_height == 1


def test_a_neighbour_whose_steps_are_long_past_is_found(troupe: Troupe, put_right: None):
    neighbour = create(troupe, "import json\njson.dumps = lambda value: 'mine'", "pass")
    victim, busy = create(troupe, "import json", DUMPS), create(troupe, "", "ctx.log('busy')")
    verdict = judged_after(troupe, neighbour, victim, *[busy] * 80)
    assert_said(verdict, MISMATCH, "global", f"json.dumps in code/odd.py:2: that of the actor {neighbour}")


class Echo:
    name = "echo"

    async def call(self, request: bytes, *, caller: ActorId, key: str) -> bytes:
        return request


def test_a_neighbour_that_changed_what_a_call_asks_for_is_found(put_right: None):
    troupe = Troupe(capabilities={"echo": Echo()})
    neighbour = create(troupe, "import json", "json.dumps = lambda value: 'mine'")
    body = "ctx.log(await ctx.calls.call('echo', json.dumps([1]).encode()))"
    verdict = judged_after(troupe, neighbour, create(troupe, "import json", body, kind="async def"))
    assert_said(verdict, MISMATCH, "global", f"json.dumps in code/odd.py:5: that of the actor {neighbour}")


@pytest.mark.parametrize(
    ("head", "asks", "cause", "says"),
    [
        ("SEEN = []", "SEEN.append(1)\nwhat = len(SEEN)", "global", "code/odd.py changes its global SEEN"),
        ("import time", "what = time.time_ns()", "clock", "code/odd.py:5 calls time.time_ns"),
    ],
    ids=["a global", "the clock"],
)
def test_why_code_asks_for_something_else_is_named_too(head: str, asks: str, cause: str, says: str):
    troupe = Troupe(capabilities={"echo": Echo()})
    body = f"{asks}\nawait ctx.calls.call('echo', str(what).encode())"
    actor = create(troupe, head, body, kind="async def")
    for _ in range(2):
        troupe.tell(actor, "go")
    verdict = judge(troupe, actor)
    assert_said(verdict, MISMATCH, cause, says)
    assert str(verdict.path).startswith("data.journal.echo/0")


def test_no_neighbour_is_blamed_for_a_forgery(troupe: Troupe, put_right: None):
    neighbour = create(troupe, "import json", "json.dumps = lambda value: 'mine'")
    victim = create(troupe, "import json", DUMPS)
    judged_after(troupe, neighbour, victim)
    troupe.forge(victim, log=None)
    verdict = judge(troupe, victim)
    assert_said(verdict, MISMATCH, "output", "the record was changed, or other code in the process")


@pytest.mark.parametrize("harm", ["lost", "ends the process"])
def test_a_neighbour_that_can_not_be_run_is_no_fault_of_this_history(troupe: Troupe, put_right: None, harm: str):
    ends = "import os, sys\nif 'pytest' not in sys.modules:\n    os._exit(3)\n"
    body = f"{ends}json.dumps = lambda value: 'mine'" if harm != "lost" else "json.dumps = lambda value: 'mine'"
    neighbour, victim = create(troupe, "import json", body), create(troupe, "import json", DUMPS)
    troupe.tell(neighbour, "go")
    troupe.tell(victim, "go")
    if harm == "lost":
        code = troupe.reader.find(troupe.step(neighbour).core, "code/odd.py")
        assert code is not None
        troupe.lose(code)
    verdict = judge(troupe, victim)
    assert_said(verdict, MISMATCH, "output", "or other code in the process that made the step")
    assert verdict.path == "data.log[0]"


def test_a_neighbour_that_ends_the_process_hides_no_other(troupe: Troupe, put_right: None):
    ends = create(troupe, "import os, sys", "if 'pytest' not in sys.modules:\n    os._exit(3)")
    neighbour = create(troupe, "import json", "json.dumps = lambda value: 'mine'")
    verdict = judged_after(troupe, neighbour, create(troupe, "import json", DUMPS), ends)
    assert_said(verdict, MISMATCH, "global", f"json.dumps in code/odd.py:5: that of the actor {neighbour}")


def test_a_file_without_the_neighbours_says_that_they_may_be_why(troupe: Troupe, put_right: None):
    neighbour = create(troupe, "import json", "json.dumps = lambda value: 'mine'")
    victim = create(troupe, "import json", DUMPS)
    judged_after(troupe, neighbour, victim)
    head = troupe.head(victim)
    [verdict] = verify_car(BytesIO(b"".join(car_pieces([head], walk(troupe.reader, head)))))
    assert_said(verdict, MISMATCH, "output", "or other code in the process that made the step changed something")
    assert (verdict.recorded, verdict.replayed) == (" mine", " [1]")


def test_a_helper_of_external_code_that_was_edited_is_no_accusation(
    troupe: Troupe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = f"outer_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(f"from {name}_helper import word\n\ndef wit(ctx):\n    ctx.log(word())\n")
    helper = tmp_path / f"{name}_helper.py"
    helper.write_text("def word():\n    return 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    actor = troupe.create({"wit": f"external:{name}:wit"})
    assert judge(troupe, actor).ok
    helper.write_text("def word():\n    return 'b'\n")
    assert_said(judge(troupe, actor), UNVERIFIABLE, "source", "is another one here")


def test_a_forgery_is_no_carelessness(troupe: Troupe):
    actor = create(troupe, "", "ctx.log('a')")
    troupe.tell(actor, "go")
    troupe.forge(actor, log=None)
    assert_said(judge(troupe, actor), MISMATCH, "output", "gives something else than what is recorded")
