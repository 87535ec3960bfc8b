"""Components whose results and fuel counts are kept in tests/vectors/wasm.json: a wasmtime that changes one is another ABI.

python -m tests.engines.corpus      writes the file anew
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tests.engines.components import APPEND, CHANCE, COUNT, KEEP, LOG, NOW, WORLD, ZERO, actor, counter, spin
from understudy.engines.wasm.cache import CompiledCache
from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.guest import Guest
from understudy.engines.wasm.host import Host, Log
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.settings import ENGINE_TEXT
from understudy.testing.engine_suite import Objects, WorldCalls

FILE: Final = Path(__file__).parents[1] / "vectors" / "wasm.json"
LIMITS: Final = Limits(fuel=20_000_000, memory=4 * 1024 * 1024)

_RECURSE = (
    "(func $f (param i32) (call $f (i32.add (local.get 0) (i32.const 1))) (i32.store (i32.const 0) (local.get 0)))"
)
_CALLS = "(table 2 funcref) (func $other (param i32)) (elem (i32.const 0) $other)"
_NAN = """(local.set 7 (f64.sqrt (f64.neg (f64.convert_i32_u (local.get 1)))))
    (i64.store (i32.const 2048) (i64.reinterpret_f64 (f64.add (local.get 7) (f64.const 1))))
    (call $result (i32.const 2048) (i32.const 8))"""
_FULL = """(loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 1)))))
    (i32.store (i32.const 2048) (memory.size)) (call $result (i32.const 2048) (i32.const 4))"""
_SIMD = """(v128.store (i32.const 2048) (f32x4.relaxed_madd (f32x4.splat (f32.const 1.1)) (f32x4.splat (f32.const 1.3))
      (f32x4.splat (f32.const 1e-8))))
    (call $result (i32.const 2048) (i32.const 16))"""
_REFUSED = {"open": ("wasi:sockets/network@0.2.0", "open", "(result u32)", "(result i32)")}
_LEFT = {"leave": ("wasi:cli/exit@0.2.0", "exit", '(param "status" (result))', "(param i32)")}

# Each failure and each way to a result, by name.
COMPONENTS: Final[dict[str, bytes]] = {
    "counts": counter(),
    "counts in strings": counter(text=True),
    "appends": actor(APPEND),
    "appends in strings": actor(APPEND, text=True),
    "logs": actor(LOG),
    "computes": actor(spin(100_000) + KEEP),
    "sends": actor("(call $send (i32.const 1024) (i32.const 3) (local.get 0) (local.get 1))" + KEEP, data="bob"),
    "asks clock and chance": actor(WORLD, host={**NOW, **CHANCE}),
    "makes a NaN": actor(_NAN),
    "multiplies and adds relaxed": actor(_SIMD),
    "takes all memory": actor(_FULL),
    "refuses the message": actor("unreachable", message_contract="(i32.const 0)"),
    "refuses the state": actor(COUNT, init=ZERO, data="0", state_contract="(i32.const 0)"),
    "never ends": actor("(loop $again (br $again)) unreachable"),
    "logs without end": actor("(loop $again (call $log (i32.const 0) (i32.const 4000)) (br $again)) unreachable"),
    "sends without end": actor(
        "(loop $a (call $send (i32.const 1024) (i32.const 3) (i32.const 0) (i32.const 4000)) (br $a)) unreachable",
        data="bob",
    ),
    "sends in a contract": actor(
        message_contract="(call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 1)"
    ),
    "recurses without end": actor("(call $f (i32.const 0)) unreachable", more=_RECURSE),
    "panics": actor("unreachable"),
    "reads outside": actor("(drop (i32.load (i32.const -100))) unreachable"),
    "fills outside": actor("(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) unreachable"),
    "returns nowhere": actor("(i32.const -4)"),
    "returns an odd place": actor("(i32.const 17)"),
    "returns outside": actor("(call $result (i32.const -100) (i32.const 1000))"),
    "logs outside": actor("(call $log (i32.const -100) (i32.const 1000)) unreachable"),
    "logs what is no text": actor(
        "(i32.store8 (i32.const 2048) (i32.const 255)) (call $log (i32.const 2048) (i32.const 1)) unreachable"
    ),
    "returns what is no text": actor(
        "(i32.store8 (i32.const 2048) (i32.const 255)) (call $result (i32.const 2048) (i32.const 1))", text=True
    ),
    "returns too much": actor("(drop (memory.grow (i32.const 40))) (call $result (i32.const 0) (i32.const 2500000))"),
    "returns far too much": actor(
        "(drop (memory.grow (i32.const 60))) (call $result (i32.const 0) (i32.const 3900000))"
    ),
    "divides by zero": actor("(drop (i32.div_u (i32.const 1) (local.get 4))) unreachable"),
    "overflows": actor("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1))) unreachable"),
    "converts a NaN": actor("(drop (i32.trunc_f64_s (f64.const nan))) unreachable"),
    "calls another type": actor("(call_indirect (i32.const 0)) unreachable", more=_CALLS),
    "calls nothing": actor("(call_indirect (i32.const 1)) unreachable", more=_CALLS),
    "needs too much memory": actor(pages=100),
    "needs too large a table": actor(more="(table 2000000 funcref)"),
    "opens a socket": actor("(drop (call $open)) unreachable", host=_REFUSED),
    "exits": actor("(call $leave (i32.const 1)) unreachable", host=_LEFT),
}


def run(component: bytes, limits: Limits = LIMITS) -> dict[str, Any]:
    """What one message makes of a component: all that a step would hold, and the fuel."""
    log = Log()
    host = Host(limits, log, time=1_700_000_000_000_000, seed=7, number=0, objects=Objects(), calls=WorldCalls())
    guest = Guest(LoadedComponent(component, CompiledCache(None)), host)
    found: dict[str, Any] = {}
    try:
        with guest:
            try:
                _handle(guest, host, found)
            finally:
                found["fuel"] = guest.fuel_used
    except Stopped as error:
        found["outcome"] = [error.outcome.kind, error.outcome.code]
        if error.outcome.code == "StackOverflow":
            # How deep a stack goes depends on the size of its frames, which another processor has otherwise.
            del found["fuel"]
    if log.lines:
        found["log"] = [len(log.lines), sha256("\n".join(log.lines).encode()).hexdigest()]
    if host.sent and "outcome" not in found:
        found["sent"] = [[posted.to, posted.content.decode()] for posted in host.sent]
    return found


def _handle(guest: Guest, host: Host, found: dict[str, Any]) -> None:
    arguments = guest.arguments(b'{"a": 1}', b"41")
    found["takes"] = guest.agrees("message-contract", arguments)
    if not found["takes"]:
        return
    host.sending = True
    new = guest.content("handle", arguments)
    host.sending = False
    found["state"] = new.hex()
    found["keeps"] = guest.agrees("state-contract", guest.arguments(new))


def corpus() -> dict[str, Any]:
    """Everything that the file holds."""
    return {"engine": ENGINE_TEXT, "results": {name: run(component) for name, component in COMPONENTS.items()}}


if __name__ == "__main__":
    FILE.write_text(json.dumps(corpus(), indent=1) + "\n")
