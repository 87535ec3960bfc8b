"""Functions that a component imports, called by wasmtime without its stock conversion.

The law: no exception travels through wasmtime. In version 50 it would pass through one variable of the whole process, and
come out of the call of another thread. An exception of an import is kept on the host, and wasmtime gets an error without
it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import ResourceType

from understudy.engines.wasm.host import Host

Import = Callable[[Host, int, int], None]  # the addresses of the arguments and of the results

_POINTER: Final = ctypes.c_void_p
_Callback: Final = ctypes.CFUNCTYPE(
    ctypes.c_size_t, _POINTER, _POINTER, _POINTER, _POINTER, ctypes.c_size_t, _POINTER, ctypes.c_size_t
)
_Finalizer: Final = ctypes.CFUNCTYPE(None, _POINTER)
_functions: dict[int, Import] = {}
_numbers = count(1)


class _Running(threading.local):
    host: Host | None = None


_running: Final = _Running()


def run_for(host: Host | None) -> Host | None:
    """From now on, imports that are called on this thread go to `host`; returns the host before it."""
    before, _running.host = _running.host, host
    return before


def define(instance: Any, name: str, function: Import) -> None:
    """Define a function of an instance of a linker (wasmtime's LinkerInstance). It lives as long as the linker."""
    number = next(_numbers)
    _functions[number] = function
    data = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(), ctypes.create_string_buffer(data), len(data), _c_callback, number, _forget_number
    )
    if error:
        raise WasmtimeError._from_ptr(error)


def define_resource(instance: Any, name: str, number: int) -> None:
    """Define a resource type of ours; nothing happens when one is dropped."""
    data = name.encode()
    with ResourceType.host(number) as type:
        error = ffi.wasmtime_component_linker_instance_add_resource(
            instance.ptr(),
            ctypes.create_string_buffer(data),
            len(data),
            type.ptr(),
            _drop_resource,
            None,
            _no_finalizer,
        )
    if error:
        raise WasmtimeError._from_ptr(error)


def _called(number: int, context: int, type: int, args: int, nargs: int, results: int, nresults: int) -> int:
    host = _running.host
    try:
        assert host is not None
        _functions[number](host, args, results)
    except BaseException as error:  # also Ctrl-C: it is raised again where the call was made
        if host is not None:
            host.error = error
        failed = ffi.wasmtime_error_new(b"an import of the component failed")
        return ctypes.cast(failed, _POINTER).value or 0
    return 0


def _forget(number: int) -> None:
    _functions.pop(number, None)


def _dropped(_data: int, _context: int, _number: int) -> int:
    return 0


_drop_resource: Final = ffi.wasmtime_component_resource_destructor_t(_dropped)
_no_finalizer: Final = ctypes.cast(0, _Finalizer)
_forget_number: Final = _Finalizer(_forget)
_c_callback: Final = ctypes.cast(_Callback(_called), ffi.wasmtime_component_func_callback_t)
