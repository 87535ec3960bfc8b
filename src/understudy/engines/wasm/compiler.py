"""The compiler of components, made by the settings."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Final

from wasmtime import Config, Engine
from wasmtime import _ffi as ffi

from understudy.engines.wasm.settings import CONFIG, STACK_BYTES, SWITCHES

COMPILED_BY: Final = f"{version('wasmtime')}-{CONFIG}"


@cache
def compiler() -> Engine:
    """The process's one compiler and runner of components. Safe to use from any thread."""
    config = Config()
    for name, value in SWITCHES.items():
        getattr(ffi, f"wasmtime_config_{name}_set")(config.ptr(), value)
    ffi.wasmtime_config_max_wasm_stack_set(config.ptr(), STACK_BYTES)
    return _Compiler(config)


class _Compiler(Engine):
    def __del__(self) -> None:
        """It lives as long as the process: at its end, what wasmtime's own method needs may be gone already."""
