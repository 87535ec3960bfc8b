"""A component that is compiled, checked and linked: what all its instances share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ctypes import ArgumentError
from functools import partial
from hashlib import sha256
from typing import Any, Final
from weakref import finalize

from wasmtime import _ffi as ffi
from wasmtime.component import Component, ExportIndex, FuncType, Linker, ResourceType

from understudy.actors.errors import WitError
from understudy.engines.wasm import grit, http, requests, timers, wasi
from understudy.engines.wasm.cache import CompiledCache
from understudy.engines.wasm.compiler import compiler
from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.imports import Import, define, define_resource
from understudy.engines.wasm.limits import Limits
from understudy.engines.wasm.memories import count_elements, count_memories
from understudy.engines.wasm.post import Posted
from understudy.engines.wasm.settings import ENGINE_TEXT, MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS
from understudy.engines.wasm.shapes import Lift, lift, readers, writer
from understudy.engines.wasm.values import SIZE, Flavour, measure, read_measured
from understudy.engines.wasm.wasi import resource_type
from understudy.engines.wasm.world import ACTOR, CONVERSATION, QUERIES, RUNTIME, World, describe, instances, read_world

MAX_COMPONENT_BYTES: Final = 64 * 1024 * 1024
ELEMENT_BYTES: Final = 8  # of a table: a reference to a function
# What a byte on its way into a component takes: of a list a value of ours and one of wasmtime's, of a string some copies.
LIST_BYTES: Final = 2 * SIZE
TEXT_BYTES: Final = 4
ACTOR_FUNCTIONS: Final = ("state-contract", "message-contract", "handle", "init")
_MODULE: Final = b"\0asm\x01\0\0\0"
_COMPONENT: Final = b"\0asm\x0d\0\x01\0"


class LoadedComponent:
    """One component. Safe to use from any thread."""

    def __init__(self, data: bytes, cache: CompiledCache) -> None:
        """Raises WitError("BadComponent", "WrongWorld"), HostFailed."""
        self.hash = sha256(data).hexdigest()
        self.is_dear = (
            False  # seen to take long for its fuel: where it runs depends on that, and never what it comes to
        )
        try:
            _check_preamble(data)
            component = cache.component(data, self.hash)
            self.world: World = read_world(component)
        except WitError as error:
            # What is a component, and of which world, depends on what the compiler knows.
            raise WitError(error.code, error.text, engine=ENGINE_TEXT) from error
        self.memories = count_memories(data, most=MAX_MEMORIES)
        # An instance has at most as many tables as core instances.
        elements = count_elements(data, most_of_one=MAX_TABLE_ELEMENTS, most=MAX_TABLE_ELEMENTS * MAX_INSTANCES)
        self.table_bytes = elements * ELEMENT_BYTES
        self.exports = {
            name: self._own(index, ffi.wasmtime_component_export_index_delete)
            for name, index in _find_exports(component)
        }
        self.read_answer = _answer_reader(component) if self.world.has_query else None
        self.linker = self._own(_link(component), ffi.wasmtime_component_linker_delete)
        self.component = self._own(component, ffi.wasmtime_component_delete)

    def room(self, limits: Limits) -> int:
        """The bytes that an instance may take: its memories and its tables."""
        return limits.memory * self.memories + self.table_bytes

    def way_in(self, limits: Limits, handed: int) -> int:
        """The bytes that messages and states of this size take on their way in, with what it may fetch from the network."""
        each = LIST_BYTES if self.world.flavour is Flavour.BYTES else TEXT_BYTES
        return handed * each + (limits.message * LIST_BYTES if self.world.fetches else 0)

    def _own(self, managed: Any, delete: Callable[[Any], None]) -> Any:
        """The C pointer of one of wasmtime's objects, deleted with us.

        Their own `__del__` fails loudly at the end of the process, when the modules it needs are gone.
        """
        pointer = managed._consume()
        finalize(self, delete, pointer).atexit = False
        return pointer


def _find_exports(component: Component) -> Iterator[tuple[str, ExportIndex]]:
    for instance, names in ((ACTOR, ACTOR_FUNCTIONS), (QUERIES, ("query",))):
        at = component.get_export_index(instance)
        for name in names if at is not None else ():
            index = component.get_export_index(name, at)
            if index is not None:
                yield name, index


def _answer_reader(component: Component) -> Lift:
    """What reads the answers of the component's `query`."""
    result = instances(component.type.exports(compiler()))[QUERIES]["query"].result
    return lift(result)


def _check_preamble(data: bytes) -> None:
    # wasmtime would also take text, which another release may read in another way.
    if data.startswith(_MODULE):
        raise WitError(
            "BadComponent", "this is a core module: make a component of it, e.g. with wasm-tools component new"
        )
    if not data.startswith(_COMPONENT):
        raise WitError("BadComponent", f"this is no WebAssembly component: it begins with {data[:8]!r}")


def _link(component: Component) -> Linker:
    linker = Linker(compiler())
    with linker.root() as root:
        for name, items in instances(component.type.imports(compiler())).items():
            with root.add_instance(name) as instance:
                for item, type in items.items():
                    if isinstance(type, ResourceType):
                        define_resource(instance, item, resource_type(item))
                    elif isinstance(type, FuncType):
                        define(instance, item, _import(name, item, type))
    return linker


def _import(instance: str, name: str, type: FuncType) -> Import:
    if instance == RUNTIME:
        return _log if name == "log" else _send
    if (instance, name) == (CONVERSATION, "reply"):
        return _reply
    for room in (grit, http, timers, requests):
        function = room.find(instance, name)
        if function is not None:
            return _converting(function, type)
    function = wasi.find(instance, name)
    if function is None:
        return wasi.refuse(instance, name)
    return partial(_typed, _converting(function, type), instance, f"{name} as {describe(type)}")


def _log(host: Host, arguments: int, results: int) -> None:
    line = measure(arguments)
    host.charge(line[1])
    host.log.write(read_measured(line, host.log.room), line[1])


def _send(host: Host, arguments: int, results: int) -> None:
    to, content = measure(arguments), measure(arguments + SIZE)
    host.charge(to[1] + content[1])
    host.take_message(to[1] + content[1])
    host.sent.append(Posted(read_measured(to).decode(), read_measured(content)))


def _reply(host: Host, arguments: int, results: int) -> None:
    content = measure(arguments)
    host.charge(content[1])
    host.take_message(content[1])
    host.reply(read_measured(content))


def _typed(function: Import, instance: str, name: str, host: Host, arguments: int, results: int) -> None:
    """Call a function of WASI, whose type is only what the component says that it is. Raises Stopped where it is another."""
    try:
        function(host, arguments, results)
    except (TypeError, ValueError, AttributeError, LookupError, ArgumentError) as error:
        # These functions depend only on their arguments, so this is the component's fault, and every replay repeats it.
        raise Stopped("ImportRefused", f"the component called {instance} {name}, which is not its type") from error


def _converting(function: Callable[..., Any], type: FuncType) -> Import:
    read, write = readers(type), writer(type)

    def called(host: Host, arguments: int, results: int) -> None:
        host.charge()
        given = [each(host, arguments + number * SIZE) for number, each in enumerate(read)]
        returned = function(host, *given)
        if write is not None:
            write(host, results, returned)

    return called
