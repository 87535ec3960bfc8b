"""Does a component fit the world of interface/*.wit? Read from the types that it declares, before any of it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from wasmtime import _ffi as ffi
from wasmtime.component import (
    Bool,
    Component,
    ComponentInstanceType,
    EnumType,
    FuncType,
    ListType,
    OptionType,
    RecordType,
    ResultType,
    String,
    TupleType,
    VariantType,
)

from understudy.actors.errors import WitError
from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.values import Flavour

PACKAGE: Final = "ntwk:simple-actor/"
ACTOR: Final = PACKAGE + "actor"
RUNTIME: Final = PACKAGE + "runtime"
QUERIES: Final = PACKAGE + "queries"
GRIT: Final = PACKAGE + "grit"
NEIGHBOURS: Final = PACKAGE + "neighbours"
CONVERSATION: Final = PACKAGE + "conversation"
JUDGEMENT: Final = PACKAGE + "judgement"
HTTP: Final = PACKAGE + "http"
TIMERS: Final = PACKAGE + "timers"
REQUESTS: Final = PACKAGE + "requests"
WASI: Final = "wasi:"

MAX_PROBLEMS: Final = 16 * 1024  # characters: twice what an outcome keeps, so the record of a step stays what it was
_STATE: Final = "state"  # stands for the flavour of the component
_OBJECT: Final = "variant {blob: list<u8>, tree: list<record {name: string, id: string}>, node: list<u8>}"
_ANSWER: Final = (
    "variant {blob: record {media-type: string, content: list<u8>}, tree: list<record {name: string, id: string}>}"
)
_FIELDS: Final = "list<record {name: string, value: string}>"
_REQUEST: Final = f"record {{method: string, url: string, headers: {_FIELDS}, body: list<u8>}}"
_RESPONSE: Final = f"record {{status: u16, headers: {_FIELDS}, body: list<u8>}}"
_FAILURE: Final = "record {code: string, text: string}"
_RING: Final = "record {name: string, due: u64, missed: u64}"
_ANSWERED: Final = "record {request: string, actor-id: string, message-type: string, failed: bool}"
_DONE: Final = "result<_, string>"
_ENVELOPE: Final = "record {id: string, sender: string, message-type: string}"
# What stands in each interface: parameters and result.
_EXPORTS: Final[Mapping[str, Mapping[str, tuple[Sequence[str], str]]]] = {
    ACTOR: {
        "state-contract": ([_STATE], "bool"),
        "message-contract": ([_STATE, _STATE], "bool"),
        "handle": ([_STATE, _STATE], _STATE),
        "init": ([], _STATE),
    },
    QUERIES: {"query": (["string", "string", "list<u8>", _STATE], f"result<{_ANSWER}, string>")},
}
_IMPORTS: Final[Mapping[str, Mapping[str, tuple[Sequence[str], str]]]] = {
    RUNTIME: {"log": (["string"], ""), "send": (["string", _STATE], "")},
    GRIT: {"read": (["string"], f"result<{_OBJECT}, string>")},
    NEIGHBOURS: {"ask": (["string", "string", "list<u8>"], f"result<{_ANSWER}, string>")},
    CONVERSATION: {"current": ([], f"option<{_ENVELOPE}>"), "reply": ([_STATE], "")},
    JUDGEMENT: {"verify": (["string"], "result<string, string>")},
    HTTP: {"fetch": ([_REQUEST], f"result<{_RESPONSE}, {_FAILURE}>"), "secret": (["string"], "string")},
    TIMERS: {
        "after": (["string", "f64", "string", _STATE], _DONE),
        "at": (["string", "string", "option<string>", "string", _STATE], _DONE),
        "every": (["string", "f64", "option<string>", "string", _STATE], _DONE),
        "cron": (["string", "string", "string", "string", _STATE], _DONE),
        "cancel": (["string"], "result<bool, string>"),
        "ringing": ([], f"option<{_RING}>"),
    },
    REQUESTS: {
        "request": (["string", "string", _STATE, "option<f64>"], "result<string, string>"),
        "answered": ([], f"option<{_ANSWERED}>"),
    },
}
_TYPES_ONLY: Final = (PACKAGE + "types", PACKAGE + "answers")


class World(Struct, frozen=True, kw_only=True):
    """What a component declares: how it takes messages and states, which functions it has, and whether it may ask others,
    make requests to the network and get answers to its requests.
    """

    flavour: Flavour
    has_init: bool
    has_query: bool
    asks: bool = False
    fetches: bool = False
    requests: bool = False


def read_world(component: Component) -> World:
    """The world of a component. Raises WitError("WrongWorld") that names everything that is missing or wrong."""
    declared = component.type
    exports = instances(declared.exports(compiler()))
    imports = instances(declared.imports(compiler()))
    flavour = _flavour(exports.get(ACTOR, {}))
    problems = [*_check_exports(exports, flavour), *_check_imports(imports, flavour)]
    if problems:
        lines = _cut("\n".join(f"- {problem}" for problem in problems))
        raise WitError("WrongWorld", f"the component does not fit the world `first-actor` (understudy wit):\n{lines}")
    return World(
        flavour=flavour,
        has_init="init" in exports[ACTOR],
        has_query=QUERIES in exports,
        fetches=HTTP in imports,
        asks=not imports.keys().isdisjoint((NEIGHBOURS, JUDGEMENT, HTTP, REQUESTS)),
        requests=REQUESTS in imports,
    )


def check_init(world: World, *, has_state: bool) -> None:
    """Raise WitError if there is no way to a first state."""
    if not world.has_init and not has_state:
        raise WitError(
            "NoInit", f"the component exports no {ACTOR}.init, and the core has no /state: bring one of them"
        )


def _flavour(actor: Mapping[str, Any]) -> Flavour:
    """A component that takes strings anywhere should take them everywhere."""
    for name in _EXPORTS[ACTOR]:
        function = actor.get(name)
        if isinstance(function, FuncType):
            shown = [*(describe(type) for _, type in function.params), describe(function.result)]
            if Flavour.TEXT.value in shown:
                return Flavour.TEXT
    return Flavour.BYTES


def _check_exports(exports: Mapping[str, Mapping[str, Any]], flavour: Flavour) -> Iterator[str]:
    for instance, functions in _EXPORTS.items():
        if instance not in exports and instance != ACTOR:
            continue
        for name, expected in functions.items():
            found = exports.get(instance, {}).get(name)
            if found is None and name != "init":
                yield f"{instance}.{name} is missing: it must be {_signature(*expected, flavour)}"
            elif found is not None:
                yield from _check_function(f"{instance}.{name}", found, expected, flavour)


def _check_imports(imports: Mapping[str, Mapping[str, Any]], flavour: Flavour) -> Iterator[str]:
    for instance, items in imports.items():
        if instance.startswith(WASI) or instance in _TYPES_ONLY:
            continue
        known = _IMPORTS.get(instance)
        if known is None:
            yield f"it imports {instance}, which is not here: a component may import {', '.join(_IMPORTS)} and wasi:*"
            continue
        for name, found in items.items():
            if name in known:
                yield from _check_function(f"the import {instance}.{name}", found, known[name], flavour)
            elif isinstance(found, FuncType):
                yield f"it imports {instance}.{name}, which is not there; there are {', '.join(known)}"


def _check_function(name: str, found: Any, expected: tuple[Sequence[str], str], flavour: Flavour) -> Iterator[str]:
    wanted = _signature(*expected, flavour)
    shown = describe(found)
    if shown != wanted:
        yield f"{name} is {shown}, and must be {wanted}"


def _signature(parameters: Sequence[str], result: str, flavour: Flavour) -> str:
    names = {_STATE: flavour.value}
    shown = f"func({', '.join(names.get(each, each) for each in parameters)})"
    return f"{shown} -> {names.get(result, result)}" if result else shown


def instances(items: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The functions and types of each instance; a function of the component itself is an instance of its own name."""
    found: dict[str, dict[str, Any]] = {}
    for name, item in items.items():
        type = item.ty
        if isinstance(type, ComponentInstanceType):
            found[name] = {inner: each.ty for inner, each in type.exports(compiler()).items()}
        else:
            found[name] = {}
    return found


