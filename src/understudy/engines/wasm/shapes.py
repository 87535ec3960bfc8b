"""Values of any type in and out of a component, for imports that are called seldom: their types are read once, when
linking.

Records and tuples are tuples here, lists of bytes are bytes, cases of variants and results are `Case`, flags are not there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from wasmtime import _ffi as ffi
from wasmtime.component import (
    BorrowType,
    EnumType,
    FuncType,
    ListType,
    OptionType,
    OwnType,
    RecordType,
    ResourceAny,
    ResourceHost,
    ResultType,
    String,
    TupleType,
    ValType,
    VariantType,
)

from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.values import SIZE, measure, read_content, read_measured, write_bytes

MAX_TEXT: Final = 2 * 1024 * 1024  # bytes: wasmtime lets no longer list of bytes out, and a text is no better
_Value: Final = ffi.wasmtime_component_val_t
Lift = Callable[[Host, int], Any]  # of the value at an address
Lower = Callable[[Host, int, Any], None]  # a value into an empty one at an address


class Case(NamedTuple):
    """A case of a variant or of a result ("ok", "err"), with what it holds."""

    name: str
    value: Any = None


class Own(NamedTuple):
    """A resource of ours that is given away: its type's number, and which one it is."""

    type: int
    number: int


OK: Final = Case("ok")


def readers(function: FuncType) -> list[Lift]:
    """The readers of a function's arguments. Raises TypeError for a type that is not known here."""
    return [lift(type) for _, type in function.params]


def writer(function: FuncType) -> Lower | None:
    """The writer of a function's result."""
    return None if function.result is None else lower(function.result)


def lift(type: ValType) -> Lift:
    """How a value of a type is read. Raises TypeError."""
    match type:
        case String():
            return _lift_text
        case ListType() if type._is_bytes():
            return lambda host, at: read_content(at)
        case ListType():
            return _lift_list(lift(type.element))
        case RecordType():
            return _lift_record([lift(each) for _, each in type.fields])
        case TupleType():
            return _lift_tuple([lift(each) for each in type.elements])
        case VariantType():
            return _lift_variant({name: _maybe(lift, each) for name, each in type.cases})
        case ResultType():
            return _lift_result({"ok": _maybe(lift, type.ok), "err": _maybe(lift, type.err)})
        case OptionType():
            return _lift_option(lift(type.payload))
        case OwnType() | BorrowType():
            return _take_resource
        case _:
            return lambda host, at: type.convert_from_c(_at(at))


def lower(type: ValType) -> Lower:
    """How a value of a type is written. Raises TypeError."""
    match type:
        case ListType() if type._is_bytes():
            return lambda host, at, value: write_bytes(at, value)
        case ListType():
            return _lower_list(lower(type.element))
        case RecordType():
            return _lower_record([(name.encode(), lower(each)) for name, each in type.fields])
        case TupleType():
            return _lower_tuple([lower(each) for each in type.elements])
        case VariantType():
            return _lower_variant({name: _maybe(lower, each) for name, each in type.cases})
        case ResultType():
            return _lower_result({"ok": _maybe(lower, type.ok), "err": _maybe(lower, type.err)})
        case OptionType():
            return _lower_option(lower(type.payload))
        case OwnType() | BorrowType():
            return _give_resource
        case EnumType():
            return _lower_enum
        case _:
            return lambda host, at, value: type.convert_to_c(host.store, value, ctypes.pointer(_at(at)))


def _maybe(make: Callable[[ValType], Any], type: ValType | None) -> Any:
    return None if type is None else make(type)


def _at(address: int) -> Any:
    return _Value.from_address(address)


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def _name(name: Any) -> str:
    return ctypes.string_at(name.data, name.size).decode()


def _set_name(target: Any, name: bytes) -> None:
    ffi.wasm_byte_vec_new(ctypes.byref(target), len(name), (ctypes.c_ubyte * len(name)).from_buffer_copy(name))


def _boxed(host: Host, write: Lower, value: Any) -> Any:
    """A value that another one points to."""
    made = _Value()
    write(host, ctypes.addressof(made), value)
    return ffi.wasmtime_component_val_new(ctypes.byref(made))


def _lift_text(host: Host, at: int) -> str:
    """A text. Raises Stopped, before it is copied, for one that is too long."""
    measured = measure(at)
    if measured[1] > MAX_TEXT:
        raise Stopped(
            "OutputTooLarge", f"the component hands over a text of {measured[1]:,} bytes; at most {MAX_TEXT:,}"
        )
    return read_measured(measured).decode()


def _lift_list(read: Lift) -> Lift:
    def lifted(host: Host, at: int) -> list[Any]:
        held = _at(at).of.list
        start = _address(held.data)
        return [read(host, start + number * SIZE) for number in range(held.size)]

    return lifted


def _lift_tuple(reads: Sequence[Lift]) -> Lift:
    def lifted(host: Host, at: int) -> tuple[Any, ...]:
        start = _address(_at(at).of.tuple.data)
        return tuple(read(host, start + number * SIZE) for number, read in enumerate(reads))

    return lifted


