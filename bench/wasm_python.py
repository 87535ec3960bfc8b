"""`wasm-python`: durable steps per second of the counter in Python, CPython and all, as a component of 18 MB.

One message to a step. The ceiling is wasmtime without us, WASI included: a fresh instance and one call of `handle`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from wasmtime import Store, WasiConfig
from wasmtime.component import Component, Linker

from bench.components import MESSAGE, STATE, calls_per_second, counter_files
from bench.node import open_node, run_live
from bench.result import Params, Result
from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.world import ACTOR, RUNTIME

COMPONENT: Final = Path(__file__).parents[1] / ".build/components/python.wasm"
FUEL: Final = 10_000_000_000


def run(params: Params) -> list[Result]:
    """Steps per second of one actor; nothing where the component is not built."""
    if not COMPONENT.exists():
        print("wasm-python is skipped: `make components` builds the counter in Python", file=sys.stderr)
        return []
    data, steps = COMPONENT.read_bytes(), params.get("steps", 300)
    bare = _Bare(data)
    ceiling = calls_per_second(lambda: bare.call(MESSAGE, STATE))
    return [
        Result(
            benchmark="wasm_python",
            rate=run_live(_rate(data, steps)),
            unit="steps/s",
            params={"steps": steps},
            ceiling=ceiling,
            ceiling_is="a fresh instance and one call of handle by wasmtime's own package, one after another",
        )
    ]


async def _rate(data: bytes, steps: int) -> float:
    async with open_node("wasm-python") as node:
        actor = (await node.create(counter_files(data))).id
        start = perf_counter()
        messages = [await node.send(actor, MESSAGE, type="message") for _ in range(steps)]
        await node.answer(actor, messages[-1])
        return steps / (perf_counter() - start)


class _Bare:
    def __init__(self, data: bytes) -> None:
        self._component = Component(compiler(), data)
        self._linker = Linker(compiler())
        self._linker.add_wasip2()
        with self._linker.root() as root, root.add_instance(RUNTIME) as runtime:
            runtime.add_func("log", lambda *_: None)
            runtime.add_func("send", lambda *_: None)
        found = self._component.get_export_index("handle", self._component.get_export_index(ACTOR))
        assert found is not None
        self._handle = found

    def call(self, message: bytes, state: bytes) -> Any:
        with Store(compiler()) as store:
            store.set_fuel(FUEL)
            store.set_wasi(WasiConfig())
            function = self._linker.instantiate(store, self._component).get_func(store, self._handle)
            assert function is not None
            return function(store, message, state)
