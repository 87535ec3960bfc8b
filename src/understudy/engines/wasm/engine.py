"""The WebAssembly engine: finds the component of a core, loads it once per version, and keeps what is in use."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from understudy.actors.contract import StepInput, StepResult
from understudy.actors.errors import WitError
from understudy.engines.locks import Locks
from understudy.engines.wasm.cache import CompiledCache
from understudy.engines.wasm.component import MAX_COMPONENT_BYTES, LoadedComponent
from understudy.engines.wasm.limits import LIMITS, read_limits
from understudy.engines.wasm.program import STATE, WasmProgram
from understudy.engines.wasm.query import WasmQuery
from understudy.engines.wasm.settings import ENGINE_TEXT, NAME
from understudy.engines.wasm.world import check_init
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader

MAX_COMPONENTS: Final = 64  # loaded ones; a large one takes some 60 MB
MAX_PROGRAMS: Final = 1024
_WIT: Final = "wit"
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_POINTER = re.compile(r"/([^:\n]+):([^/:\n]+):handle\Z")


class WasmEngine:
    """Runs actors that are WebAssembly components. May be used from several threads.

    What was compiled is kept in the folder `cache`, which may be deleted at any time; None compiles anew.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = CompiledCache(cache)
        self._paths: OrderedDict[Id, str] = OrderedDict()
        self._components: OrderedDict[Id, LoadedComponent] = OrderedDict()
        self._programs: OrderedDict[tuple[Id, Id | None], WasmProgram] = OrderedDict()
        self._builds = Locks()
        self._keeping = threading.Lock()  # of what is kept; never held while a component is compiled

    @property
    def name(self) -> str:
        """`wasm`."""
        return NAME

    def load(self, core: TreeId, entry: str, store: Reader) -> WasmProgram:
        """The program that a core's `/wit` names. Raises WitError, StoreError."""
        if entry != _WIT:
            raise WitError("NoUpdate", f"a component has no function for updates: remove /{entry} from the core")
        component_id = self._component_id(core, store)
        limits_id = tree_entry(store, core, LIMITS)
        key = component_id, limits_id
        program = self._programs.get(key)
        if program is None:
            limits = read_limits(store, limits_id)
            program = WasmProgram(self._component(component_id, store), limits)
            program = self._keep(self._programs, key, program, MAX_PROGRAMS)
        check_init(program.loaded.world, has_state=tree_entry(store, core, STATE) is not None)
        return program

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> _Update:
        """What an update of the core runs: the state contract of the component that is there afterwards."""
        program = self.load(after, _WIT, store)
        return _Update(program, program.loaded.hash if self._is_replaced(before, after, store) else None)

    def load_query(self, core: TreeId, store: Reader) -> WasmQuery:
        """What answers a core's queries. Raises WitError, StoreError."""
        limits = read_limits(store, tree_entry(store, core, LIMITS))
        return WasmQuery(self._component(self._component_id(core, store), store), limits)

    def _is_replaced(self, before: TreeId, after: TreeId, store: Reader) -> bool:
        try:
            return self._component_id(before, store) != self._component_id(after, store)
        except (WitError, ObjectError):
            # The core before was of another engine, or broken.
            return True

    def _component_id(self, core: TreeId, store: Reader) -> Id:
        wit = tree_entry(store, core, _WIT)
        if wit is None:
            raise WitError("NoWit", "the core has no /wit: put a pointer there, such as /code:counter:handle")
        path = self._paths.get(wit)
        if path is None:
            path = self._keep(self._paths, wit, _read_pointer(store, wit), MAX_PROGRAMS)
        found = store.find(core, path)
        if found is None:
            raise WitError("NoComponent", f"/wit names the component /{path}, and there is nothing")
        return found

    def _component(self, id: Id, store: Reader) -> LoadedComponent:
        with self._builds.lock(id):
            known = self._components.get(id)
            if known is not None:
                return known
            loaded = LoadedComponent(_read_component(store, id), self._cache)
            return self._keep(self._components, id, loaded, MAX_COMPONENTS)

    def _keep(self, kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> _Value:
        with self._keeping:
            kept[key] = value
            while len(kept) > most:
                kept.popitem(last=False)
        return value


class _Update(NamedTuple):
    """The program of an update; `component_hash` if it replaces the component."""

    program: WasmProgram
    component_hash: str | None

    @property
    def engine(self) -> str:
        return ENGINE_TEXT

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        return self.program.run_update(given, component_hash=self.component_hash)


def _read_pointer(store: Reader, wit: Id) -> str:
    """The path of the component that a `/wit` points to."""
    text = store.blob(wit).decode().strip() if store.kind(wit) == "a blob" else ""
    found = _POINTER.match(text)
    if found is None:
        raise WitError("BadPointer", f"/wit says {text[:100]!r}: write /PATH:NAME:handle, e.g. /code:counter:handle")
    return f"{found[1]}/{found[2]}.wasm"


def _read_component(store: Reader, id: Id) -> bytes:
    if store.kind(id) != "a blob":
        raise WitError("BadComponent", f"/wit names {store.kind(id)}; it must be a blob, the bytes of a component")
    info = store.blob_info(id)
    if info is not None and info.size > MAX_COMPONENT_BYTES:
        text = f"the component has {info.size:,} bytes; at most {MAX_COMPONENT_BYTES:,} are allowed"
        raise WitError("ComponentTooLarge", text)
    return store.blob(id)
