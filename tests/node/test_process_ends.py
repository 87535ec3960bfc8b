"""Code that ends the process: it is known at the next start, tried once more alone, then held; an update cures it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.loaded_command import LOADED, Running
from tests.node.living import Living
from tests.node.stage import ClogStore
from understudy.actors.query import Blob
from understudy.node.errors import Held
from understudy.node.holds import HELD, Hold, Kind
from understudy.objects.ids import ActorId
from understudy.store.fsck import fsck
from understudy.store.keys import HOLDS, hold_row
from understudy.store.open import open_store
from understudy.store.port import Receipt, Row, Unit

PATIENCE = 60.0

# `how` says what ends the process: Python itself, or a fault in code that is not Python.
DEADLY = """
import asyncio, ctypes, multiprocessing, os
from understudy import Context, Wit
wit = Wit()

def end(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "fault":
        ctypes.string_at(0)

@wit.message("add")
def add(number: int, state: dict) -> int:
    state["sum"] = state.get("sum", 0) + number
    return state["sum"]

@wit.message("end")
def end_process(how: str, state: dict) -> None:
    end(how)
    state["survived"] = how

@wit.message("end later")
async def end_later(how: str, state: dict) -> None:
    await asyncio.sleep(0.01)
    await asyncio.create_task(end_in_a_task(how))
    state["survived"] = how

@wit.message("end in an effect")
async def end_in_an_effect(how: str, state: dict, ctx: Context) -> None:
    await asyncio.sleep(0.01)
    await ctx.effect(end, how)
    state["survived"] = how

@wit.message("end in an awaited effect")
async def end_in_an_awaited_effect(how: str, state: dict, ctx: Context) -> None:
    await ctx.effect(end_in_a_task, how)
    state["survived"] = how

@wit.message("end in a blocking effect")
def end_in_a_blocking_effect(how: str, state: dict, ctx: Context) -> None:
    ctx.effect(end, how)
    state["survived"] = how

async def end_in_a_task(how: str) -> None:
    await asyncio.sleep(0.01)
    end(how)

@wit.message("wait")
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)

@wit.message("ask")
async def ask(other: str, ctx: Context) -> str:
    return (await ctx.query(other, "deadly", {"how": "exit"})).text()

@wit.message("copy")
def copy(number: int) -> int:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=abs, args=(number,)), context.Process(target=wait_for_ever)]
    for worker in workers:
        worker.start()
    workers[0].join()
    workers[1].terminate()
    workers[1].join()
    return workers[0].exitcode

def wait_for_ever() -> None:
    import time
    time.sleep(600)

@wit.message("fork")
def fork(number: int) -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return number

@wit.query("deadly")
def deadly(how: str) -> str:
    end(how)
    return "alive"

@wit.query("harmless")
def harmless() -> str:
    return "alive"
"""
MENDED = DEADLY.replace('if how == "exit"', 'if how == "never"').replace('if how == "fault"', 'if how == "never"')
TIMERS = """
import signal
import time
from understudy import Wit

wit = Wit()

@wit.message("set")
def set(number: int) -> int:
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0.001, 0.00001)
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass
    return number
