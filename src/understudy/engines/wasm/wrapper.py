"""Makes a component of a core module, for languages whose compilers know core WebAssembly only.

The module exports what `actor.h` exports, which `understudy new --template component-c` writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wasmtime import Config, Engine, Module, WasmtimeError, wat2wasm
from wasmtime.component import Component

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
    whole = wrapper[:start] + bytes([_CORE_MODULE]) + _number(len(core)) + core + wrapper[end:]
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
        start, size, shift = at, 0, 0
        at += 1
        while True:
            size |= (component[at] & 0x7F) << shift
            shift += 7
            at += 1
            if component[at - 1] < 0x80:
                break
        at += size
        yield component[start], start, at


def _number(value: int) -> bytes:
    """A number in LEB128."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