def describe(type: Any) -> str:
    """A type as WIT writes it, names of types aside."""
    match type:
        case None:
            return "_"
        case FuncType():
            kind = "async func" if ffi.wasmtime_component_func_type_async(type.ptr()) else "func"
            shown = f"{kind}({', '.join(describe(each) for _, each in type.params)})"
            return shown if type.result is None else f"{shown} -> {describe(type.result)}"
        case Bool() | String():
            return type.__class__.__name__.lower()
        case ListType():
            return f"list<{describe(type.element)}>"
        case OptionType():
            return f"option<{describe(type.payload)}>"
        case ResultType():
            return f"result<{describe(type.ok)}, {describe(type.err)}>"
        case TupleType():
            return f"tuple<{', '.join(map(describe, type.elements))}>"
        case RecordType():
            return f"record {{{', '.join(f'{name}: {describe(each)}' for name, each in type.fields)}}}"
        case VariantType():
            return f"variant {{{', '.join(_case(name, each) for name, each in type.cases)}}}"
        case EnumType():
            return f"enum {{{', '.join(type.names)}}}"
        case _:
            return str(type.__class__.__name__.removesuffix("Type").lower())


def _cut(text: str) -> str:
    """The faults, cut at a bound: a component can have a million imports, and names of any length."""
    return (
        text
        if len(text) <= MAX_PROBLEMS
        else f"{text[:MAX_PROBLEMS]}…\n(there is more: {len(text):,} characters in all)"
    )


def _case(name: str, payload: Any) -> str:
    return name if payload is None else f"{name}: {describe(payload)}"
