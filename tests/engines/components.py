"""Components as text, for tests: the part that every component needs, around a few functions in WebAssembly's text format.

Addresses below 4096 are free for what a component needs itself; 16 is where results are put.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from wasmtime import wat2wasm

NO_IMPORTS: Mapping[str, tuple[str, str, str, str]] = MappingProxyType({})
NOW = {"now": ("wasi:clocks/monotonic-clock@0.2.0", "now", "(result u64)", "(result i64)")}
CHANCE = {"chance": ("wasi:random/random@0.2.3", "get-random-u64", "(result u64)", "(result i64)")}
TRUE = "(i32.const 1)"
KEEP = "(call $result (local.get 2) (local.get 3))"  # as a handle: the state stays as it is


def actor(
    handle: str = KEEP,
    *,
    text: bool = False,
    message_contract: str = TRUE,
    state_contract: str = TRUE,
    init: str | None = "(call $result (i32.const 0) (i32.const 0))",
    data: str = "",
    more: str = "",
    host: Mapping[str, tuple[str, str, str, str]] = NO_IMPORTS,
    pages: int = 1,
    exports: str = "",
    worlds: tuple[str, str, str, str] = ("", "", "", ""),
) -> bytes:
    """A component: each function's body, which finds the message in locals 0 and 1, the state in 2 and 3 (pointer, size).

    `data` is put at 1024 in the memory. `more` are further functions of the core module. `host` are further functions
    that are imported: by the name in the code, the instance, the name there, the type, and the type in the core module.
    `exports` come after the actor's own; `worlds` are further imports as text: declared, lowered, given, in the code.
    """
    declared, more_lowered, more_given, core_imports = worlds
    return _compile(
        _TEMPLATE.format(
            type="string" if text else "(list u8)",
            handle=handle,
            message_contract=message_contract,
            state_contract=state_contract,
            init="" if init is None else f'(func (export "init") (result i32) {init})',
            lift_init="" if init is None else _LIFT_INIT,
            export_init="" if init is None else '(export "init" (func $init))',
            data=data,
            more=more,
            imports="\n".join(
                f'(import "{instance}" (instance ${name}-from (export "{there}" (func {type}))))'
                for name, (instance, there, type, _) in host.items()
            )
            + declared,
            lowered="\n".join(
                f'(core func ${name} (canon lower (func ${name}-from "{there}") (memory $memory) (realloc $realloc)))'
                for name, (_, there, _, _) in host.items()
            )
            + more_lowered,
            given="\n".join(f'(export "{name}" (func ${name}))' for name in host) + more_given,
            core_imports="\n".join(
                f'(import "host" "{name}" (func ${name} {type}))' for name, (_, _, _, type) in host.items()
            )
            + core_imports,
            pages=pages,
            exports=exports,
        )
    )


@cache
def _compile(text: str) -> bytes:
    return bytes(wat2wasm(text))


def spin(count: int) -> str:
    """Code that computes for a while: so many turns of an empty loop."""
    return f"""(local.set 4 (i32.const {count}))
      (loop $turn (br_if $turn (local.tee 4 (i32.sub (local.get 4) (i32.const 1)))))"""


# The message is added to the state.
APPEND = """
    (local.set 4 (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.add (local.get 1) (local.get 3))))
    (memory.copy (local.get 4) (local.get 2) (local.get 3))
    (memory.copy (i32.add (local.get 4) (local.get 3)) (local.get 0) (local.get 1))
    (call $result (local.get 4) (i32.add (local.get 1) (local.get 3)))"""
# As a handle: the new state is what the clock and chance say, in letters.
WORLD = """
    (local.set 4 (i32.const 32))
    (local.set 6 (call $now))
    (loop $letters
      (local.set 4 (i32.sub (local.get 4) (i32.const 1)))
      (if (i32.eq (local.get 4) (i32.const 15)) (then (local.set 6 (call $chance))))
      (i32.store8 offset=2048 (local.get 4)
        (i32.add (i32.const 97) (i32.and (i32.wrap_i64 (local.get 6)) (i32.const 15))))
      (local.set 6 (i64.shr_u (local.get 6) (i64.const 4)))
      (br_if $letters (local.get 4)))
    (call $result (i32.const 2048) (i32.const 32))"""
LOG = f"(call $log (local.get 0) (local.get 1)) {KEEP}"
# The state is a number in decimal digits, and each message adds one to it.
COUNT = """
    (local.set 4 (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (local.set 5 (i32.const 0))
    (block $read (loop $digits
      (br_if $read (i32.eqz (local.get 3)))
      (local.set 5 (i32.add (i32.mul (local.get 5) (i32.const 10))
                            (i32.sub (i32.load8_u (local.get 2)) (i32.const 48))))
      (local.set 2 (i32.add (local.get 2) (i32.const 1)))
      (local.set 3 (i32.sub (local.get 3) (i32.const 1)))
      (br $digits)))
    (local.set 5 (i32.add (local.get 5) (i32.const 1)))
    (local.set 2 (i32.add (local.get 4) (i32.const 16)))
    (loop $write
      (local.set 2 (i32.sub (local.get 2) (i32.const 1)))
      (i32.store8 (local.get 2) (i32.add (i32.rem_u (local.get 5) (i32.const 10)) (i32.const 48)))
      (local.set 5 (i32.div_u (local.get 5) (i32.const 10)))
      (br_if $write (local.get 5)))
    (call $result (local.get 2) (i32.sub (i32.add (local.get 4) (i32.const 16)) (local.get 2)))"""
ZERO = "(call $result (i32.const 1024) (i32.const 1))"  # as an init, with "0" as data


def counter(*, text: bool = False) -> bytes:
    """The counter: its state is how many messages it got."""
    return actor(COUNT, text=text, init=ZERO, data="0")


# The types of answers, and of what `grit` and `neighbours` give, as imports; and a query, as what comes after the actor.
ANSWERS = """
  (import "ntwk:simple-actor/answers" (instance $answers
    (type $b (record (field "media-type" string) (field "content" (list u8))))
    (export "blob" (type $blob (eq $b)))
    (type $e (record (field "name" string) (field "id" string)))
    (export "entry" (type $entry (eq $e)))
    (type $a (variant (case "blob" $blob) (case "tree" (list $entry))))
    (export "answer" (type (eq $a)))))
  (alias export $answers "entry" (type $entry))
  (alias export $answers "answer" (type $answer))
  (import "ntwk:simple-actor/neighbours" (instance $neighbours
    (alias outer 1 $answer (type $outer))
    (export "answer" (type $a (eq $outer)))
    (export "ask" (func (param "actor-id" string) (param "name" string) (param "context" (list u8))
      (result (result $a (error string)))))))
  (import "ntwk:simple-actor/grit" (instance $grit
    (alias outer 1 $entry (type $outer))
    (export "entry" (type $e (eq $outer)))
    (type $o (variant (case "blob" (list u8)) (case "tree" (list $e)) (case "node" (list u8))))
    (export "object" (type $object (eq $o)))
    (export "read" (func (param "id" string) (result (result $object (error string)))))))"""
LOWERED = """
  (core func $ask (canon lower (func $neighbours "ask") (memory $memory) (realloc $realloc)))
  (core func $read (canon lower (func $grit "read") (memory $memory) (realloc $realloc)))"""
GIVEN = '(export "ask" (func $ask)) (export "read" (func $read))'
CORE_IMPORTS = """
    (import "host" "ask" (func $ask (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "read" (func $read (param i32 i32 i32)))"""
QUERY = """
  (func $query (param "step" string) (param "name" string) (param "context" (list u8)) (param "state" $state)
      (result (result $answer (error string)))
    (canon lift (core func $main "query") (memory $memory) (realloc $realloc)))
  (instance $queries (export "query" (func $query)))
  (export "ntwk:simple-actor/queries" (instance $queries))"""


def asked(query: str, handle: str = KEEP) -> bytes:
    """An actor with a query of its own, which finds step, name, context and state in locals 0 to 7.

    An answer is what `$blob` or `$error` returns, given its bytes as pointer and size.
    """
    more = f"""
      (func $blob (param i32 i32) (result i32)
        (i32.store8 (i32.const 64) (i32.const 0)) (i32.store8 (i32.const 68) (i32.const 0))
        (i32.store (i32.const 72) (i32.const 1024)) (i32.store (i32.const 76) (i32.const 10))
        (i32.store (i32.const 80) (local.get 0)) (i32.store (i32.const 84) (local.get 1)) (i32.const 64))
      (func $error (param i32 i32) (result i32)
        (i32.store8 (i32.const 64) (i32.const 1))
        (i32.store (i32.const 68) (local.get 0)) (i32.store (i32.const 72) (local.get 1)) (i32.const 64))
      (func (export "query") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {query})"""
    return actor(handle, data="text/plain", more=more, exports=QUERY, worlds=(ANSWERS, LOWERED, GIVEN, CORE_IMPORTS))


_LIFT_INIT = """
  (func $init (result $state)
    (canon lift (core func $main "init") (memory $memory) (realloc $realloc)))"""

_TEMPLATE = """
(component
  (import "ntwk:simple-actor/types" (instance $types
    (type $m {type}) (export "message" (type (eq $m)))
    (type $s {type}) (export "state" (type (eq $s)))))
  (alias export $types "message" (type $message))
  (alias export $types "state" (type $state))
  (import "ntwk:simple-actor/runtime" (instance $runtime
    (alias outer 1 $message (type $outer))
    (export "message" (type $m (eq $outer)))
    (export "log" (func (param "msg" string)))
    (export "send" (func (param "actor-id" string) (param "msg" $m)))))
  {imports}
  (core module $Libc
    (memory (export "memory") {pages})
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      (local $at i32) (local $end i32) (local $have i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
      (local.set $end (i32.add (local.get $at) (local.get $new)))
      (local.set $have (i32.mul (memory.size) (i32.const 65536)))
      (if (i32.gt_u (local.get $end) (local.get $have)) (then
        (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
              (i32.div_u (i32.sub (local.get $end) (local.get $have)) (i32.const 65536))))) (then unreachable))))
      (memory.copy (local.get $at) (local.get $old) (local.get $size))
      (global.set $top (local.get $end))
      (local.get $at)))
  (core instance $libc (instantiate $Libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $log (canon lower (func $runtime "log") (memory $memory)))
  (core func $send (canon lower (func $runtime "send") (memory $memory)))
  {lowered}
  (core module $Main
    (import "libc" "memory" (memory 0))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "runtime" "log" (func $log (param i32 i32)))
    (import "runtime" "send" (func $send (param i32 i32 i32 i32)))
    {core_imports}
    (func $result (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    {more}
    (data (i32.const 1024) "{data}")
    (func (export "state-contract") (param i32 i32) (result i32) {state_contract})
    (func (export "message-contract") (param i32 i32 i32 i32) (result i32) (local i32 i32) {message_contract})
    (func (export "handle") (param i32 i32 i32 i32) (result i32) (local i32 i32 i64 f64) {handle})
    {init})
  (core instance $main (instantiate $Main
    (with "libc" (instance $libc))
    (with "runtime" (instance (export "log" (func $log)) (export "send" (func $send))))
    (with "host" (instance {given}))))
  (func $state-contract (param "state" $state) (result bool)
    (canon lift (core func $main "state-contract") (memory $memory) (realloc $realloc)))
  (func $message-contract (param "msg" $message) (param "state" $state) (result bool)
    (canon lift (core func $main "message-contract") (memory $memory) (realloc $realloc)))
  (func $handle (param "msg" $message) (param "state" $state) (result $state)
    (canon lift (core func $main "handle") (memory $memory) (realloc $realloc)))
  {lift_init}
  (instance $actor
    (export "state-contract" (func $state-contract))
    (export "message-contract" (func $message-contract))
    (export "handle" (func $handle))
    {export_init})
  (export "ntwk:simple-actor/actor" (instance $actor))
  {exports})
"""