"""
LATE = "import os\nos._exit(4)\n"


class Server:
    """A process that serves a store; a new one after each end."""

    def __init__(self, store: Path, program: Sequence[str] | None = None) -> None:
        """`program` is what Python is started with, where that is not the command itself."""
        self.url = f"rocksdb:{store}"
        self.program = program
        self.folder = store.parent
        self.process: Running | subprocess.Popen[bytes] | None = None
        self.http = httpx.Client()

    def start(self) -> None:
        command = ["serve", "--listen", "127.0.0.1:0", "--store", self.url, "--json"]
        with open(self.folder / "stderr", "ab") as errors:
            if self.program is None:
                self.process = LOADED.start(command, self.folder, os.environ, errors)
            else:
                self.process = subprocess.Popen(
                    [sys.executable, *self.program, *command], stdout=subprocess.PIPE, stderr=errors, cwd=self.folder
                )
        assert self.process.stdout is not None
        # One that may end before it says where it listens: what is asked then fails as what is asked after its end does.
        self.http = httpx.Client()
        said = b""
        while (line := self.process.stdout.readline()) not in (b"", b"}\n"):
            said += line
        if line:
            address = json.loads(said + b"}")["address"]
            headers = {"Authorization": f"Bearer {(Path(self.url[8:]) / 'token').read_text().strip()}"}
            self.http = httpx.Client(base_url=address, headers=headers, timeout=PATIENCE)

    def wait_for_end(self) -> int:
        """The code with which the process ended by itself."""
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.close()
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
        self.close()

    def close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.http.close()

    def send(self, actor: ActorId, type: str, content: Any, *, wait: bool = True) -> httpx.Response:
        headers = {"Message-Type": type} | ({} if wait else {"Prefer": "respond-async"})
        return self.http.post(f"/actors/{actor}/messages", content=json.dumps(content), headers=headers)

    def status(self, actor: ActorId) -> str:
        status: str = self.http.get(f"/actors/{actor}").json()["status"]
        return status

    def update(self, actor: ActorId, text: str, *, path: str = "wit") -> httpx.Response:
        body = json.dumps({"patch": {path: text}})
        return self.http.post(f"/actors/{actor}/messages", content=body, headers={"Message-Lane": "update"})

    def hold(self, actor: ActorId) -> dict[str, Any] | None:
        """What `/healthz` says of an actor."""
        holds = self.http.get("/healthz").json()["holds"]
        return next((hold for hold in holds if hold["actor"] == str(actor)), None)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def server(store: Path) -> Iterator[Server]:
    server = Server(store)
    yield server
    server.stop(signal.SIGKILL)


def make(store: Path, *nonces: str, wit: str = DEADLY) -> list[ActorId]:
    with Living(open_store(f"rocksdb:{store}")) as living:
        return [living.create(wit=wit, nonce=nonce) for nonce in nonces]


def end_until_held(server: Server, actor: ActorId) -> None:
    """Start again until the process stays: at most twice it may end of what waits."""
    for _ in range(3):
        server.start()
        if server.process is not None and wait_until_held_or_over(server, actor):
            return
        assert server.wait_for_end() != 0
    raise AssertionError("nobody is held")


def wait_until_held_or_over(server: Server, actor: ActorId) -> bool:
    while server.process is not None and server.process.poll() is None:
        try:
            if server.status(actor) == "held":
                return True
        except httpx.TransportError:
            continue
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="no timers there")
def test_a_timer_of_the_process_that_a_wit_leaves_behind_ends_nothing(server: Server, store: Path) -> None:
    [actor] = make(store, "", wit=TIMERS)
    server.start()
    for number in range(2):
        assert server.send(actor, "set", number).json()["replies"][0]["content"] == number
    assert server.process is not None and server.process.poll() is None


@pytest.mark.parametrize(
    ("type", "how"),
    [
        ("end", "exit"),
        ("end", "fault"),
        ("end later", "exit"),
        ("end later", "fault"),
        ("end in an effect", "exit"),
        ("end in an awaited effect", "fault"),
        ("end in a blocking effect", "fault"),
    ],
)
def test_a_message_that_ends_the_process_is_held_and_an_update_cures_it(
    server: Server, store: Path, type: str, how: str
) -> None:
    deadly, other, patient = make(store, "deadly", "other", "patient")
    server.start()
    # Somebody who waits while the process ends is not to blame.
    server.send(patient, "wait", 1000, wait=False)
    try:
        server.send(deadly, type, how, wait=False)
        server.send(deadly, "add", 1, wait=False)
    except httpx.TransportError:
        pass
    assert server.wait_for_end() != 0
    end_until_held(server, deadly)
    assert server.send(other, "add", 1).status_code == 200
    assert server.status(other) == "ready" and server.status(patient) == "ready"
    hold = server.hold(deadly)
    assert hold is not None and hold["state"] == "held" and "update" in str(hold["reason"])
    listed = [one for one in server.http.get("/actors").json()["actors"] if one["id"] == str(deadly)]
    assert listed[0]["status"] == "held"
    # It is still held after a restart, and says why to who looks at the store.
    server.stop()
    said = command(server, "pending", str(deadly), "--json")
    assert said.returncode == 0, said.stderr
    assert {one["state"] for one in json.loads(said.stdout)["pending"]} == {"held"}
    server.start()
    assert server.status(deadly) == "held"
    assert server.update(deadly, MENDED).status_code == 200
    assert server.send(deadly, "add", 2).status_code == 200
    state = server.http.get(f"/actors/{deadly}/core/state").json()
    assert state["survived"] == how
    assert server.status(deadly) == "ready" and server.hold(deadly) is None
    server.stop()
    assert fsck(open_store(server.url)).findings == []


def test_a_file_of_marks_that_can_not_be_written_or_read_stops_no_node(store: Path) -> None:
    for spoil in (lambda path: path.mkdir(), lambda path: path.write_bytes(b"understudy running 1\nbut not quite")):
        with Living(open_store(f"rocksdb:{store}"), store_url=f"rocksdb:{store}") as living:
            actor = living.create(wit=DEADLY)
        path = store / "running"
        path.unlink()
        spoil(path)
        with Living(open_store(f"rocksdb:{store}"), store_url=f"rocksdb:{store}") as living:
            assert isinstance(living.tell(actor, "add", 1), int)
            assert living.node.holds() == []
        if path.is_dir():
            path.rmdir()


def test_a_node_that_is_killed_blames_nobody_whose_message_is_harmless(server: Server, store: Path) -> None:
    (actor,) = make(store, "innocent")
    for _ in range(3):
        server.start()
        server.send(actor, "wait", 1000, wait=False)
        assert server.send(actor, "add", 1, wait=False).status_code == 202
        server.stop(signal.SIGKILL)
    server.start()
    assert server.status(actor) == "ready"


def test_an_update_that_ends_the_process_does_not_stand_before_its_cure(server: Server, store: Path) -> None:
    (actor,) = make(store, "late")
    server.start()
    with pytest.raises(httpx.TransportError):
        server.update(actor, LATE, path="wit_update")
    assert server.wait_for_end() != 0
    for _ in range(4):
        server.start()
        if server.process is not None and server.process.poll() is None:
            try:
                assert server.update(actor, MENDED).status_code == 200
                break
            except httpx.TransportError:
                pass
        server.wait_for_end()
    assert server.send(actor, "add", 2).json()["replies"][0]["content"] == 2
    assert server.status(actor) == "ready"


def test_a_query_that_ends_the_process_is_held_and_the_other_actors_answer(server: Server, store: Path) -> None:
    deadly, other = make(store, "deadly", "other")
    for _ in range(2):
        server.start()
        assert server.http.get(f"/actors/{other}/query/harmless").status_code == 200
        with pytest.raises(httpx.TransportError):
            server.http.get(f"/actors/{deadly}/query/deadly?how=exit")
        assert server.wait_for_end() != 0
    server.start()
    answer = server.http.get(f"/actors/{deadly}/query/deadly?how=exit")
    assert answer.status_code == 503 and "update" in answer.json()["detail"]
    assert server.http.get(f"/actors/{other}/query/harmless").status_code == 200
    # Its messages go on.
    assert server.send(deadly, "add", 1).status_code == 200
    assert server.update(deadly, MENDED).status_code == 200
    assert server.http.get(f"/actors/{deadly}/query/deadly?how=exit").json() == "alive"


def test_a_step_that_asks_a_deadly_query_is_not_held_for_it(server: Server, store: Path) -> None:
    asking, deadly = make(store, "asking", "deadly")
    server.start()
    server.send(asking, "ask", str(deadly), wait=False)
    assert server.wait_for_end() != 0
    server.start()
    if server.process is not None and server.process.poll() is None:
        server.wait_for_end()
    else:
        server.close()
    server.start()
    held = server.hold(deadly)
    assert held is not None and held["state"] == "held"
    assert server.update(deadly, MENDED).status_code == 200
    assert server.send(asking, "add", 1).json()["replies"][0]["content"] == 1
    assert server.status(asking) == "ready"


BIRTH = """
import os
from understudy import Wit
wit = Wit()

