"""How many linear memories an instance of a component has, and how large its tables may be: read from its bytes before it runs.

After the binary formats of components and core modules:
<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>,
<https://webassembly.github.io/spec/core/binary/>. wasmtime has checked the bytes before.

The law: what can't be told without linking counts as the most. A module or a component gets another number by an alias, an
import and an export; under each of them it counts as what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from understudy.objects.varint import read_varint

_PREAMBLE: Final = 8
_CORE_MODULE, _CORE_INSTANCE, _COMPONENT, _INSTANCE, _ALIAS, _IMPORT, _EXPORT = 1, 2, 4, 5, 6, 10, 11  # sections
_TABLE, _MEMORY = 4, 5  # sections of a core module
_INSTANTIATE: Final = 0
_CORE: Final = 0x00  # a sort of core WebAssembly; which one is the byte after it
_CORE_SORT_MODULE: Final = 0x11
_TYPE_SORT, _COMPONENT_SORT = 0x03, 0x04
_NAMED: Final = (0x00, 0x01)  # what stands before the name of an import or an export
_SIMPLE_SORTS: Final = (0x01, 0x04, 0x05)  # functions, components, instances: an import says their type's number
_OUTER: Final = 0x02  # an alias of something of a component around this one, or of this one itself
_HAS_MAX: Final = 1  # a flag of a table's limits
_MODULES, _COMPONENTS = "modules", "components"

Count = int | None  # None: it can't be told


def count_memories(data: bytes, *, most: int) -> int:
    """The number of memories, at most `most`; that also where modules can't be told apart without linking them."""
    return _at_most(most, _count(memoryview(data), _memories_of))


def count_elements(data: bytes, *, most_of_one: int, most: int) -> int:
    """How many elements all tables may have, each at most `most_of_one` and all at most `most`; else as `count_memories`."""
    return _at_most(most, _count(memoryview(data), lambda module: _elements_of(module, most_of_one)))


def _at_most(most: int, found: Count) -> int:
    return most if found is None else min(most, found)


def _count(component: memoryview, count: Callable[[memoryview], int]) -> Count:
    """What all core instances of an instance of a component have together, those of the components in it too."""
    known: dict[str, list[Count]] = {_MODULES: [], _COMPONENTS: []}
    total = 0
    try:
        for section, body in _sections(component[_PREAMBLE:]):
            if section == _CORE_MODULE:
                known[_MODULES].append(count(body))
            elif section == _COMPONENT:
                known[_COMPONENTS].append(_count(body, count))
            elif section in (_ALIAS, _IMPORT):
                for kind in _aliased(body) if section == _ALIAS else _imported(body):
                    known[kind].append(None)
            elif section == _EXPORT:
                for kind, number in _exported(body):
                    known[kind].append(known[kind][number])
            elif section in (_CORE_INSTANCE, _INSTANCE):
                kind = _MODULES if section == _CORE_INSTANCE else _COMPONENTS
                numbers = _instantiated(body) if section == _CORE_INSTANCE else _instantiated_components(body)
                for number in numbers:
                    found = known[kind][number]
                    if found is None:
                        return None
                    total += found
    except (IndexError, _Unknown):
        return None
    return total


class _Unknown(Exception):
    """An encoding that we do not know."""


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
            # A name, what kind of thing it is, and its number.
            _, at = read_varint(body, _skip_text(body, at) + 1)


def _instantiated_components(body: memoryview) -> Iterator[int]:
    """The numbers of the components that a section of instances instantiates."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        kind = body[at]
        at += 1
        if kind == _INSTANTIATE:
            component, at = read_varint(body, at)
            yield component
        entries, at = read_varint(body, at)
        for _ in range(entries):
            at = _skip_text(body, at) if kind == _INSTANTIATE else _skip_name(body, at)
            _, _, at = _sort_and_number(body, at)


def _aliased(body: memoryview) -> Iterator[str]:
    """For each alias of a module or a component in a section of them, which of both it is."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        kind, at = _sort(body, at)
        is_outer = body[at] == _OUTER
        # The component or the instance that it is in; then its number there, or its name.
        _, at = read_varint(body, at + 1)
        at = read_varint(body, at)[1] if is_outer else _skip_text(body, at)
        if kind is not None:
            yield kind


def _imported(body: memoryview) -> Iterator[str]:
    """The same for each import."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        kind, at = _type(body, _skip_name(body, at))
        if kind is not None:
            yield kind


def _exported(body: memoryview) -> Iterator[tuple[str, int]]:
    """Each module and component in a section of exports: which of both it is, and its number. It gets another one there."""
    count, at = read_varint(body, 0)
    for _ in range(count):
        kind, number, at = _sort_and_number(body, _skip_name(body, at))
        has_type = body[at]
        at += 1
        if has_type:
            _, at = _type(body, at)
        if kind is not None:
            yield kind, number


def _sort(body: memoryview, at: int) -> tuple[str | None, int]:
    """Whether a sort is that of modules or of components, and where it ends."""
    if body[at] == _CORE:
        return _MODULES if body[at + 1] == _CORE_SORT_MODULE else None, at + 2
    return _COMPONENTS if body[at] == _COMPONENT_SORT else None, at + 1


def _sort_and_number(body: memoryview, at: int) -> tuple[str | None, int, int]:
    kind, at = _sort(body, at)
    number, at = read_varint(body, at)
    return kind, number, at


def _type(body: memoryview, at: int) -> tuple[str | None, int]:
    """Of the type of an import or an export the sort, as `_sort`, and where it ends. Raises _Unknown."""
    sort = body[at]
    kind, end = _sort(body, at)
    if sort == _TYPE_SORT:
        # Equal to the type of this number; or any resource, which has none.
        return None, read_varint(body, end + 1)[1] if body[end] == 0 else end + 1
    if sort != _CORE and sort not in _SIMPLE_SORTS:
        raise _Unknown
    return kind, read_varint(body, end)[1]


def _skip_text(body: memoryview, at: int) -> int:
    length, at = read_varint(body, at)
    return at + length


def _skip_name(body: memoryview, at: int) -> int:
    """The end of the name of an import or an export. Raises _Unknown."""
    if body[at] not in _NAMED:
        raise _Unknown
    return _skip_text(body, at + 1)
