"""Many threads and one engine: what fails in one call never comes out of another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.engines.components import KEEP, actor, counter, spin
from tests.engines.test_wasm_engine import Actor

THREADS = 8
ROUNDS = 40
_SEND = "(call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) "
_LEAVE = {"leave": ("wasi:cli/exit@0.2.0", "exit", '(param "status" (result))', "(param i32)")}
_OPEN = {"open": ("wasi:sockets/network@0.2.0", "open", "(result u32)", "(result i32)")}
# Each fails inside an import or in its code, in a way of its own, after a while; two do not fail.
KINDS = {
    "NotNow": actor(message_contract=f"{_SEND} (i32.const 1)"),
    "Exit": actor(f"{spin(3000)} (call $leave (i32.const 1)) unreachable", host=_LEAVE),
    "ImportRefused": actor(f"{spin(5000)} (drop (call $open)) unreachable", host=_OPEN),
    "Unreachable": actor(f"{spin(4000)} unreachable"),
    "DivideByZero": actor("(drop (i32.div_u (i32.const 1) (local.get 4))) unreachable"),
    "OutOfFuel": actor("(loop $again (br $again)) unreachable"),
    "logs": actor(f"(call $log (local.get 0) (local.get 1)) {spin(2000)} {KEEP}"),
    "counts": counter(),
}


def test_what_fails_in_one_actor_never_surfaces_in_another():
    start = threading.Barrier(THREADS)

    def work(number: int) -> list[str]:
        name = list(KINDS)[number % len(KINDS)]
        known = Actor(KINDS[name], limits='{"fuel": 200000}')
        start.wait()
        wrong = []
        for round in range(ROUNDS):
            text = f"{number} {round}"
            result = known.tell(text)
            found = name if result.outcome is None else result.outcome.code
            if found != name or (name == "logs" and list(result.log) != [text]):
                wrong.append(f"{name}: {result}")
        if name == "counts" and known.state != b"%d" % ROUNDS:
            wrong.append(f"counted {known.state!r}")
        return wrong

    with ThreadPoolExecutor(THREADS) as pool:
        assert [wrong for found in pool.map(work, range(THREADS)) for wrong in found] == []


def test_what_an_import_raises_comes_out_of_the_call_that_made_it_and_stays_nowhere(monkeypatch):
    broken = Actor(KINDS["logs"])

    def fail(*_: object) -> None:
        raise RuntimeError("our own mistake")

    with monkeypatch.context() as patch:
        patch.setattr("understudy.engines.wasm.host.Log.write", fail)
        try:
            broken.tell("x")
        except RuntimeError as error:
            assert str(error) == "our own mistake"
        else:
            raise AssertionError("it was swallowed")
    result = broken.tell("y")
    assert (result.outcome, list(result.log)) == (None, ["y"])
