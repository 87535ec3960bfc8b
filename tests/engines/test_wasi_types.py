"""WASI has no types of ours: a component says which ones it imports, and may say what it likes."""

from __future__ import annotations

import pytest

from tests.engines.components import KEEP, actor
from tests.engines.test_wasm_engine import Actor
from understudy.engines.wasm.wasi import _FUNCTIONS as KNOWN

# Types that hardly any function of WASI has: for WIT, for the core module, and a call.
TYPES = {
    "a text": ('(result string)', "(param i32)", "(call $f (i32.const 32))"),
    "numbers": ("(result (list u32))", "(param i32)", "(call $f (i32.const 32))"),
    "a number": ('(param "n" u32)', "(param i32)", "(call $f (i32.const 5))"),
    "a letter": ('(param "c" char) (result (option string))', "(param i32 i32)", "(call $f (i32.const 65) (i32.const 32))"),
    "cases": ('(param "s" string) (result (result string (error string)))', "(param i32 i32 i32)",
              "(call $f (i32.const 0) (i32.const 3) (i32.const 32))"),
    "much": ('(param "a" u32) (param "b" u64) (param "c" bool) (result (tuple u8 string))', "(param i32 i64 i32 i32)",
             "(call $f (i32.const 0) (i64.const 3) (i32.const 1) (i32.const 32))"),
}  # fmt: skip


@pytest.mark.parametrize("type", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("function", sorted(each for each in KNOWN if "[method]" not in each))
def test_a_function_of_wasi_under_any_type_ends_the_step_and_never_the_engine(
    function: str, type: tuple[str, str, str]
):
    instance, name = function.split()
    wit, core, call = type
    component = actor(call + KEEP, host={"f": (f"wasi:{instance}@0.2.0", name, wit, core)})
    born = Actor(component)
    first, second = (born.tell("x").outcome for _ in range(2))
    assert first == second
    if first is not None and first.code == "ImportRefused":
        assert f"wasi:{instance}@0.2.0 {name} as func(" in first.text


def test_the_type_that_was_wrong_is_said():
    component = actor(
        "(call $f (i32.const 32))" + KEEP,
        host={"f": ("wasi:random/random@0.2.3", "get-random-u64", "(result string)", "(param i32)")},
    )
    outcome = Actor(component).tell("x").outcome
    assert outcome is not None
    assert (outcome.kind, outcome.code) == ("failed", "ImportRefused")
    assert "wasi:random/random@0.2.3 get-random-u64 as func() -> string, which is not its type" in outcome.text
