"""What the benchmarks of components share: the component, an actor that sends to many, and wasmtime without us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from wasmtime import Store
from wasmtime.component import Component, Linker

from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.world import ACTOR, RUNTIME

COUNTER: Final = Path(__file__).parents[1] / "examples/wasm/counter.wasm"  # the one in C
MESSAGE: Final = b'{"add":1}'
STATE: Final = b'{"count":0}'

DRIVER = b"""
from msgspec import Struct
from understudy import Context, Wit

class Go(Struct):
    actors: list[str]
    each: int

class Spawn(Struct):
    first: int
    count: int

wit = Wit()

@wit.message("go")
def go(order: Go, ctx: Context) -> None:
    for _ in range(order.each):
        for actor in order.actors:
            ctx.send(actor, b'{"add":1}', type="message")

@wit.message("spawn")
def spawn(order: Spawn, ctx: Context) -> None:
    for number in range(order.first, order.first + order.count):
        ctx.spawn("counter", nonce=str(number))
"""


def driver_files(component: bytes) -> dict[str, bytes]:
    """The core of an actor that sends to counters, and spawns them."""
    counter = {f"counter/{path}": data for path, data in counter_files(component).items()}
    return {"wit": b"/code:driver:wit", "code/driver.py": DRIVER, **counter}


def counter_files(component: bytes) -> dict[str, bytes]:
    """The core of a component, one message to a step."""
    return {
        "runtime": b"wasm",
        "wit": b"/code:counter:handle",
        "code/counter.wasm": component,
        "policy": b'{"batch": 1}',
    }


class Bare:
    """A component in wasmtime's own package: a fresh instance and one call of `handle`."""

    def __init__(self, component: bytes) -> None:
        self._component = Component(compiler(), component)
        self._linker = Linker(compiler())
        with self._linker.root() as root, root.add_instance(RUNTIME) as runtime:
            runtime.add_func("log", lambda *_: None)
            runtime.add_func("send", lambda *_: None)
        found = self._component.get_export_index("handle", self._component.get_export_index(ACTOR))
        assert found is not None
        self._handle = found

    def call(self, message: Any, state: Any) -> Any:
        """A fresh instance's answer."""
        with Store(compiler()) as store:
            store.set_fuel(1_000_000_000)
            function = self._linker.instantiate(store, self._component).get_func(store, self._handle)
            assert function is not None
            return function(store, message, state)


def calls_per_second(call: Callable[[], object], *, seconds: float = 0.5) -> float:
    """How often something can be called in a second, on this thread."""
    rates = [_rate(call, seconds) for _ in range(3)]
    return max(rates)


def _rate(call: Callable[[], object], seconds: float) -> float:
    count, start = 0, perf_counter()
    while (now := perf_counter()) - start < seconds:
        call()
        count += 1
    return count / (now - start)
