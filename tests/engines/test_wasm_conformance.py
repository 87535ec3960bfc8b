"""The WebAssembly engine under the conformance suite, with components that take bytes and ones that take strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.engines.components import APPEND, CHANCE, KEEP, LOG, NOW, WORLD, actor
from tests.engines.fetching import fetcher
from understudy.engines.wasm.engine import WasmEngine
from understudy.testing.engine_suite import CALLER
from understudy.testing.engine_world_suite import WorldSuite

_SEND = f"(call $send (i32.const 1024) (i32.const {len(CALLER)}) (local.get 0) (local.get 1))"
_FLOOD = """
    (local.set 4 (i32.const 4096))
    (loop $again
      (call $log (i32.const 0) (i32.const 1024))
      (br_if $again (local.tee 4 (i32.sub (local.get 4) (i32.const 1)))))"""
HANDLERS: Final = {
    "keep": (APPEND, ""),
    "echo": (_SEND + KEEP, CALLER),
    "log": (LOG, ""),
    "flood": (_FLOOD + KEEP, ""),
    "fail": (f"{_SEND} (call $log (i32.const {1024 + len(CALLER)}) (i32.const 6)) unreachable", CALLER + "before"),
}


class WasmSuite(WorldSuite):
    kept = "state"
    echo_type = "message"
    text = False

    def make_engine(self) -> WasmEngine:
        return WasmEngine()

    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        return {
            "runtime": "wasm",
            "wit": "/code:m:handle",
            "code/m.wasm": self._component(behaviour),
            "state": "",
        }

    def _component(self, behaviour: str) -> bytes:
        if behaviour == "broken":
            return b"\0asm, but nothing else of a component"
        if behaviour == "ask":
            return fetcher(text=self.text)
        if behaviour == "world":
            return actor(WORLD, text=self.text, host={**NOW, **CHANCE})
        handle, data = HANDLERS[behaviour]
        return actor(handle, text=self.text, data=data)


class TestBytes(WasmSuite):
    pass


class TestStrings(WasmSuite):
    text = True
