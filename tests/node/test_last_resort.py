"""Code that never gives the interpreter back: the process ends by itself, and the next one knows whose code it was."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.node.test_process_ends import Server, end_until_held, make
from understudy.node.running.last_resort import LastResort
from understudy.node.running.marks import Mark, Marks, What
from understudy.objects.ids import ActorId, node_id

SECONDS = 1.5
PROGRAM = f"""
from understudy.cli.main import main
from understudy.node.running.last_resort import LastResort
LastResort.__init__.__defaults__ = ({SECONDS},)
main()
"""
# A function of C that PyDLL calls keeps the interpreter's lock.
KEEPS = """
import asyncio, ctypes
from understudy import Wit
wit = Wit()

def keep() -> None:
    ctypes.PyDLL(None).sleep(1000)

@wit.message("add")
def add(number: int, state: dict) -> int:
    state["sum"] = state.get("sum", 0) + number
    return state["sum"]

@wit.message("wait")
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)

@wit.message("keep")
def keep_in_a_step(_: str) -> None:
    keep()

@wit.query("keep")
def keep_in_a_query() -> None:
    keep()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "store", ("-c", PROGRAM))
    yield server
    server.stop(signal.SIGKILL)


def stderr_of(server: Server) -> str:
    return (server.folder / "stderr").read_text()


def test_a_step_that_keeps_the_interpreter_ends_the_process_is_held_and_an_update_cures_it(
    server: Server, tmp_path: Path
) -> None:
    [actor] = make(tmp_path / "store", "", wit=KEEPS)
    server.start()
    with contextlib.suppress(httpx.TransportError):
        server.send(actor, "keep", "", wait=False)
    assert server.wait_for_end() == 1
    assert "in keep\n" in stderr_of(server)
    end_until_held(server, actor)
    assert server.update(actor, KEEPS.replace("sleep(1000)", "sleep(0)")).status_code == 200
    assert server.send(actor, "add", 1).status_code == 200


def test_a_query_that_keeps_the_interpreter_ends_the_process_and_is_named(server: Server, tmp_path: Path) -> None:
    [actor] = make(tmp_path / "store", "", wit=KEEPS)
    server.start()
    with pytest.raises(httpx.TransportError):
        server.http.get(f"/actors/{actor}/query/keep")
    assert server.wait_for_end() == 1
    server.start()
    hold = server.hold(actor)
    assert hold is not None and "'keep'" in hold["reason"]


def test_a_process_that_is_stopped_for_longer_than_that_goes_on(server: Server, tmp_path: Path) -> None:
    [actor] = make(tmp_path / "store", "", wit=KEEPS)
    server.start()
    assert server.process is not None
    server.send(actor, "wait", 1000, wait=False)
    server.process.send_signal(signal.SIGTSTP)
    until_stopped(server.process.pid)
    time.sleep(SECONDS * 1.5)  # what is shown is that this time does not count
    server.process.send_signal(signal.SIGCONT)
    assert server.send(actor, "add", 1, wait=False).status_code == 202
    assert server.process.poll() is None


def until_stopped(pid: int) -> None:
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < until


def test_the_timer_is_set_while_something_runs_and_off_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: done.append("set"))
    monkeypatch.setattr("faulthandler.cancel_dump_traceback_later", lambda: done.append("off"))
    marks = Marks()
    resort = LastResort(marks, seconds=1e6)
    resort._beat()
    assert done == []
    marks.on_busy(resort.wake)
    slots = [marks.enter(Mark(ActorId(node_id(b"\xa0")), What.STEP)) for _ in range(3)]  # type: ignore[arg-type]
    assert done == ["set"]
    resort._beat()
    assert done == ["set"] * 2
    for slot in slots:
        marks.leave(slot)
    assert done == ["set"] * 2
    resort._beat()
    assert done == ["set", "set", "off"]
    resort._beat()
    resort.stop()
    marks.enter(Mark(ActorId(node_id(b"\xa0")), What.STEP))  # type: ignore[arg-type]
    assert done == ["set", "set", "off"]
