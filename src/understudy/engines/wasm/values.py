"""The fast way across the border: messages, states and log lines in and out of wasmtime's C values.

wasmtime's own conversion makes a Python object of every byte. Here the bytes of a list are copied with a stride: each
element is a tagged value of 32 bytes, with the tag in byte 0 and the byte itself in byte 8. tests/engines hold this
against the stock conversion.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from enum import Enum
from struct import Struct
from typing import Any, Final

from wasmtime import _ffi as ffi

SIZE: Final = 32  # of a value
_OFFSET: Final = 8  # of what it holds, behind its tag
_VALUE: Final = Struct("=B7xQQ8x")  # tag; then size and address, of a list or a string
_U8: Final = ffi.WASMTIME_COMPONENT_U8.value
_LIST: Final = ffi.WASMTIME_COMPONENT_LIST.value
_STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
_READ: Final = 0x100  # PyBUF_READ
_WRITE: Final = 0x200  # PyBUF_WRITE
# An empty list has no bytes, but its address must be one all the same.
_NOWHERE: Final = ctypes.create_string_buffer(8)

assert ctypes.sizeof(ffi.wasmtime_component_val_t) == SIZE
assert ffi.wasmtime_component_val_t.of.offset == _OFFSET

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


class Flavour(Enum):
    """What a component takes messages and states as."""

    BYTES = "list<u8>"
    TEXT = "string"


class Arguments:
    """The arguments of one call: contents, all in one flavour. Keep it until the call has returned."""

    __slots__ = ("_held", "count", "values")

    def __init__(self, contents: Sequence[bytes], flavour: Flavour) -> None:
        self.count = len(contents)
        self.values = (ffi.wasmtime_component_val_t * self.count)()
        self._held: list[Any] = []
        for number, content in enumerate(contents):
            if flavour is Flavour.TEXT:
                tag, address = _STRING, self._address_of_text(content)
            else:
                tag, address = _LIST, self._address_of_cells(content)
            _VALUE.pack_into(self.values, number * SIZE, tag, len(content), address)

    def _address_of_text(self, content: bytes) -> int:
        held = ctypes.c_char_p(content)
        self._held.append(held)
        return ctypes.c_void_p.from_buffer(held).value or 0

    def _address_of_cells(self, content: bytes) -> int:
        if not content:
            return ctypes.addressof(_NOWHERE)
        cells = bytearray(len(content) * SIZE)
        _fill(cells, content)
        held = ctypes.c_char.from_buffer(cells)
        self._held.append(held)
        return ctypes.addressof(held)


def read_content(address: int) -> bytes:
    """The bytes of the list or string that a value holds. The value stays whose it is."""
    tag, size, data = _VALUE.unpack(ctypes.string_at(address, SIZE))
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
        _fill(_view(data, len(content) * SIZE, _WRITE).cast("B"), content)
    ctypes.memmove(address, _VALUE.pack(_LIST, len(content), data), SIZE)


def _fill(cells: bytearray | memoryview, content: bytes) -> None:
    cells[0::SIZE] = bytes([_U8]) * len(content)
    cells[_OFFSET::SIZE] = content
