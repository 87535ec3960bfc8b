"""What one component takes from the others is bounded for the node, not only for itself."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest
from wasmtime import wat2wasm

from tests.components.actor_process import COUNTER
from tests.engines.components import COUNT, ZERO, actor, asked, counter, spin
from tests.node.living import Living
from understudy.actors.errors import HostFailed
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm import machine as bounds
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.machine import QUICK_FUEL, Machine, default_machine
from understudy.engines.wasm.memories import count_memories
from understudy.node.errors import Busy, Rejected

FILES = {"runtime": b"wasm", "wit": b"/code:c:handle"}
ENDLESS = actor("(loop $again (br $again)) unreachable")
# A message of two bytes takes as much fuel as it may, any other counts.
MOODY = actor(f"(if (i32.eq (local.get 1) (i32.const 2)) (then {spin(QUICK_FUEL)})) {COUNT}", init=ZERO, data="0")
MB = 1024 * 1024


def living(machine: Machine) -> Living:
    return Living(engines={"python": PythonEngine(), "wasm": WasmEngine(machine=machine)})


def computing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "understudy-components"]


def test_many_endless_loops_compute_on_few_threads_and_hold_up_no_quick_actor():
    with living(Machine(threads=2, memory=2048 * MB)) as node:
        files = {**FILES, "code/c.wasm": ENDLESS, "limits": b'{"fuel": 300000000}'}
        made = [node.run(node.node.create(files, nonce=str(number))).id for number in range(12)]
        quick = node.run(node.node.create({**FILES, "code/c.wasm": counter()})).id
        before = set(computing())

        async def story() -> list[str]:
            loops = [await node.node.send(id, b"{}", type="message") for id in made]
            ends = [
                asyncio.ensure_future(node.node.answer(id, message)) for id, message in zip(made, loops, strict=True)
            ]
            for _ in range(20):
                await node.node.answer(quick, await node.node.send(quick, b"{}", type="message"))
            assert not all(end.done() for end in ends)
            assert len(set(computing()) - before) <= 2
            outcomes = [(await end).outcome for end in ends]
            return ["ok" if outcome is None else outcome.code for outcome in outcomes]

        assert node.run(story()) == ["OutOfFuel"] * 12
        assert {verdict.verdict for verdict in node.run(node.node.verify())} == {"MATCH"}


def test_a_step_that_begins_quickly_and_takes_long_comes_to_what_a_replay_comes_to():
    with living(Machine(threads=1, memory=2048 * MB)) as node:
        id = node.run(node.node.create({**FILES, "code/c.wasm": MOODY})).id
        for content in (b"{}", b"[1]", b"{}", b"{}", b"[1]"):
            node.run(node.node.answer(id, node.run(node.node.send(id, content, type="message"))))
        found = node.node.reader.find(node.node.reader.step(node.node.actor(id).head).core, "state")
        assert found is not None and node.node.reader.blob(found) == b"5"
        assert [verdict.verdict for verdict in node.run(node.node.verify())] == ["MATCH"]


def test_what_a_core_asks_for_above_the_ceiling_of_the_node_is_refused_at_the_door():
    with living(Machine(threads=1, memory=256 * MB, fuel=2_000_000_000)) as node:
        for limits, said in (
            (b'{"fuel": 2000000001}', "COMPONENT_FUEL"),
            (b'{"memory": 300000000}', "COMPONENT_MEMORY"),
        ):
            with pytest.raises(Rejected, match=said):
                node.run(node.node.create({**FILES, "code/c.wasm": counter(), "limits": limits}))
        node.run(node.node.create({**FILES, "code/c.wasm": counter(), "limits": b'{"fuel": 2000000000}'}))


def test_a_query_waits_for_memory_as_a_step_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "MEMORY_SECONDS", 0.05)
    machine = Machine(threads=1, memory=200 * MB)
    component = asked("(call $blob (i32.const 1024) (i32.const 4))")
    with living(machine) as node:
        id = node.run(node.node.create({**FILES, "code/c.wasm": component})).id
        with machine.memory(100 * MB), pytest.raises(Busy, match="other components"):
            node.run(node.node.query(id, "any"))
        assert node.run(node.node.query(id, "any"))


def test_memory_is_lent_to_as_many_as_there_is_for_and_given_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "MEMORY_SECONDS", 0.05)
    machine = Machine(threads=1, memory=10)
    with machine.memory(6), machine.memory(4), pytest.raises(HostFailed) as caught, machine.memory(1):
        pass
    assert caught.value.again
    monkeypatch.setattr(bounds, "MEMORY_SECONDS", 30.0)
    got = threading.Event()

    def wait() -> None:
        with machine.memory(5):
            got.set()

    with machine.memory(6):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.05)
    waiting.join(30)
    assert got.is_set()
    with machine.memory(10):
        pass


def test_long_work_is_done_in_turn_and_its_failure_is_told():
    machine = Machine(threads=2, memory=1)

    def fail() -> None:
        raise HostFailed("no")

    futures = [machine.compute(partial(abs, number)) for number in range(50)]
    assert [future.result(30) for future in futures] == list(range(50))
    with pytest.raises(HostFailed):
        machine.compute(fail).result(30)
    assert len([thread for thread in computing() if thread.is_alive()]) >= 1


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (counter(), 1),
        (actor(more="(memory $second 1)"), 2),
        (COUNTER.read_bytes(), 1),
    ],
)
def test_the_memories_of_a_component_are_counted(component: bytes, expected: int):
    assert count_memories(component, most=8) == expected


def test_a_module_that_is_instantiated_twice_counts_twice_and_code_in_an_inner_component_as_the_most():
    module = '(core module $m (memory (export "m") 1) (memory 1))'
    twice = f"(component {module} (core instance (instantiate $m)) (core instance (instantiate $m)))"
    inner = f"(component (component {module} (core instance (instantiate $m))))"
    assert count_memories(bytes(wat2wasm(twice)), most=8) == 4
    assert count_memories(bytes(wat2wasm(twice)), most=3) == 3
    borrowed = (
        f"(component $c {module} (component (alias outer $c $m (core module $n)) (core instance (instantiate $n))))"
    )
    assert count_memories(bytes(wat2wasm(inner)), most=8) == 8
    assert count_memories(bytes(wat2wasm(borrowed)), most=8) == 8
    assert count_memories(bytes(wat2wasm("(component (component))")), most=8) == 0


def test_the_bounds_of_a_machine_can_be_set_and_a_wrong_one_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNDERSTUDY_COMPONENT_FUEL", "5")
    with pytest.raises(HostFailed, match="5"):
        default_machine().check(Limits(), 1)
    monkeypatch.setenv("UNDERSTUDY_COMPONENT_MEMORY", "a lot")
    with pytest.raises(ValueError, match="UNDERSTUDY_COMPONENT_MEMORY is 'a lot'"):
        default_machine()


def test_the_default_bounds_let_ordinary_limits_pass():
    default_machine().check(Limits(), 1)