def _lift_record(reads: Sequence[Lift]) -> Lift:
    def lifted(host: Host, at: int) -> tuple[Any, ...]:
        entries = _at(at).of.record.data
        return tuple(read(host, ctypes.addressof(entries[number].val)) for number, read in enumerate(reads))

    return lifted


def _lift_variant(cases: dict[str, Lift | None]) -> Lift:
    def lifted(host: Host, at: int) -> Case:
        held = _at(at).of.variant
        name = _name(held.discriminant)
        read = cases[name]
        return Case(name, None if read is None else read(host, _address(held.val)))

    return lifted


def _lift_result(cases: dict[str, Lift | None]) -> Lift:
    def lifted(host: Host, at: int) -> Case:
        held = _at(at).of.result
        name = "ok" if held.is_ok else "err"
        read = cases[name]
        return Case(name, None if read is None else read(host, _address(held.val)))

    return lifted


def _lift_option(read: Lift) -> Lift:
    def lifted(host: Host, at: int) -> Any:
        address = _address(_at(at).of.option)
        return read(host, address) if address else None

    return lifted


def _take_resource(host: Host, at: int) -> int:
    """The number of a resource of ours. Asking for it gives the handle back: wasmtime counts those that were lent to us."""
    handle = ResourceAny._from_ptr(ffi.take_pointer(_at(at).of, "resource"))
    with handle, handle.to_host(host.store) as ours:
        number: int = ours.rep
    return number


def _lower_list(write: Lower) -> Lower:
    def lowered(host: Host, at: int, values: Sequence[Any]) -> None:
        made = ffi.wasmtime_component_vallist_t()
        ffi.wasmtime_component_vallist_new_uninit(ctypes.byref(made), len(values))
        _write_all(host, _address(made.data), [write] * len(values), values)
        target = _at(at)
        target.kind, target.of.list = ffi.WASMTIME_COMPONENT_LIST, made

    return lowered


def _lower_tuple(writes: Sequence[Lower]) -> Lower:
    def lowered(host: Host, at: int, values: Sequence[Any]) -> None:
        made = ffi.wasmtime_component_valtuple_t()
        ffi.wasmtime_component_valtuple_new_uninit(ctypes.byref(made), len(writes))
        _write_all(host, _address(made.data), writes, values)
        target = _at(at)
        target.kind, target.of.tuple = ffi.WASMTIME_COMPONENT_TUPLE, made

    return lowered


def _write_all(host: Host, start: int, writes: Sequence[Lower], values: Sequence[Any]) -> None:
    for number, (write, value) in enumerate(zip(writes, values, strict=True)):
        write(host, start + number * SIZE, value)


def _lower_record(fields: Sequence[tuple[bytes, Lower]]) -> Lower:
    def lowered(host: Host, at: int, values: Sequence[Any]) -> None:
        made = ffi.wasmtime_component_valrecord_t()
        ffi.wasmtime_component_valrecord_new_uninit(ctypes.byref(made), len(fields))
        for number, ((name, write), value) in enumerate(zip(fields, values, strict=True)):
            entry = made.data[number]
            _set_name(entry.name, name)
            write(host, ctypes.addressof(entry.val), value)
        target = _at(at)
        target.kind, target.of.record = ffi.WASMTIME_COMPONENT_RECORD, made

    return lowered


def _lower_variant(cases: dict[str, Lower | None]) -> Lower:
    def lowered(host: Host, at: int, case: Case) -> None:
        write = cases[case.name]
        target = _at(at)
        target.kind = ffi.WASMTIME_COMPONENT_VARIANT
        _set_name(target.of.variant.discriminant, case.name.encode())
        target.of.variant.val = None if write is None else _boxed(host, write, case.value)

    return lowered


def _lower_result(cases: dict[str, Lower | None]) -> Lower:
    def lowered(host: Host, at: int, case: Case) -> None:
        write = cases[case.name]
        target = _at(at)
        target.kind = ffi.WASMTIME_COMPONENT_RESULT
        target.of.result.is_ok = case.name == "ok"
        target.of.result.val = None if write is None else _boxed(host, write, case.value)

    return lowered


def _lower_option(write: Lower) -> Lower:
    def lowered(host: Host, at: int, value: Any) -> None:
        target = _at(at)
        target.kind = ffi.WASMTIME_COMPONENT_OPTION
        target.of.option = None if value is None else _boxed(host, write, value)

    return lowered


def _lower_enum(host: Host, at: int, value: str) -> None:
    target = _at(at)
    target.kind = ffi.WASMTIME_COMPONENT_ENUM
    _set_name(target.of.enumeration, value.encode())


def _give_resource(host: Host, at: int, value: Own) -> None:
    with ResourceHost.own(value.number, value.type) as ours:
        target = _at(at)
        target.kind = ffi.WASMTIME_COMPONENT_RESOURCE
        target.of.resource = ours.to_any(host.store)._consume()
