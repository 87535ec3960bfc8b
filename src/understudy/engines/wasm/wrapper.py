"""Makes a component of a core module, for languages whose compilers know core WebAssembly only.

The module exports what `actor.h` exports, which `understudy new --template component-c` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wasmtime import Config, Engine, Module, WasmtimeError, wat2wasm
from wasmtime.component import Component

from understudy.objects.varint import read_varint, write_varint

EXPORTS: Final = ("init", "state-contract", "message-contract", "handle")
ACTOR: Final = "ntwk:simple-actor/actor"
_WRAPPER: Final = Path(__file__).with_name("wrapper.wat")
_HEADER_BYTES: Final = 8
_CORE_MODULE: Final = 1  # the number of a section that holds a core module


def wrap(core: bytes) -> bytes:
    """The component. Raises ValueError with all that the module lacks."""
    _check(core)
    wrapper = bytes(wat2wasm(_WRAPPER.read_text(encoding="utf-8")))
    start, end = next((start, end) for number, start, end in _sections(wrapper) if number == _CORE_MODULE)
    whole = wrapper[:start] + bytes([_CORE_MODULE]) + write_varint(len(core)) + core + wrapper[end:]
    try:
        Component(Engine(Config()), whole)
    except WasmtimeError as error:
        raise ValueError(f"the module's functions do not have the types that an actor's have: {error}") from error
    return whole


def _check(core: bytes) -> None:
    try:
        there = {export.name for export in Module(Engine(Config()), core).exports}
    except WasmtimeError as error:
        raise ValueError(f"this is no core module: {error}") from error
    wanted = ["memory", "cabi_realloc", *(f"{ACTOR}#{name}" for name in EXPORTS)]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ValueError(f"the module does not export {', '.join(missing)}")


def _sections(component: bytes) -> Iterator[tuple[int, int, int]]:
    """Each section's number, where it starts and where it ends."""
    at = _HEADER_BYTES
    while at < len(component):
        start = at
        size, at = read_varint(component, at + 1)
        at += size
        yield component[start], start, at
