"""The WebAssembly engine: finds the component of a core, loads it once per version, and keeps what is in use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, NamedTuple

from understudy.actors.contract import StepInput, StepResult
from understudy.actors.errors import WitError
from understudy.engines.locks import Locks
from understudy.engines.wasm.cache import CompiledCache
from understudy.engines.wasm.compiling import Tell
from understudy.engines.wasm.component import MAX_COMPONENT_BYTES, LoadedComponent
from understudy.engines.wasm.limits import LIMITS, Limits, read_limits
from understudy.engines.wasm.machine import Machine
from understudy.engines.wasm.pointer import Pointers
from understudy.engines.wasm.program import STATE, WasmProgram
from understudy.engines.wasm.query import WasmQuery
from understudy.engines.wasm.settings import ENGINE_TEXT, NAME
from understudy.engines.wasm.world import check_init
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.store.maps import tree_entry
from understudy.store.reader import Reader

MAX_COMPONENTS: Final = 64  # loaded ones, the last used; a large one takes some 60 MB
MAX_PROGRAMS: Final = 1024
_WIT: Final = "wit"


class WasmEngine:
    """Runs actors that are WebAssembly components. May be used from several threads.

    What was compiled is kept in the folder `cache`, which may be deleted at any time; None compiles anew. `tell` is called
    every second while a component is compiled, sometimes with a text for people. `machine` has the bounds of a node for all
    its components together; without it only their own limits hold.
    """

    def __init__(
        self, cache: Path | None = None, tell: Tell = lambda text: None, machine: Machine | None = None
    ) -> None:
        self._cache = CompiledCache(cache, tell)
        self._machine = machine
        self._pointers = Pointers()
        self._components: OrderedDict[Id, LoadedComponent] = OrderedDict()
        self._programs: OrderedDict[tuple[Id, Id | None], WasmProgram] = OrderedDict()
        self._builds = Locks()
        self._keeping = threading.Lock()  # of what is kept; never held while a component is compiled

    @property
    def name(self) -> str:
        """`wasm`."""
        return NAME

    @property
    def batch(self) -> int:
        """One: the chain should have the state after each message, and its sender gets that state."""
        return 1

    def version(self, core: TreeId, entry: str, store: Reader) -> Id:
        """The component that a core's `/wit` names. Raises WitError, StoreError."""
        return self._pointers.component_id(core, store)

    def load(self, core: TreeId, entry: str, store: Reader) -> WasmProgram:
        """The program that a core's `/wit` names. Raises WitError, StoreError; HostFailed where it can't be run here."""
        if entry != _WIT:
            raise WitError("NoUpdate", f"a component has no function for updates: remove /{entry} from the core")
        component_id = self._pointers.component_id(core, store)
        limits_id = tree_entry(store, core, LIMITS)
        program = self._known(component_id, limits_id)
        if program is None:
            limits = read_limits(store, limits_id)
            loaded = self._component(component_id, store)
            self._check_machine(loaded, limits)
            program = self._keep_program(component_id, limits_id, WasmProgram(loaded, limits, self._machine))
        check_init(program.loaded.world, has_state=tree_entry(store, core, STATE) is not None)
        return program

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> _Update:
        """What an update runs: the state contract of the component that the core has afterwards."""
        program = self.load(after, _WIT, store)
        return _Update(program, program.loaded.hash if self._is_replaced(before, after, store) else None)

    def load_query(self, core: TreeId, store: Reader) -> WasmQuery:
        """What answers a core's queries. Raises WitError, StoreError."""
        limits = read_limits(store, tree_entry(store, core, LIMITS))
        loaded = self._component(self._pointers.component_id(core, store), store)
        self._check_machine(loaded, limits)
        return WasmQuery(loaded, limits, self._machine)

    def _check_machine(self, loaded: LoadedComponent, limits: Limits) -> None:
        if self._machine is not None:
            self._machine.check(limits, loaded.room(limits))

    def _is_replaced(self, before: TreeId, after: TreeId, store: Reader) -> bool:
        try:
            return self._pointers.component_id(before, store) != self._pointers.component_id(after, store)
        except (WitError, ObjectError):
            # The core before was of another engine, or broken.
            return True

    def _component(self, id: Id, store: Reader) -> LoadedComponent:
        with self._builds.lock(id):
            known = self._components.get(id)
            if known is not None:
                return known
            loaded = LoadedComponent(_read_component(store, id), self._cache)
            with self._keeping:
                self._components[id] = loaded
                while len(self._components) > MAX_COMPONENTS:
                    dropped, _ = self._components.popitem(last=False)
                    for key in [key for key in self._programs if key[0] == dropped]:
                        del self._programs[key]
            return loaded

    def _known(self, component: Id, limits: Id | None) -> WasmProgram | None:
        with self._keeping:
            program = self._programs.get((component, limits))
            if program is not None and component in self._components:
                self._components.move_to_end(component)
                self._programs.move_to_end((component, limits))
            return program

    def _keep_program(self, component: Id, limits: Id | None, program: WasmProgram) -> WasmProgram:
        with self._keeping:
            kept = self._programs.setdefault((component, limits), program)
            while len(self._programs) > MAX_PROGRAMS:
                self._programs.popitem(last=False)
            return kept


class _Update(NamedTuple):
    """The program of an update; `component_hash` if it replaces the component."""

    program: WasmProgram
    component_hash: str | None

    @property
    def engine(self) -> str:
        return ENGINE_TEXT

    def run(self, given: StepInput) -> StepResult | Awaitable[StepResult]:
        return self.program.run_update(given, component_hash=self.component_hash)


def _read_component(store: Reader, id: Id) -> bytes:
    if store.kind(id) != "a blob":
        raise WitError("BadComponent", f"/wit names {store.kind(id)}; it must be a blob, the bytes of a component")
    info = store.blob_info(id)
    if info is not None and info.size > MAX_COMPONENT_BYTES:
        text = f"the component has {info.size:,} bytes; at most {MAX_COMPONENT_BYTES:,} are allowed"
        raise WitError("ComponentTooLarge", text)
    return store.blob(id)
