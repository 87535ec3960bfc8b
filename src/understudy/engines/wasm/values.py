"""The fast way in and out of a component: messages, states and log lines as wasmtime's C values.

wasmtime's own conversion makes a Python object of every byte. Here the bytes of a list are copied with a stride: each
element is a tagged value of 32 bytes, with the tag in byte 0 and the byte itself in byte 8. tests/engines hold this
against the stock conversion.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import Enum
from operator import mul
from struct import Struct
from typing import Final

from wasmtime import _ffi as ffi

SIZE: Final = 32  # of a value
_OFFSET: Final = 8  # of what it holds, behind its tag
_VALUE: Final = Struct("=B7xQQ8x")  # tag; then size and address, of a list or a string
_U8: Final = bytes([ffi.WASMTIME_COMPONENT_U8.value])
_LIST: Final = ffi.WASMTIME_COMPONENT_LIST.value
_STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
_READ: Final = 0x100  # PyBUF_READ
_WRITE: Final = 0x200  # PyBUF_WRITE
_Value: Final = ffi.wasmtime_component_val_t

assert ctypes.sizeof(_Value) == SIZE
assert _Value.of.offset == _OFFSET

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


class Flavour(Enum):
    """What a component takes messages and states as."""

    BYTES = "list<u8>"
    TEXT = "string"


class Arguments:
    """The arguments of calls: contents, each in its flavour, in one piece of memory. Keep it until the calls have returned."""

    __slots__ = ("count", "values")

    def __init__(self, contents: Sequence[bytes], flavours: Sequence[Flavour]) -> None:
        self.count = len(contents)
        strides = [1 if flavour is Flavour.TEXT else SIZE for flavour in flavours]
        at = self.count * SIZE
        # Some more than is needed: the address of an empty argument must lie inside, too.
        memory = bytearray(at + sum(map(mul, map(len, contents), strides)) + SIZE)
        self.values = _Value.from_buffer(memory)
        address = ctypes.addressof(self.values)
        for number, (content, stride) in enumerate(zip(contents, strides, strict=True)):
            size = len(content)
            _VALUE.pack_into(memory, number * SIZE, _LIST if stride == SIZE else _STRING, size, address + at)
            end = at + size * stride
            if stride == 1:
                memory[at:end] = content
            elif size:
                memory[at:end:SIZE] = _U8 * size
                memory[at + _OFFSET : end : SIZE] = content
            at = end


def is_text(content: bytes) -> bool:
    """True if a component that takes strings can be given this."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def measure(address: int) -> tuple[int, int, int]:
    """What a list or a string is, for `read_measured`; the middle one is its size, to be asked before it is copied."""
    tag, size, data = _VALUE.unpack(ctypes.string_at(address, SIZE))
    return tag, size, data


def read_content(address: int) -> bytes:
    """The bytes of the list or string that a value holds. The value stays whose it is."""
    return read_measured(measure(address))


def read_measured(measured: tuple[int, int, int], most: int | None = None) -> bytes:
    """The same of what was measured before, or the first `most` bytes."""
    tag, size, data = measured
    if most is not None:
        size = min(size, most)
    if not size:
        return b""
    if tag == _STRING:
        return ctypes.string_at(data, size)
    cells: memoryview = _view(data, size * SIZE, _READ)
    return cells[_OFFSET::SIZE].tobytes()


def write_bytes(address: int, content: bytes) -> None:
    """Make an empty value a list of bytes. It belongs to wasmtime then."""
    made = ffi.wasmtime_component_vallist_t()
    ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(made), len(content))
    data = ctypes.cast(made.data, ctypes.c_void_p).value or 0
    if content:
        cells = _view(data, len(content) * SIZE, _WRITE).cast("B")
        cells[0::SIZE] = _U8 * len(content)
        cells[_OFFSET::SIZE] = content
    ctypes.memmove(address, _VALUE.pack(_LIST, len(content), data), SIZE)
