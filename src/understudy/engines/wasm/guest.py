"""A fresh instance of a component, for one message: its memory, its fuel, and calls into it."""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Any, Final

from wasmtime import StoreContext, WasmtimeError
from wasmtime import _ffi as ffi

from understudy.engines.wasm.component import LoadedComponent
from understudy.engines.wasm.failure import stopped_by
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.imports import running
from understudy.engines.wasm.settings import MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, compiler
from understudy.engines.wasm.values import Arguments, Flavour, read_content

_NO_FINALIZER: Final = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class Guest:
    """One instance, for use by one thread, within a `with`. Every call raises Stopped, after which it is dead."""

    def __init__(self, loaded: LoadedComponent, host: Host) -> None:
        self._loaded = loaded
        self._host = host
        self._flavour: Flavour = loaded.world.flavour
        self._store: Any = ffi.wasmtime_store_new(compiler().ptr(), None, _NO_FINALIZER)
        self._context = ffi.wasmtime_store_context(self._store)
        host.store = StoreContext(self._context)
        self._instance = ffi.wasmtime_component_instance_t()

    def __enter__(self) -> Guest:
        limits, context = self._host.limits, self._context
        ffi.wasmtime_store_limiter(
            self._store, limits.memory, MAX_TABLE_ELEMENTS, MAX_INSTANCES, MAX_INSTANCES, MAX_MEMORIES
        )
        try:
            self._check(ffi.wasmtime_context_set_fuel(context, limits.fuel))
            with running(self._host):
                error = ffi.wasmtime_component_linker_instantiate(
                    self._loaded.linker, context, self._loaded.component, ctypes.byref(self._instance)
                )
            self._check(error)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.finish()
        self._close()

    @property
    def fuel_used(self) -> int:
        """The fuel that was used so far."""
        left = ctypes.c_uint64()
        ffi.wasmtime_context_get_fuel(self._context, ctypes.byref(left))
        return self._host.limits.fuel - left.value

    def agrees(self, contract: str, *contents: bytes) -> bool:
        """What a contract says."""
        result = self._call(contract, contents)
        return bool(result.of.boolean)

    def content(self, function: str, *contents: bytes) -> bytes:
        """The state that a function returns. Within the limit of the output."""
        result = self._call(function, contents)
        try:
            return read_content(ctypes.addressof(result))
        finally:
            ffi.wasmtime_component_val_delete(ctypes.byref(result))

    def _call(self, name: str, contents: tuple[bytes, ...]) -> Any:
        function = ffi.wasmtime_component_func_t()
        ffi.wasmtime_component_instance_get_func(
            ctypes.byref(self._instance), self._context, self._loaded.exports[name], ctypes.byref(function)
        )
        arguments = Arguments(contents, self._flavour)
        result = ffi.wasmtime_component_val_t()
        with running(self._host):
            error = ffi.wasmtime_component_func_call(
                ctypes.byref(function), self._context, arguments.values, arguments.count, ctypes.byref(result), 1
            )
        self._check(error)
        return result

    def _check(self, error: Any) -> None:
        if not error:
            return
        message = str(WasmtimeError._from_ptr(error))
        raised, self._host.error = self._host.error, None
        if raised is not None:
            raise raised
        raise stopped_by(message, used=self.fuel_used)

    def _close(self) -> None:
        if self._store is not None:
            ffi.wasmtime_store_delete(self._store)
            self._store = None
