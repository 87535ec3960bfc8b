"""What the code of a living actor does beside `ctx`: its author is told, once for each place, or it is refused."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capabilities.stub_server import StubServer
from tests.node.living import Living
from tests.node.stage import PATIENCE
from understudy.capabilities.http_grants import Grants, HttpPart
from understudy.node.running.impurity import Impure
from understudy.objects.ids import ActorId

CODE = """
import datetime, os, random, socket, subprocess, sys, threading, time, urllib.request, uuid
from understudy import Wit
wit = Wit()

@wit.message("write")
def write(path: str) -> None:
    open(path, "a").write("x")

@wit.message("write later")
async def write_later(path: str) -> None:
    open(path, "a").write("x")

@wit.message("read")
def read(path: str) -> str:
    return open(path).read()

@wit.message("fetch")
def fetch(url: str) -> str:
    return urllib.request.urlopen(url).read().decode()

@wit.message("run")
def run(program: str) -> None:
    subprocess.run([program])

@wit.message("time")
def ask_time(nothing: None) -> float:
    return time.time()

@wit.message("date")
def ask_date(nothing: None) -> str:
    return str(datetime.datetime.now())

@wit.message("random")
def ask_random(nothing: None) -> float:
    return random.random()

@wit.message("uuid")
def ask_uuid(nothing: None) -> str:
    return str(uuid.uuid4())

@wit.message("environ")
def ask_environ(nothing: None) -> str:
    return os.environ.get("HOME", "")

def own(path: str) -> None:
    open(path, "a").write("x")
    time.time()

@wit.message("pure")
def pure(asked: dict, state: dict, ctx) -> str:
    state["n"] = state.get("n", 0) + 1
    ctx.effect(own, asked["path"])
    ctx.log(ctx.now())
    ctx.random.random()
    sorted(str(sys.version_info))
    return ctx.http.get(asked["url"]).text

@wit.message("pure later")
async def pure_later(asked: dict, ctx) -> str:
    import asyncio
    await asyncio.sleep(0)
    await ctx.effect(own, asked["path"])
    return (await ctx.http.get(asked["url"])).text
"""


class Clerk:
    def __init__(self, living: Living, caplog: pytest.LogCaptureFixture) -> None:
        self.living = living
        self.id: ActorId = living.run(living.node.create({"wit": b"/code:it:wit", "code/it.py": CODE.encode()})).id
        self._caplog = caplog

    @property
    def told(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.name == "understudy.impure"]


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


@pytest.fixture
def clerk(stub: StubServer, caplog: pytest.LogCaptureFixture) -> Iterator[Clerk]:
    with Living(http=Grants(HttpPart(allow=[stub.place]))) as living:
        yield Clerk(living, caplog)


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(CODE.splitlines(), 1) if text in line)


@pytest.mark.parametrize("type", ["write", "write later"])
def test_a_file_that_is_written_is_told_of_once_with_its_line_and_the_remedy(clerk: Clerk, tmp_path: Path, type: str):
    for _ in range(3):
        clerk.living.tell(clerk.id, type, str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "xxx"
    function = type.replace(" ", "_")
    line = line_of(f"def {function}(") + 1
    assert len(clerk.told) == 1, clerk.told
    assert clerk.told[0].startswith(f"code/it.py:{line} (write {tmp_path}/file)") and "ctx.effect" in clerk.told[0]


def test_the_network_is_told_of_with_its_own_remedy(clerk: Clerk, stub: StubServer):
    clerk.living.tell(clerk.id, "fetch", stub.url)
    assert any("calls urllib.request.urlopen" in told and "ask by ctx.http" in told for told in clerk.told), clerk.told


@pytest.mark.parametrize(
    ("type", "says"),
    [
        ("time", r"calls time\.time: .*ctx\.now\(\)"),
        ("date", r"calls datetime\.now: .*ctx\.now\(\)"),
        ("random", r"calls random\.random: .*ctx\.random"),
        ("uuid", r"calls uuid\.uuid4: .*ctx\.random"),
        ("environ", r"calls os\.environ: .*into the core"),
        ("run", r"\(subprocess\.Popen true\): .*ctx\.effect"),
    ],
)
def test_what_is_asked_of_the_machine_is_named(clerk: Clerk, type: str, says: str):
    clerk.living.tell(clerk.id, type, "true" if type == "run" else None)
    assert clerk.told and all(told.startswith("code/it.py:") for told in clerk.told)
    assert re.search(says, clerk.told[0]), clerk.told


@pytest.mark.parametrize("type", ["pure", "pure later"])
def test_what_goes_through_ctx_is_nobodys_impurity(clerk: Clerk, stub: StubServer, tmp_path: Path, type: str):
    for _ in range(2):
        clerk.living.tell(clerk.id, type, {"url": stub.url, "path": str(tmp_path / "file")})
    assert clerk.told == []


def test_what_others_do_meanwhile_is_nobodys_impurity(clerk: Clerk, tmp_path: Path):
    done = threading.Event()

    def work() -> None:
        (tmp_path / "other").write_text("x")
        done.set()

    threading.Thread(target=work).start()
    clerk.living.ask(clerk.id, "environ")
    assert done.wait(PATIENCE)
    assert not any("other" in told for told in clerk.told)


def test_it_can_be_refused(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    with Living(impure=Impure.REFUSE) as living:
        clerk = Clerk(living, caplog)
        outcome = living.ask(clerk.id, "write", str(tmp_path / "file")).outcome
        assert outcome is not None and outcome.code == "WorldShut" and "ctx.effect" in outcome.text, outcome
        assert not (tmp_path / "file").exists()


def test_it_can_be_allowed(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    with caplog.at_level(logging.DEBUG), Living(impure=Impure.ALLOW) as living:
        clerk = Clerk(living, caplog)
        living.tell(clerk.id, "write", str(tmp_path / "file"))
        living.tell(clerk.id, "time")
        assert clerk.told == []
