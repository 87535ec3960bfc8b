"""What one component takes from the others is bounded for the node, not only for itself."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable
from functools import partial

import pytest
from wasmtime import Engine, Store, WasmtimeError, wat2wasm
from wasmtime.component import Component as WasmComponent
from wasmtime.component import Linker

from tests.components.actor_process import COUNTER
from tests.engines.components import COUNT, ZERO, actor, asked, counter, spin
from tests.node.living import Living
from understudy.actors.errors import HostFailed
from understudy.actors.query import Blob, QueryInput, Result
from understudy.engines.python.engine import PythonEngine
from understudy.engines.wasm import machine as bounds
from understudy.engines.wasm import program, query
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.guest import Guest
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.machine import (
    MAX_ANSWERERS,
    MAX_ANSWERERS_OF_ONE,
    QUICK_FUEL,
    Machine,
    default_machine,
)
from understudy.engines.wasm.memories import count_elements, count_memories
from understudy.engines.wasm.query import WasmQuery
from understudy.node.errors import Busy, QueryFailed, Rejected

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


def test_a_long_step_is_cut_at_its_deadline_a_quick_one_is_not_and_a_replay_repeats_no_cut():
    with living(Machine(threads=1, memory=2048 * MB)) as node:
        # A long message takes some hundred million units of fuel: no machine has them in a millisecond.
        files = {**FILES, "code/c.wasm": MOODY, "policy": b'{"deadline_ms": 1}'}
        id = node.run(node.node.create(files)).id

        def tell(content: bytes) -> tuple[str, str] | None:
            answer = node.run(node.node.answer(id, node.run(node.node.send(id, content, type="message"))))
            return None if answer.outcome is None else (answer.outcome.kind, answer.outcome.code)

        assert tell(b"[1]") is None
        # The second waits for what is left of the first, since one actor computes on one thread.
        assert [tell(b"{}"), tell(b"{}")] == [("cut", "Deadline")] * 2
        assert tell(b"[1]") is None
        found = node.node.reader.find(node.node.reader.step(node.node.actor(id).head).core, "state")
        assert found is not None and node.node.reader.blob(found) == b"2"
        (verdict,) = node.run(node.node.verify())
        assert (verdict.verdict, verdict.cause, verdict.at_height) == ("UNVERIFIABLE", "cut", 2)
        assert [verdict.verdict for verdict in node.run(node.node.verify(integrity_only=True))] == ["INTACT"]


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


@pytest.mark.parametrize(("seconds", "moves"), [(-1.0, True), (1e9, False)])
def test_what_takes_long_for_its_fuel_leaves_the_threads_of_quick_messages_and_queries(
    monkeypatch: pytest.MonkeyPatch, seconds: float, moves: bool
):
    for module in (program, query):
        monkeypatch.setattr(module, "QUICK_SECONDS", seconds)
    ran: list[str] = []
    enter = Guest.__enter__

    def noted(guest: Guest) -> Guest:
        ran.append(threading.current_thread().name)
        return enter(guest)

    monkeypatch.setattr(Guest, "__enter__", noted)
    with living(Machine(threads=1, memory=2048 * MB)) as node:
        steps = node.run(node.node.create({**FILES, "code/c.wasm": counter()})).id
        node.run(node.node.answer(steps, node.run(node.node.send(steps, b"{}", type="message"))))
        answers = asked("(call $blob (i32.const 1024) (i32.const 4))")
        queries = node.run(node.node.create({**FILES, "code/c.wasm": answers})).id
        del ran[2:]
        for name in ("first", "second"):
            node.run(node.node.query(queries, name))
        assert [name == "understudy-components" for name in ran] == [False, moves, False, moves]
        assert {verdict.verdict for verdict in node.run(node.node.verify())} == {"MATCH"}


# Each query computes for as long as it may where its name has three letters, and answers at once where it has four.
SLOW = asked(
    "(if (i32.eq (local.get 3) (i32.const 3)) (then (loop $again (br $again)))) (call $blob (i32.const 1024) (i32.const 4))"
)


def test_queries_that_compute_for_long_give_way_a_few_of_one_actor_at_a_time(monkeypatch: pytest.MonkeyPatch):
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()
    threads: set[str] = set()
    lock = threading.Lock()
    ask = WasmQuery._ask

    def watched(self: WasmQuery, given: QueryInput, state: bytes, fuel: int) -> Result:
        if fuel == QUICK_FUEL:
            return ask(self, given, state, fuel)
        owner = str(given.actor)
        with lock:
            threads.add(threading.current_thread().name)
            under_way[owner] += 1
            most[owner] = max(most[owner], under_way[owner])
            most["all"] = max(most["all"], under_way.total())
        try:
            return ask(self, given, state, fuel)
        finally:
            with lock:
                under_way[owner] -= 1

    monkeypatch.setattr(WasmQuery, "_ask", watched)
    with living(Machine(threads=1, memory=4096 * MB)) as node:
        files = {**FILES, "code/c.wasm": SLOW, "limits": b'{"fuel": 60000000}'}
        made = [node.run(node.node.create(files, nonce=str(number))).id for number in range(6)]

        async def story() -> list[str]:
            asked = [asyncio.ensure_future(node.node.query(id, "run", timeout=60)) for id in made for _ in range(4)]
            for id in made:
                assert await node.node.query(id, "fast", timeout=60)
            return [error.code if isinstance(error := await failed(each), QueryFailed) else "" for each in asked]

        assert node.run(story()) == ["OutOfFuel"] * 24
    assert threads == {"understudy-components"}
    assert max(most[str(id)] for id in made) <= MAX_ANSWERERS_OF_ONE
    assert most["all"] <= MAX_ANSWERERS


async def failed(query: Awaitable[object]) -> Exception | None:
    try:
        await query
    except Exception as error:
        return error
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority of its own")
def test_what_computes_for_long_has_the_lowest_priority_and_what_is_quick_has_not():
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    machine = Machine(threads=1, memory=1)
    before = priority()
    assert machine.answer(priority, owner="a").result(30) == machine.compute(priority, owner="a").result(30) == 19
    assert machine.answer(lambda: machine.gives_way, owner="a").result(30)
    assert priority() == before and not machine.gives_way


def test_a_question_that_nobody_waits_for_any_more_is_forgotten_before_it_begins():
    machine = Machine(threads=1, memory=1)
    gate, began = threading.Event(), threading.Event()
    held = [machine.answer(lambda: gate.wait(30), owner="a") for _ in range(MAX_ANSWERERS_OF_ONE)]
    given_up = machine.answer(began.set, owner="a")
    assert machine.answer(lambda: 42, owner="b").result(30) == 42
    assert given_up.cancel() and not machine._answerers._waiting
    gate.set()
    assert all(each.result(30) for each in held)
    assert machine.answer(began.is_set, owner="a").result(30) is False


def test_a_long_query_asks_another_and_both_come_to_an_answer():
    # `neighbours.ask` is called once at the beginning, and what follows takes more than a quick attempt has.
    asks = asked(
        f"""(i64.store (i32.const 2048) (i64.const 0x6574617473))
            (call $ask (local.get 4) (local.get 5) (i32.const 2048) (i32.const 5)
              (i32.const 0) (i32.const 0) (i32.const 128))
            (local.set 4 (i32.load (i32.const 144))) (local.set 5 (i32.load (i32.const 148)))
            (local.set 0 (i32.const {QUICK_FUEL}))
            (loop $turn (br_if $turn (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (call $blob (local.get 4) (local.get 5))"""
    )
    with living(Machine(threads=1, memory=2048 * MB)) as node:
        node.run(node.node.create({**FILES, "code/c.wasm": counter()}, name="c"))
        id = node.run(node.node.create({**FILES, "code/c.wasm": asks})).id
        answer = node.run(node.node.query(id, "any", Blob(b"c"), timeout=60)).result
        assert isinstance(answer, Blob) and answer.data == b"0"


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

    futures = [machine.compute(partial(abs, number), owner=str(number % 3)) for number in range(50)]
    assert [future.result(30) for future in futures] == list(range(50))
    with pytest.raises(HostFailed):
        machine.compute(fail, owner="a").result(30)
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


MODULE = '(core module $m (memory (export "m") 1) (memory 1) (table 5 funcref))'
INNER = f"(component $c {MODULE} (core instance (instantiate $m)))"
TWICE = "(instance (instantiate $c)) (instance (instantiate $c))"
SCATTERED = [  # components whose code is in several places, and how many of its two memories their instances have
    (f"(component {MODULE} (core instance (instantiate $m)) (core instance (instantiate $m)))", 4),
    ("(component (component))", 0),
    (f"(component {INNER})", 0),
    (f"(component {INNER} {TWICE})", 4),
    (f"(component (component $c {INNER} {TWICE}) (instance (instantiate $c)))", 4),
    (f"(component {MODULE} (core instance (instantiate $m)) {INNER} (instance (instantiate $c)))", 4),
    # An export gives a module or a component another number.
    (f'(component {MODULE} (export $e "e" (core module $m)) (core instance (instantiate $e)))', 2),
    (
        f"""(component (component $w {INNER} (export $e "e" (component $c)) (instance (instantiate $e))
            (instance (instantiate $c))) (instance (instantiate $w)))""",
        4,
    ),
    (
        f'(component {MODULE} (component $c (import "f" (func)) (export "g" (func 0))) (core instance (instantiate $m)))',
        2,
    ),
    (
        f"""(component {INNER} (component $o (import "i" (instance $i)) (export "x" (instance $i)))
            (instance $i (instantiate $c)) (instance (instantiate $o (with "i" (instance $i)))))""",
        2,
    ),
]
BORROWED = [  # the same, where it takes linking to see whose module or component is instantiated
    f"""(component $c {MODULE} (component $i (alias outer $c $m (core module $n)) (core instance (instantiate $n)))
        (instance (instantiate $i)))""",
    f"""(component {MODULE} (component $i (import "m" (core module $n (export "m" (memory 1))))
        (core instance (instantiate $n))) (instance (instantiate $i (with "m" (core module $m)))))""",
    f"""(component (component $o {INNER} (export "c" (component $c))) (instance $x (instantiate $o))
        (alias export $x "c" (component $d)) (instance (instantiate $d)))""",
    f"""(component {INNER} (component $o (import "c" (component $d)) (instance (instantiate $d)))
        (instance (instantiate $o (with "c" (component $c)))))""",
]


def memories_that_wasmtime_makes(wat: str) -> int:
    """The least bound on memories under which an instance can be made."""
    engine = Engine()
    component = WasmComponent(engine, wat)
    for most in range(9):
        store = Store(engine)
        store.set_limits(memories=most)
        try:
            Linker(engine).instantiate(store, component)
        except WasmtimeError:
            continue
        return most
    raise AssertionError("it can't be made at all")


@pytest.mark.parametrize(("wat", "expected"), SCATTERED)
def test_what_is_counted_is_what_wasmtime_makes_wherever_the_code_is(wat: str, expected: int):
    assert count_memories(bytes(wat2wasm(wat)), most=8) == memories_that_wasmtime_makes(wat) == expected
    assert count_memories(bytes(wat2wasm(wat)), most=3) == min(3, expected)
    assert count_elements(bytes(wat2wasm(wat)), most_of_one=4, most=1000) == expected * 2


@pytest.mark.parametrize("wat", BORROWED)
def test_what_takes_linking_to_tell_counts_as_the_most(wat: str):
    assert memories_that_wasmtime_makes(wat) == 2
    assert count_memories(bytes(wat2wasm(wat)), most=8) == 8


def test_an_encoding_that_is_not_known_counts_as_the_most():
    whole = bytes(wat2wasm(SCATTERED[6][0]))
    assert count_memories(whole.replace(b"\x01\x00\x01e\x00\x11", b"\x01\x02\x01e\x00\x11"), most=8) == 8
    assert count_memories(whole[:-40], most=8) == 8


def test_a_module_under_another_name_hides_no_memory():
    modules = "(core module $many (memory 1) (memory 1) (memory 1)) {} (core module $none)"
    last = modules.format("(alias outer $c $many (core module $again))")
    hidden = f"(component $c {last} (core instance (instantiate $again)))"
    inner = f"""(component $c {modules.format("")} (component $i (alias outer $c $many (core module $m))
        (export "m" (core module $m))) (instance $x (instantiate $i)) (alias export $x "m" (core module $out))
        (core instance (instantiate $out)))"""
    assert count_memories(bytes(wat2wasm(hidden)), most=8) == 8
    assert count_memories(bytes(wat2wasm(inner)), most=8) == 8
    # Other aliases, as every component has them, change nothing.
    ordinary = f"""(component $c (type $t u8) {modules.format("(alias outer $c $t (type $u))")}
        (core module $one (memory (export "memory") 1)) (core instance $i (instantiate $one))
        (alias core export $i "memory" (core memory $m)) (core instance (instantiate $many)))"""
    assert count_memories(bytes(wat2wasm(ordinary)), most=8) == 4


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ("", 0),
        ("(table 3 funcref)", 1000),
        ("(table 3 7 funcref)", 7),
        ("(table 3 4000000 funcref)", 1000),
        ("(table 200 funcref) (table 3 300 funcref) (table 0 0 funcref)", 1300),
    ],
)
def test_the_elements_of_tables_are_counted(tables: str, expected: int):
    twice = f"(component (core module $m {tables}) (core instance (instantiate $m)) (core instance (instantiate $m)))"
    assert count_elements(bytes(wat2wasm(twice)), most_of_one=1000, most=10_000) == 2 * expected


class Ledger(Machine):
    """A machine that notes what was taken of its memory."""

    def __init__(self) -> None:
        super().__init__(threads=1, memory=4096 * MB)
        self.taken: list[int] = []

    def take(self, size: int) -> None:
        self.taken.append(size)
        super().take(size)


@pytest.mark.parametrize(("text", "each"), [(False, 64), (True, 4)])
def test_what_is_handed_to_a_component_takes_of_the_memory_for_all_components(text: bool, each: int):
    machine = Ledger()
    with living(machine) as node:
        core = {**FILES, "code/c.wasm": actor(text=text), "state": b"x" * MB}
        id = node.run(node.node.create(core)).id
        assert node.ask(id, "message", "y" * (MB - 2)).outcome is None
    assert machine.taken == [128 * MB + size * each for size in (MB, 2 * MB)]


def test_a_query_counts_its_state_and_its_context():
    machine = Ledger()
    with living(machine) as node:
        core = {**FILES, "code/c.wasm": asked("(call $blob (i32.const 1024) (i32.const 4))"), "state": b"x" * MB}
        id = node.run(node.node.create(core)).id
        assert node.run(node.node.query(id, "any"))
    assert len(machine.taken) == 2
    assert 0 <= machine.taken[1] - machine.taken[0] < 64 * 100  # the context of such a query is small


def test_who_wants_more_memory_than_there_is_works_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "MEMORY_SECONDS", 0.05)
    machine = Machine(threads=1, memory=100)
    with machine.memory(10_000), pytest.raises(HostFailed, match="other components"), machine.memory(1):
        pass
    with machine.memory(1), pytest.raises(HostFailed, match="other components"), machine.memory(10_000):
        pass
    with machine.memory(100):
        pass


def test_one_large_message_leaves_memory_to_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "MEMORY_SECONDS", 0.05)
    machine = Machine(threads=1, memory=100)
    large, other = machine.memory(10, 10_000), machine.memory(40)
    with large, other, pytest.raises(HostFailed, match="other components"), machine.memory(1):
        pass


def test_tables_take_of_the_memory_for_all_components():
    roomy = actor(more="".join(f"(table {most} funcref)" for most in ("0", "0 10", "0 999999999")))
    room = 128 * MB + 2 * 8_000_000 + 80
    core = {**FILES, "code/c.wasm": roomy}
    with living(Machine(threads=1, memory=room)) as node:
        assert node.run(node.node.create(core))
    with living(Machine(threads=1, memory=room - 1)) as node, pytest.raises(Rejected, match=f"may take {room:,} bytes"):
        node.run(node.node.create(core))


def test_the_bounds_of_a_machine_can_be_set_and_a_wrong_one_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNDERSTUDY_COMPONENT_FUEL", "5")
    with pytest.raises(HostFailed, match="5"):
        default_machine().check(Limits(), Limits().memory)
    monkeypatch.setenv("UNDERSTUDY_COMPONENT_MEMORY", "a lot")
    with pytest.raises(ValueError, match="UNDERSTUDY_COMPONENT_MEMORY is 'a lot'"):
        default_machine()


def test_the_default_bounds_let_ordinary_limits_pass():
    default_machine().check(Limits(), Limits().memory)
