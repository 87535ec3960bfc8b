"""Compiling is done beside, within bounds, and is nobody's step."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engines.components import KEEP, actor, counter
from tests.node.living import Living
from tests.node.troupe import Troupe
from understudy.actors.errors import HostFailed, WitError
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm import compiling
from understudy.engines.wasm.compiling import compile_beside
from understudy.engines.wasm.engine import WasmEngine
from understudy.judging import verification
from understudy.node.errors import Rejected
from understudy.node.running.slow_wits import Run, SlowWits


def silent(text: str) -> None:
    """Told that it goes on."""


def hard(turns: int = 6000) -> bytes:
    """A component of little use that takes long to compile."""
    turn = "(if (i32.rem_u (local.get 4) (i32.const %d)) (then (local.set 5 (local.get 4))) (else (local.set 4 (local.get 5))))"
    return actor("".join(turn % number for number in range(2, turns)) + KEEP)


@pytest.fixture(autouse=True)
def nothing_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_given_up", {})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "COMPILE_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
def test_what_takes_too_long_is_given_up_and_its_process_ended():
    before = set(compiling._idle)
    with pytest.raises(HostFailed, match="took more than 0 s to compile") as caught:
        compile_beside(hard(), silent)
    assert not caught.value.again
    assert set(compiling._idle) <= before


@pytest.mark.usefixtures("impatient")
def test_what_was_given_up_is_not_tried_again_for_each_who_asks(monkeypatch: pytest.MonkeyPatch):
    component = hard(6001)
    with pytest.raises(HostFailed):
        compile_beside(component, silent)
    monkeypatch.setattr(compiling, "COMPILE_SECONDS", 900.0)
    with pytest.raises(HostFailed, match="took more than"):
        compile_beside(component, silent)


def test_what_needs_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "COMPILE_BYTES", 64 * 1024 * 1024)
    monkeypatch.setattr(compiling, "_idle", [])
    with pytest.raises(HostFailed, match="exit code") as caught:
        compile_beside(counter(), silent)
    assert not caught.value.again


def test_what_computes_for_too_long_is_given_up_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "COMPILE_CPU_SECONDS", 0)
    monkeypatch.setattr(compiling, "_idle", [])
    with pytest.raises(HostFailed, match=f"exit code -{signal.SIGXCPU.value}"):
        compile_beside(hard(20_000), silent)


def test_what_is_no_component_is_said_to_be_none_and_the_process_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "_idle", [])
    for _ in range(2):
        with pytest.raises(WitError, match="no WebAssembly component"):
            compile_beside(counter()[:-5], silent)
    assert len(compiling._idle) == 1
    assert compile_beside(counter(), silent)


def test_a_compiler_that_was_ended_is_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "_idle", [])
    compile_beside(counter(), silent)
    compiling._idle[0]._process.kill()
    assert compile_beside(counter(), silent)


def test_a_compiler_that_somebody_killed_says_nothing_about_the_component(monkeypatch: pytest.MonkeyPatch):
    data = actor(data="killed")
    monkeypatch.setattr(compiling, "_idle", [])
    write = compiling._Compiler._write

    def killed(self: compiling._Compiler, data: bytes) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        write(self, data)

    with monkeypatch.context() as context:
        context.setattr(compiling._Compiler, "_write", killed)
        with pytest.raises(HostFailed, match="killed from outside") as caught:
            compile_beside(data, silent)
    assert caught.value.again
    assert compile_beside(data, silent)


def test_only_so_many_compile_at_once_and_only_so_many_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "MAX_WAITING", 0)
    inside, seen = threading.Semaphore(0), threading.Event()

    def hold(_: str) -> None:
        inside.release()
        assert seen.wait(30)

    monkeypatch.setattr(compiling, "TICK_SECONDS", 0.001)
    with ThreadPoolExecutor() as pool:
        held = [pool.submit(compile_beside, hard(), hold) for _ in range(compiling.MAX_AT_ONCE)]
        for _ in held:
            assert inside.acquire(timeout=30)
        with pytest.raises(HostFailed, match="already") as caught:
            compile_beside(counter(), silent)
        assert caught.value.again
        seen.set()
        assert all(each.result() for each in held)


@pytest.mark.usefixtures("impatient")
def test_a_component_that_is_too_hard_is_refused_at_the_door():
    files = {"runtime": b"wasm", "wit": b"/code:c:handle"}
    with Living(engines={"python": PythonEngine(), "wasm": WasmEngine()}) as living:
        with pytest.raises(Rejected, match="took more than"):
            living.run(living.node.create({**files, "code/c.wasm": hard()}))
        assert not living.node.actors().items


def test_an_update_to_a_component_that_is_too_hard_is_cut_and_the_next_one_cures(monkeypatch: pytest.MonkeyPatch):
    troupe = Troupe(engines={"python": PythonEngine(), "wasm": WasmEngine()})
    id = troupe.create({"runtime": "wasm", "wit": "/code:c:handle", "code/c.wasm": counter()})
    with monkeypatch.context() as patch:
        patch.setattr(compiling, "COMPILE_SECONDS", 0.02)
        troupe.update(id, {"code/c.wasm": hard()})
    step = troupe.step(id)
    assert step.outcome is not None
    assert (step.outcome.kind, step.outcome.code) == ("cut", "HostLimit")
    troupe.update(id, {"code/c.wasm": counter(text=True)})
    assert troupe.step(id).outcome is None


def test_it_is_said_that_a_component_is_compiled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(compiling, "SAY_SECONDS", 0)
    monkeypatch.setattr(compiling, "TICK_SECONDS", 0.001)
    heard: list[str] = []
    with caplog.at_level(logging.WARNING):
        compile_beside(hard(), heard.append)
    assert heard[0].startswith("compiling a component of ")
    assert heard[0] in caplog.text


def test_a_thread_that_waits_for_a_compiler_is_not_named_as_a_wit_that_runs_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(compiling, "TICK_SECONDS", 0.001)
    wits, named = SlowWits(), []

    def look(_: str) -> None:
        wits.look([Run("ada", 0.0, threading.get_ident())], 100.0)
        named.append("ada" in caplog.text)

    compile_beside(hard(), look)
    assert named and not any(named)
    look("")
    assert named[-1]


def test_a_judge_that_has_to_compile_first_does_not_give_the_step_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    troupe = Troupe(engines={"python": PythonEngine(), "wasm": WasmEngine()})
    began = time.monotonic()
    id = troupe.create({"runtime": "wasm", "wit": "/code:c:handle", "code/c.wasm": hard(16_000)})
    half = (time.monotonic() - began) / 2
    # Where the judge finds nothing that is compiled.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (verdict,) = verification.verify_targets(troupe.backend, [troupe.target(id)], processes=1, step_seconds=half)
    assert (verdict.verdict, verdict.reason) == ("MATCH", None)
    assert list(tmp_path.glob("**/*.cwasm"))


def test_a_compiler_ends_with_whoever_started_it():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        compiling._idle.clear()
        compile_beside(counter(), silent)
        os.write(write, b"%d" % compiling._idle[0]._process.pid)
        os._exit(0)
    os.waitpid(child, 0)
    compiler = int(os.read(read, 20))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and Path(f"/proc/{compiler}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{compiler}").exists()
