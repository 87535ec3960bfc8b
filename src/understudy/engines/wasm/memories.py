"""How many linear memories an instance of a component has, and how large its tables may be: read from its bytes before it runs.

After the binary formats of components and core modules:
<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>,
<https://webassembly.github.io/spec/core/binary/>. wasmtime has checked the bytes before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from understudy.objects.varint import read_varint

_PREAMBLE: Final = 8
_CORE_MODULE, _CORE_INSTANCE, _COMPONENT, _ALIAS = 1, 2, 4, 6  # sections of a component
_TABLE, _MEMORY = 4, 5  # sections of a core module
_INSTANTIATE: Final = 0
_CORE_SORT, _MODULE_SORT = 0x00, 0x11  # of what an alias names
_OUTER: Final = 0x02  # an alias of something of a component around this one, or of this one itself
_HAS_MAX: Final = 1  # a flag of a table's limits


def count_memories(data: bytes, *, most: int) -> int:
    """The number of memories, at most `most`; that also where modules can't be told apart without linking them."""
    return _count(data, _memories_of, most)


def count_elements(data: bytes, *, most_of_one: int, most: int) -> int:
    """How many elements all tables may have, each at most `most_of_one` and all at most `most`; else as `count_memories`."""
    return _count(data, lambda module: _elements_of(module, most_of_one), most)


def _count(data: bytes, count: Callable[[memoryview], int], most: int) -> int:
    modules: list[int] = []
    instantiated: list[int] = []
    for section, body in _sections(memoryview(data)[_PREAMBLE:]):
        if section == _CORE_MODULE:
            modules.append(count(body))
        elif section == _CORE_INSTANCE:
            instantiated += _instantiated(body)
        # Code of an inner component may run many times, and an alias of a module has a number among the modules.
        elif (section == _COMPONENT and _holds_code(body)) or (section == _ALIAS and _names_module(body)):
            return most
    return min(most, sum(modules[number] for number in instantiated if number < len(modules)))


def _sections(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        section = data[at]
        size, at = read_varint(data, at + 1)
        yield section, data[at : at + size]
        at += size


def _memories_of(module: memoryview) -> int:
    return sum(read_varint(body, 0)[0] for section, body in _sections(module[_PREAMBLE:]) if section == _MEMORY)


def _elements_of(module: memoryview, most: int) -> int:
    return sum(
        min(most, size) if size is not None else most
        for section, body in _sections(module[_PREAMBLE:])
        if section == _TABLE
        for size in _table_sizes(body)
    )


def _table_sizes(body: memoryview) -> Iterator[int | None]:
    """The most elements of each table, None where it says no bound."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        # A type of one byte; types that take more are switched off.
        flags = body[at + 1]
        _, at = read_varint(body, at + 2)
        if flags & _HAS_MAX:
            size, at = read_varint(body, at)
            yield size
        else:
            yield None


def _holds_code(component: memoryview) -> bool:
    return any(
        section in (_CORE_MODULE, _CORE_INSTANCE) or (section == _COMPONENT and _holds_code(body))
        for section, body in _sections(component[_PREAMBLE:])
    )


def _names_module(body: memoryview) -> bool:
    """True if one of a section of aliases stands for a core module."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        is_core = body[at] == _CORE_SORT
        if is_core and body[at + 1] == _MODULE_SORT:
            return True
        at += 2 if is_core else 1
        is_outer = body[at] == _OUTER
        # The component or the instance that it is in; then its number there, or its name.
        _, at = read_varint(body, at + 1)
        last, at = read_varint(body, at)
        at += 0 if is_outer else last
    return False


def _instantiated(body: memoryview) -> Iterator[int]:
    """The numbers of the modules that a section of core instances instantiates."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        kind = body[at]
        at += 1
        if kind == _INSTANTIATE:
            module, at = read_varint(body, at)
            yield module
        entries, at = read_varint(body, at)
        for _ in range(entries):
            length, at = read_varint(body, at)
            # A name, what kind of thing it is, and its number.
            _, at = read_varint(body, at + length + 1)
