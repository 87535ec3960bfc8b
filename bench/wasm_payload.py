"""`wasm-payload`: messages of 100 B, 10 KB and 1 MB through a component that returns them, as bytes and as a string.

The rate is that of whole steps without a store: both contracts, `handle`, and the new core. The other figure is how much
longer such a step takes than the calls of the component alone.
"""

from __future__ import annotations

from bench.components import calls_per_second
from bench.result import Params, Result
from tests.engines.components import actor
from understudy.actors.contract import StepInput
from understudy.engines.wasm.engine import WasmEngine
from understudy.engines.wasm.guest import Guest
from understudy.engines.wasm.host import Host, Log
from understudy.engines.wasm.limits import DEFAULT
from understudy.engines.wasm.program import WasmProgram
from understudy.testing.engine_suite import Objects, delivery, step_input

SIZES = (100, 10_000, 1_000_000)
ECHO = "(call $result (local.get 0) (local.get 1))"


def run(params: Params) -> list[Result]:
    """Steps per second for each size, and what a step costs beside the calls."""
    results = []
    for text in (False, True):
        engine, objects = WasmEngine(), Objects()
        core = objects.core({"wit": "/code:c:handle", "code/c.wasm": actor(ECHO, text=text), "state": "0"})
        program = engine.load(core, "wit", objects)
        for size in [size for size in SIZES if size <= params.get("most", SIZES[-1])]:
            given = step_input(objects, core, [delivery(objects, str(core), b"x" * size)])
            results += _measure(program, given, size, "string" if text else "list<u8>")
    return results


def _measure(program: WasmProgram, given: StepInput, size: int, flavour: str) -> list[Result]:
    about: dict[str, int | float | str] = {"bytes": size, "type": flavour}
    steps = calls_per_second(lambda: program.run(given))
    bare = calls_per_second(lambda: _calls(program, given, b"x" * size))
    over = max(0.0, 1000 / steps - 1000 / bare)
    return [
        Result(benchmark="wasm_payload", rate=steps, unit="steps/s without a store", params=about),
        Result(benchmark="wasm_payload", rate=over, unit="ms over the bare calls", params=about),
    ]


def _calls(program: WasmProgram, given: StepInput, content: bytes) -> None:
    host = Host(DEFAULT, Log(), time=0, seed=0, number=0, objects=given.store, calls=given.calls)
    with Guest(program.loaded, host) as guest:
        arguments = guest.arguments(content, b"0")
        guest.agrees("message-contract", arguments)
        guest.agrees("state-contract", guest.arguments(guest.content("handle", arguments)))
