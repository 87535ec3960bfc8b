"""The configuration of wasmtime: every switch is said, and what current toolchains name can be loaded."""

from __future__ import annotations

import pytest
from wasmtime import _ffi as ffi
from wasmtime import wat2wasm

from tests.engines.components import COUNT, ZERO, actor
from tests.engines.test_wasm_engine import Actor
from understudy.actors.errors import WitError
from understudy.engines.wasm import settings
from understudy.engines.wasm.settings import ENGINE_TEXT, KNOWN_TEXTS

# What QuickJS, built by `jco componentize --backend qjs`, names without calling it.
NAMED = """
  (core func $cancel (canon task.cancel))
  (core func $drop (canon subtask.drop))
  (core func $give-up (canon subtask.cancel))
  (core func $set (canon waitable-set.new))
  (core func $unset (canon waitable-set.drop))
  (core func $join (canon waitable.join))
  (core func $get (canon context.get i32 0))
  (core func $put (canon context.set i32 0))"""
ASYNCHRONOUS = """
(component
  (core module $Main
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "handle") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
  (core instance $main (instantiate $Main))
  (func $handle async (param "msg" (list u8)) (param "state" (list u8)) (result (list u8))
    (canon lift (core func $main "handle") async (callback (core func $main "callback"))
      (memory (core memory $main "memory")) (realloc (core func $main "realloc"))))
  (instance $actor (export "handle" (func $handle)))
  (export "ntwk:simple-actor/actor" (instance $actor)))"""


def test_every_switch_of_wasmtime_that_can_change_what_a_component_is_has_a_value():
    has = {
        name.removeprefix("wasmtime_config_").removesuffix("_set")
        for name in dir(ffi)
        if name.startswith("wasmtime_config_wasm_")
    }
    assert has - set(settings.SWITCHES) == set()


def test_the_present_text_and_the_one_before_it_are_known():
    assert {ENGINE_TEXT, "wasm/1;config=735c3e3b150f1f98"} <= KNOWN_TEXTS


def test_a_component_that_only_names_asynchronous_functions_runs():
    known = Actor(actor(COUNT, init=ZERO, data="0", worlds=("", NAMED, "", "")))
    assert known.tell("{}").outcome is None
    assert known.state == b"1"


def test_an_export_that_is_asynchronous_is_refused_by_name():
    with pytest.raises(WitError) as caught:
        Actor(bytes(wat2wasm(ASYNCHRONOUS)))
    assert caught.value.code == "WrongWorld"
    assert "actor.handle is async func(list<u8>, list<u8>) -> list<u8>, and must be func(" in caught.value.text
    assert caught.value.engine == ENGINE_TEXT


HANDLES = """(core func $n (canon waitable-set.new)) (core func $d (canon waitable-set.drop))
  (type $resource (resource (rep i32)))
  (core func $rn (canon resource.new $resource)) (core func $rd (canon resource.drop $resource))
  (type $stream (stream u8))
  (core func $sn (canon stream.new $stream))
  (core func $sr (canon stream.drop-readable $stream)) (core func $sw (canon stream.drop-writable $stream))
  (core func $y (canon thread.yield)) (core func $p (canon waitable-set.poll (memory $memory)))"""
FUNCTIONS = {
    "n": "(result i32)",
    "d": "(param i32)",
    "rn": "(param i32) (result i32)",
    "rd": "(param i32)",
    "sn": "(result i64)",
    "sr": "(param i32)",
    "sw": "(param i32)",
    "y": "(result i32)",
    "p": "(param i32 i32) (result i32)",
}
GIVEN = " ".join(f'(export "{name}" (func ${name}))' for name in FUNCTIONS)
IMPORTS = " ".join(f'(import "host" "{name}" (func ${name} {type}))' for name, type in FUNCTIONS.items())
STREAM = """(local.set 6 (call $sn)) (call $sw (i32.wrap_i64 (i64.shr_u (local.get 6) (i64.const 32))))
  (call $sr (i32.wrap_i64 (local.get 6)))"""


def ends(call: str) -> str | None:
    """How a loop of nothing but this ends, which is the same each time."""
    component = actor(
        f"(local.set 4 (call $n)) (loop $again {call} (br $again)) unreachable",
        more="(table $table 1 funcref)",
        worlds=("", HANDLES, GIVEN, IMPORTS),
    )
    first, second = (Actor(component, limits='{"fuel": 1000000}').tell("{}").outcome for _ in range(2))
    assert first is not None and first == second and first.kind == "failed"
    return first.code


@pytest.mark.parametrize(
    "call",
    [
        "(drop (call $y))",
        "(drop (call $p (local.get 4) (i32.const 64)))",
        "(call $d (call $n))",
        "(call $rd (call $rn (i32.const 1)))",
        STREAM,
        "(drop (memory.grow (i32.const 0)))",
        "(drop (table.grow $table (ref.null func) (i32.const 0)))",
    ],
)
def test_a_loop_of_what_takes_long_for_its_fuel_ends(call: str):
    assert ends(call) == "OutOfFuel"


@pytest.mark.parametrize("call", ["(drop (call $n))", "(drop (call $rn (i32.const 1)))", "(drop (call $sn))"])
def test_handles_that_are_made_without_end_have_a_bound(call: str):
    assert ends(call) == "Trap"
