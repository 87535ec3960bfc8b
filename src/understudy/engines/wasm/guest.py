"""A fresh instance of a component, for one message: its memory, its fuel, and calls into it."""

from __future__ import annotations

from ctypes import CFUNCTYPE, addressof, byref, c_uint64, c_void_p, cast
from types import TracebackType
from typing import Any, Final

from wasmtime import StoreContext, WasmtimeError
from wasmtime import _ffi as ffi

from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.failure import stopped_by
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.imports import run_for
from understudy.engines.wasm.settings import MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS
from understudy.engines.wasm.shapes import Case
from understudy.engines.wasm.values import Arguments, Flavour, measure, read_measured

_NO_FINALIZER: Final = cast(0, CFUNCTYPE(None, c_void_p))


class Guest:
    """One instance, for use by one thread, within a `with`. Every call raises Stopped or HostFailed, after which it is dead.

    Within the `with`, imports that are called on this thread go to its host.
    """

    __slots__ = ("_before", "_context", "_host", "_instance", "_loaded", "_store")

    def __init__(self, loaded: LoadedComponent, host: Host) -> None:
        self._loaded = loaded
        self._host = host
        self._before: Host | None = None
        self._store: Any = None
        self._context: Any = None
        self._instance = ffi.wasmtime_component_instance_t()

    def __enter__(self) -> Guest:
        loaded, limits = self._loaded, self._host.limits
        self._before = run_for(self._host)
        try:
            store = self._store = ffi.wasmtime_store_new(compiler().ptr(), None, _NO_FINALIZER)
            context = self._context = ffi.wasmtime_store_context(store)
            self._host.store = StoreContext(context)
            ffi.wasmtime_store_limiter(
                store, limits.memory, MAX_TABLE_ELEMENTS, MAX_INSTANCES, MAX_INSTANCES, MAX_MEMORIES
            )
            self._check(ffi.wasmtime_context_set_fuel(context, self._host.fuel))
            self._check(
                ffi.wasmtime_component_linker_instantiate(
                    loaded.linker, context, loaded.component, byref(self._instance)
                )
            )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run_for(self._before)
        self._host.finish()
        if self._store is not None:
            ffi.wasmtime_store_delete(self._store)
            self._store = None

    @property
    def fuel_used(self) -> int:
        """The fuel that was used so far."""
        left = c_uint64()
        ffi.wasmtime_context_get_fuel(self._context, byref(left))
        return self._host.fuel - left.value

    def arguments(self, *contents: bytes) -> Arguments:
        """Messages and states as the component takes them, for any number of calls."""
        return Arguments(contents, (self._loaded.world.flavour,) * len(contents))

    def agrees(self, contract: str, arguments: Arguments) -> bool:
        """The answer of a contract."""
        return bool(self._call(contract, arguments).of.boolean)

    def content(self, function: str, arguments: Arguments) -> bytes:
        """The state that a function returns."""
        result = self._call(function, arguments)
        try:
            measured = measure(addressof(result))
            self._host.take_output(measured[1])
            return read_measured(measured)
        finally:
            ffi.wasmtime_component_val_delete(byref(result))

    def answer(self, step: str, name: str, context: bytes, state: bytes) -> Case:
        """What the component's `query` returns."""
        text, flavour = Flavour.TEXT, self._loaded.world.flavour
        arguments = Arguments((step.encode(), name.encode(), context, state), (text, text, Flavour.BYTES, flavour))
        result = self._call("query", arguments)
        try:
            assert self._loaded.read_answer is not None
            answer: Case = self._loaded.read_answer(self._host, addressof(result))
            return answer
        finally:
            ffi.wasmtime_component_val_delete(byref(result))

    def _call(self, name: str, arguments: Arguments) -> Any:
        function = ffi.wasmtime_component_func_t()
        ffi.wasmtime_component_instance_get_func(
            byref(self._instance), self._context, self._loaded.exports[name], byref(function)
        )
        result = ffi.wasmtime_component_val_t()
        self._check(
            ffi.wasmtime_component_func_call(
                byref(function), self._context, byref(arguments.values), arguments.count, byref(result), 1
            )
        )
        return result

    def _check(self, error: Any) -> None:
        if not error:
            return
        message = str(WasmtimeError._from_ptr(error))
        raised, self._host.error = self._host.error, None
        if raised is not None:
            raise raised
        raise stopped_by(message, used=self.fuel_used)
