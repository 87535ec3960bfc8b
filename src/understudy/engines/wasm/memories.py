"""How many linear memories an instance of a component has, read from its bytes before it runs.

After the binary formats of components and core modules:
<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>,
<https://webassembly.github.io/spec/core/binary/>. wasmtime has checked the bytes before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from understudy.objects.varint import read_varint

_PREAMBLE: Final = 8
_CORE_MODULE, _CORE_INSTANCE, _COMPONENT = 1, 2, 4  # sections of a component
_MEMORY: Final = 5  # the section of a core module
_INSTANTIATE: Final = 0


def count_memories(data: bytes, *, most: int) -> int:
    """The number of memories, at most `most`; that also where components inside the component hold code of their own."""
    modules: list[int] = []
    instantiated: list[int] = []
    for section, body in _sections(memoryview(data)[_PREAMBLE:]):
        if section == _CORE_MODULE:
            modules.append(_memories_of(body))
        elif section == _CORE_INSTANCE:
            instantiated += _instantiated(body)
        elif section == _COMPONENT and _holds_code(body):
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


def _holds_code(component: memoryview) -> bool:
    return any(
        section in (_CORE_MODULE, _CORE_INSTANCE) or (section == _COMPONENT and _holds_code(body))
        for section, body in _sections(component[_PREAMBLE:])
    )


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
