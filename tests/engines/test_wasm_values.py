"""The fast way across the border gives what wasmtime's own conversion gives, whatever the values are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ctypes import addressof, byref, pointer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from wasmtime import Store
from wasmtime import _ffi as ffi
from wasmtime.component import Component, Linker

from tests.engines.components import actor
from tests.engines.test_wasm_engine import Actor
from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.values import Arguments, Flavour, read_content, write_bytes
from understudy.engines.wasm.world import ACTOR

BYTES = some.binary(max_size=3000)
TEXTS = some.text(max_size=1000)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(some.text(max_size=20), inner, max_size=5),
    max_leaves=30,
)
# The new state is the message, then the state: both arguments come through, and a result.
JOIN = """
    (local.set 4 (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.add (local.get 1) (local.get 3))))
    (memory.copy (local.get 4) (local.get 0) (local.get 1))
    (memory.copy (i32.add (local.get 4) (local.get 1)) (local.get 2) (local.get 3))
    (call $result (local.get 4) (i32.add (local.get 1) (local.get 3)))"""


class Stock:
    """A component called as wasmtime's own package does it."""

    def __init__(self, component: bytes) -> None:
        self.store = Store(compiler())
        self.store.set_fuel(10**15)
        loaded = Component(compiler(), component)
        linker = Linker(compiler())
        with linker.root() as root, root.add_instance("ntwk:simple-actor/runtime") as runtime:
            runtime.add_func("log", lambda *_: None)
            runtime.add_func("send", lambda *_: None)
        self.instance = linker.instantiate(self.store, loaded)
        found = loaded.get_export_index("handle", loaded.get_export_index(ACTOR))
        assert found is not None
        function = self.instance.get_func(self.store, found)
        assert function is not None
        self.function = function

    def __enter__(self) -> Stock:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def slow(self, *contents: Any) -> Any:
        return self.function(self.store, *contents)

    def fast(self, *contents: bytes, flavour: Flavour) -> bytes:
        arguments = Arguments(contents, [flavour, flavour])
        result = ffi.wasmtime_component_val_t()
        error = ffi.wasmtime_component_func_call(
            byref(self.function._func), self.store._context(), byref(arguments.values), 2, byref(result), 1
        )
        assert not error
        try:
            return read_content(addressof(result))
        finally:
            ffi.wasmtime_component_val_delete(byref(result))


@pytest.fixture(scope="module")
def in_bytes() -> Iterator[Stock]:
    with Stock(actor(JOIN)) as stock:
        yield stock


@pytest.fixture(scope="module")
def in_text() -> Iterator[Stock]:
    with Stock(actor(JOIN, text=True)) as stock:
        yield stock


@given(message=BYTES, state=BYTES)
def test_bytes_come_through_as_by_the_stock_conversion(in_bytes: Stock, message: bytes, state: bytes):
    assert in_bytes.fast(message, state, flavour=Flavour.BYTES) == in_bytes.slow(message, state) == message + state


@given(message=TEXTS, state=TEXTS)
def test_strings_come_through_as_by_the_stock_conversion(in_text: Stock, message: str, state: str):
    fast = in_text.fast(message.encode(), state.encode(), flavour=Flavour.TEXT)
    assert fast == in_text.slow(message, state).encode() == (message + state).encode()


@given(content=BYTES)
def test_a_list_that_we_make_reads_back_as_the_stock_conversion_reads_it(in_bytes: Stock, content: bytes):
    type = in_bytes.function.type(in_bytes.store).result
    assert type is not None
    made, stock = ffi.wasmtime_component_val_t(), ffi.wasmtime_component_val_t()
    write_bytes(addressof(made), content)
    type.convert_to_c(in_bytes.store, content, pointer(stock))
    for value in (made, stock):
        assert read_content(addressof(value)) == content
        # The stock conversion takes the value away with it.
        assert type.convert_from_c(value) == content


@pytest.mark.parametrize("text", [False, True])
@given(value=JSON)
def test_json_of_every_shape_is_handled_and_kept_byte_for_byte(text: bool, value: Any):
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    content = content if not text else content.decode("utf-8", "replace").encode()
    known = Actor(ECHO_TEXT if text else ECHO_BYTES)
    assert known.tell(content).outcome is None
    assert known.state == content


@given(BYTES)
def test_what_is_no_text_is_kept_by_bytes_and_refused_by_strings(content: bytes):
    known = Actor(ECHO_BYTES)
    assert known.tell(content).outcome is None
    assert known.state == content
    result = Actor(ECHO_TEXT).tell(content)
    try:
        content.decode()
    except UnicodeDecodeError:
        assert result.outcome is not None
        assert (result.outcome.kind, result.outcome.code) == ("refused", "NotText")
    else:
        assert result.outcome is None


ECHO = "(call $result (local.get 0) (local.get 1))"
ECHO_BYTES = actor(ECHO)
ECHO_TEXT = actor(ECHO, text=True)


def test_a_message_that_is_too_large_is_refused_before_it_is_handled():
    result = Actor(ECHO_TEXT, limits='{"message": 1000}').tell("x" * 1001)
    assert result.outcome is not None
    assert (result.outcome.kind, result.outcome.code) == ("refused", "MessageTooLarge")
    assert Actor(ECHO_TEXT, limits='{"message": 1000}').tell("x" * 1000).outcome is None


@pytest.mark.parametrize("limits", ['{"fuel": 0}', '{"fule": 1}', "5", '{"memory": 1e99}', "\xff", '{"output": -1}'])
def test_limits_that_can_not_be_are_named(limits: str):
    with pytest.raises(Exception, match="/limits") as caught:
        Actor(ECHO_TEXT, limits=limits)
    assert getattr(caught.value, "code", None) == "BadLimits"