@wit.genesis
def genesis() -> None:
    if not os.path.exists({well!r}):
        os._exit(3)

@wit.message("add")
def add(number: int) -> int:
    return number
"""


def bear(server: Server, code: str) -> httpx.Response:
    return server.http.post("/actors", json={"name": "child", "core": {"wit": code}})


def start_until_held(server: Server, actor: str | None = None) -> str:
    """Start again until the process stays; who is held then."""
    for _ in range(4):
        server.start()
        while server.process is not None and server.process.poll() is None:
            try:
                holds = [hold for hold in server.http.get("/healthz").json()["holds"] if hold["state"] == "held"]
            except httpx.TransportError:
                continue
            if holds:
                assert actor in (None, holds[0]["actor"])
                return str(holds[0]["actor"])
        server.wait_for_end()
    raise AssertionError("nobody is held")


def command(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    done = LOADED.run([*words, "--store", server.url], server.folder, os.environ, timeout=PATIENCE)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_birth_that_ends_the_process_is_refused_at_once_and_can_be_resumed(server: Server, tmp_path: Path) -> None:
    well = tmp_path / "well"
    code = BIRTH.format(well=str(well))
    server.start()
    with pytest.raises(httpx.TransportError):
        bear(server, code)
    assert server.wait_for_end() != 0
    actor = start_until_held(server)
    for _ in range(2):
        refused = bear(server, code)
        assert refused.status_code == 503
        assert actor in refused.json()["detail"] and "held" in refused.json()["detail"]
        assert "push a core that is repaired, or resume it" in refused.json()["detail"]
    assert [one["state"] for one in server.http.get(f"/actors/{actor}/pending").json()["pending"]] == ["held"]
    # Nothing but its birth can be asked for, and nobody who is not there is resumed.
    assert server.http.get(f"/actors/{actor}").status_code == 404
    assert server.http.post(f"/actors/{actor[:-8]}aaaaaaaa/resume").status_code == 404
    # The cause is still there: the process ends again, and it is held again.
    with contextlib.suppress(httpx.TransportError):
        server.http.post(f"/actors/{actor}/resume")
    assert server.wait_for_end() != 0
    assert start_until_held(server, actor) == actor
    well.touch()
    resumed = server.http.post(f"/actors/{actor}/resume")
    assert resumed.status_code == 200 and resumed.json()["id"] == actor and resumed.json()["status"] != "held"
    born = bear(server, code)
    assert (born.status_code, born.json()["id"]) == (201, actor)
    assert server.send(born.json()["id"], "add", 2).json()["replies"][0]["content"] == 2


def test_a_mended_core_gets_the_name_of_the_one_whose_birth_ended_the_process(server: Server, tmp_path: Path) -> None:
    code = BIRTH.format(well=str(tmp_path / "well"))
    (tmp_path / "child").mkdir()
    (tmp_path / "child" / "wit").write_text(code)
    (tmp_path / "understudy.toml").write_text('[actors.child]\npath = "child"\n')
    ended = command(server, "push")
    assert ended.returncode == 3, ended
    # Nobody tries it without a node: what is pushed or resumed before is answered all the same.
    refused = command(server, "push")
    assert refused.returncode == 1 and "was not born" in refused.stdout, refused
    actor = start_until_held(server)
    refused = command(server, "push")
    assert refused.returncode == 1 and "push a core that is repaired" in refused.stdout, refused
    server.stop()
    resumed = command(server, "resume", actor)
    assert resumed.returncode == 0 and "suspect: it is born once more, alone" in resumed.stdout, resumed
    (tmp_path / "child" / "wit").write_text(code.replace("os._exit(3)", "pass"))
    mended = command(server, "push")
    assert mended.returncode == 0 and "created" in mended.stdout, mended
    assert actor not in mended.stdout
    server.start()
    while server.http.get(f"/actors/{actor}").status_code == 404:
        assert server.process is not None and server.process.poll() is None
    child = server.http.get("/actors/child").json()
    assert child["id"] != actor and child["status"] == "ready"
    # What was replaced is over: nothing waits, nobody is held, and its step says why it never ran.
    assert server.http.get("/pending").json()["pending"] == []
    assert server.http.get("/healthz").json()["holds"] == []
    birth = server.http.get(f"/actors/{actor}/chain").json()["entries"][0]["data"]
    assert birth["outcome"]["kind"] == "cut" and child["id"] in birth["outcome"]["text"]
    judged = command(server, "verify", actor)
    assert judged.returncode == 1 and "UNVERIFIABLE" in judged.stdout, judged
    intact = command(server, "verify", actor, "--integrity-only")
    assert intact.returncode == 0 and "INTACT" in intact.stdout, intact


def test_a_mended_core_that_is_pushed_to_a_node_ends_the_birth_that_it_replaces(server: Server, tmp_path: Path) -> None:
    code = BIRTH.format(well=str(tmp_path / "well"))
    server.start()
    with pytest.raises(httpx.TransportError):
        bear(server, code)
    server.wait_for_end()
    actor = start_until_held(server)
    mended = server.http.post("/actors", json={"name": "child", "core": {"wit": code.replace("os._exit(3)", "pass")}})
    assert mended.status_code == 201
    while server.http.get(f"/actors/{actor}").status_code == 404:
        assert server.process is not None and server.process.poll() is None
    assert server.http.get("/pending").json()["pending"] == []
    assert server.http.get("/healthz").json()["holds"] == []
    # The same core is another actor than the one that has the name now.
    assert bear(server, code).status_code == 409


def test_a_core_that_ends_the_process_where_it_is_checked_is_refused_after_the_second_time(
    server: Server, tmp_path: Path
) -> None:
    well = tmp_path / "well"
    code = f"import os\nif not os.path.exists({str(well)!r}):\n    os._exit(4)\n{DEADLY}"
    for _ in range(2):
        server.start()
        with pytest.raises(httpx.TransportError):
            bear(server, code)
        assert server.wait_for_end() == 4
    server.start()
    refused = bear(server, code)
    assert refused.status_code == 503 and refused.json()["code"] == "Held"
    (hold,) = server.http.get("/healthz").json()["holds"]
    assert hold["state"] == "held" and hold["reason"] in refused.json()["detail"]
    # Neither others nor the name are kept away, and the reason says how to go on.
    assert bear(server, DEADLY).status_code == 201
    assert f"resume {hold['actor']}" in hold["reason"]
    well.touch()
    resumed = server.http.post(f"/actors/{hold['actor']}/resume").json()
    assert (resumed["id"], resumed["head"], resumed["status"]) == (hold["actor"], None, "ready")
    born = server.http.post("/actors", json={"core": {"wit": code}})
    assert (born.status_code, born.json()["id"]) == (201, hold["actor"])
    assert server.http.get("/healthz").json()["holds"] == []


def test_a_check_that_goes_well_ends_the_suspicion(server: Server, tmp_path: Path) -> None:
    well = tmp_path / "well"
    code = f"import os\nif not os.path.exists({str(well)!r}):\n    os._exit(4)\n{DEADLY}"
    server.start()
    with pytest.raises(httpx.TransportError):
        bear(server, code)
    server.wait_for_end()
    server.start()
    assert [hold["state"] for hold in server.http.get("/healthz").json()["holds"]] == ["suspect"]
    well.touch()
    assert bear(server, code).status_code == 201
    assert server.http.get("/healthz").json()["holds"] == []


def test_a_push_of_a_core_that_ends_the_process_is_refused_after_the_second_time(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "child").mkdir()
    (tmp_path / "child" / "wit").write_text(LATE)
    (tmp_path / "understudy.toml").write_text('[actors.child]\npath = "child"\n')
    assert [command(server, "push").returncode for _ in range(2)] == [4, 4]
    refused = command(server, "push")
    assert refused.returncode == 1 and "was loaded to check it" in refused.stdout + refused.stderr, refused


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("type", ["copy", "fork"])
def test_a_wit_that_copies_the_process_stops_no_node(server: Server, store: Path, type: str) -> None:
    (actor,) = make(store, "copies")
    server.start()
    for _ in range(3):
        assert server.send(actor, type, 0).json()["replies"][0]["content"] == 0
    assert server.process is not None and server.process.poll() is None
    assert server.send(actor, "add", 1).status_code == 200


class SlowCure(ClogStore):
    """Its commits wait from the one on that removes a hold."""

    def commit(self, units: Sequence[Unit]) -> list[Receipt]:
        if any(row.key.startswith(HOLDS) and row.value is None for unit in units for row in unit.rows):
            self.clog()
        return super().commit(units)


def test_queries_are_held_until_the_update_that_cures_them_is_durable() -> None:
    store = SlowCure()
    with Living(store) as living:
        actor = living.create(wit=DEADLY)
    hold = Hold(state=HELD, reason="its query ended the process", since=0, deaths=2)
    store.inner.commit([Unit(rows=[Row(hold_row(actor, Kind.QUERIES), msgspec.json.encode(hold))])])
    with Living(store) as living:
        asking = living.begin(living.node.query(actor, "harmless", Blob(b"")))
        assert isinstance(asking.exception(PATIENCE), Held)
        curing = living.begin(living.node.patch(actor, {"wit": MENDED.encode()}))
        store.wait_until_clogged()
        # The newest durable step still has the code of before.
        asking = living.begin(living.node.query(actor, "harmless", Blob(b"")))
        assert isinstance(asking.exception(PATIENCE), Held)
        store.unclog()
        assert living.begin_answer(actor, curing.result(PATIENCE)).result(PATIENCE).outcome is None
        assert living.run(living.node.query(actor, "harmless", Blob(b""))).height == 1
