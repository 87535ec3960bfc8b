"""Components that ask the network, as text: the interface `http`, and a handle that gets the URL that the message is."""

from __future__ import annotations

from tests.engines.components import actor
from understudy.engines.wasm.world import HTTP

IMPORTS = f"""
  (import "{HTTP}" (instance $http
    (type $f (record (field "name" string) (field "value" string)))
    (export "field" (type $field (eq $f)))
    (type $q (record (field "method" string) (field "url" string) (field "headers" (list $field)) (field "body" (list u8))))
    (export "request" (type $request (eq $q)))
    (type $r (record (field "status" u16) (field "headers" (list $field)) (field "body" (list u8))))
    (export "response" (type $response (eq $r)))
    (type $x (record (field "code" string) (field "text" string)))
    (export "failure" (type $failure (eq $x)))
    (export "fetch" (func (param "request" $request) (result (result $response (error $failure)))))
    (export "secret" (func (param "name" string) (result string)))))"""
LOWERED = """
  (core func $fetch (canon lower (func $http "fetch") (memory $memory) (realloc $realloc)))
  (core func $secret (canon lower (func $http "secret") (memory $memory) (realloc $realloc)))"""
GIVEN = '(export "fetch" (func $fetch)) (export "secret" (func $secret))'
CORE = """
    (import "host" "fetch" (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "secret" (func $secret (param i32 i32 i32)))"""
WORLDS = (IMPORTS, LOWERED, GIVEN, CORE)
DATA = "GETauthorizationKEY"
METHOD = "(i32.const 1024) (i32.const 3)"  # where DATA is
# The URL is the message. What comes back is at 128: the case, then the status, headers and body, or the code and text.
ASK = f"""
    (call $fetch {METHOD} (local.get 0) (local.get 1) (i32.const 256) (i32.const {{headers}})
      (i32.const 0) (i32.const 0) (i32.const 128))"""
# The state is the body, or the code of the failure.
KEPT = """
    (if (result i32) (i32.load8_u (i32.const 128))
      (then (call $result (i32.load (i32.const 132)) (i32.load (i32.const 136))))
      (else (call $result (i32.load (i32.const 144)) (i32.load (i32.const 148)))))"""


def fetcher(*, text: bool = False) -> bytes:
    """A component whose state is what came back for its last message."""
    return actor(ASK.format(headers=0) + KEPT, text=text, data=DATA, worlds=WORLDS)
