"""The Python engine: finds the wit of a core, loads it once per version of the code, and keeps what is in use."""

from __future__ import annotations

import contextvars
import gc
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

from understudy.actors.contract import StateCheck
from understudy.actors.errors import WitError
from understudy.actors.query import NO_QUERIES
from understudy.engines.locks import Locks
from understudy.engines.python.aliases import install_aliases
from understudy.engines.python.failure import in_core, in_package, loading
from understudy.engines.python.finder import CODE, Finder, Key, entry_of, read_text
from understudy.engines.python.importer import Version
from understudy.engines.python.inline import NO_CODE, find_wit, inline_code
from understudy.engines.python.modules import Code, Nodes, arrange, read_sources
from understudy.engines.python.names import file_name
from understudy.engines.python.pointer import External, InCore, Inline, Pointer
from understudy.engines.python.program import WIT_QUERY, WIT_UPDATE, PythonProgram
from understudy.engines.python.query import PythonQuery
from understudy.engines.python.resolver import Resolver, default_resolver, find_function, home_of
from understudy.engines.python.sources import digest_of_module, digest_of_modules, homes_of
from understudy.engines.room import load_in_room
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import Id, TreeId
from understudy.objects.step import MAX_CONSUMED
from understudy.store.reader import Reader
from understudy.wit.abi import PYTHON_1, PYTHON_2
from understudy.wit.state import PATH as STATE
from understudy.wit.wit import Wit

NAME: Final = "python"
ABI: Final = PYTHON_2.name
WIT: Final = "wit"
MAX_PROGRAMS: Final = 512
MAX_SOURCE: Final = 16 * 1024 * 1024  # of all versions kept: loaded code takes some ten times its source
# The memory of a version's globals can't be measured. So, when code is loaded, versions are forgotten that were not used
# for a minute. An actor that is updated again and again then keeps only these few in memory.
KEPT: Final = 8  # that are not forgotten for that
IDLE_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class PythonEngine:
    """Runs wits written in Python. May be used from several threads.

    With `fresh`, every load runs the code again in a new namespace, as a verifier wants it: nothing that a step left
    behind in a module is there for the next one. (Code behind `external:` is Python's own and stays.)
    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        fresh: bool = False,
        max_programs: int = MAX_PROGRAMS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        install_aliases()
        self._resolver = resolver or default_resolver()
        self._fresh = fresh
        self._max_programs = max_programs
        self._monotonic = monotonic
        self._programs: dict[Key, PythonProgram] = {}
        self._finder = Finder()
        self._clock = 0
        self._builds = Locks()
        self._queries: PythonEngine | None = None
        self._keeping = threading.Lock()  # of programs; never held while code runs

    @property
    def name(self) -> str:
        """`python`."""
        return NAME

    @property
    def batch(self) -> int:
        """As many as a step may take."""
        return MAX_CONSUMED

    def load(self, core: TreeId, entry: str, store: Reader) -> PythonProgram:
        """The program that a core's `/wit` or `/wit_update` names. Raises WitError, StoreError."""
        at_once = None if self._fresh else self._finder.find_at_once(core, entry, store)
        program = None if at_once is None else self._programs.get(at_once)
        if program is None:
            key, pointer = self._finder.find(core, entry, store)
            program = self._programs.get(key)
            if program is None or self._fresh or self._is_stale(program, pointer):
                program = self._build(key, pointer, core, store)
        self._clock += 1
        program.stamp = self._clock
        program.used = self._monotonic()
        return program

    def version(self, core: TreeId, entry: str, store: Reader) -> Hashable:
        """A key of the code that `load` would run: equal as long as the code in the core is equal.

        Runs none of it. Raises WitError, StoreError.
        """
        return self._finder.find(core, entry, store)[0]

    def load_query(self, core: TreeId, store: Reader) -> PythonQuery:
        """What answers a core's queries: its `/wit_query`, else the Wit in `/wit`. Raises WitError, StoreError."""
        # In namespaces of their own: what a query leaves in a module must never reach a step, and an import that never ends
        # in a step blocks no query.
        loader = self._for_queries()
        has_own = entry_of(core, WIT_QUERY, store) is not None
        query = loader.load(core, WIT_QUERY if has_own else WIT, store).query
        if query is None:
            text = "the core has no /wit_query, and /wit is a function, not a Wit: it has no queries"
            raise WitError(NO_QUERIES, text)
        return query

    def _for_queries(self) -> PythonEngine:
        with self._keeping:
            if self._queries is None:
                self._queries = PythonEngine(
                    self._resolver, fresh=self._fresh, max_programs=self._max_programs, monotonic=self._monotonic
                )
            return self._queries

    def check_state(self, core: TreeId, store: Reader) -> StateCheck:
        """What the Wit in `/wit` makes of `/state`; a function decides for itself. Raises WitError, StoreError."""
        if entry_of(core, WIT_UPDATE, store) is not None:
            return StateCheck()
        program = self._for_queries().load(core, WIT, store)
        wit = program.function
        state = entry_of(core, STATE, store)
        if not isinstance(wit, Wit) or state is None:
            return StateCheck()
        try:
            return program.within(wit.check_state, store.blob(state))
        except WrongKind as error:
            return StateCheck(error=str(error))

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> None:
        """Python code has no say in its update: code that can't be loaded fails when it is run."""

    def _is_stale(self, program: PythonProgram, pointer: Pointer) -> bool:
        # A module behind `external:` may have been loaded again since, or another function registered.
        return isinstance(pointer, External) and self._resolver.look_up(pointer) is not program.function

    def _build(self, key: Key, pointer: Pointer, core: TreeId, store: Reader) -> PythonProgram:
        entry, id, code = key
        match pointer:
            case External():
                return self._build_once(key, pointer, External, lambda _: self._build_external(pointer, entry))
            case Inline():
                return self._build_once(
                    key,
                    pointer,
                    (Id(id), entry, code),
                    lambda known: self._build_inline(Id(id), entry, code, store, known),
                )
            case InCore():
                nodes, folder = self._finder.nodes(pointer, code, core, entry, store)
                return self._build_once(
                    key,
                    pointer,
                    (nodes.digest, folder),
                    lambda known: self._build_in_core(pointer, nodes, folder, core, entry, store, known),
                )

    def _build_once(
        self,
        key: Key,
        pointer: Pointer,
        what: Hashable,
        build: Callable[[PythonProgram | None], PythonProgram],
    ) -> PythonProgram:
        # One lock for each version of code: an import that never ends blocks no other version.
        with self._builds.lock(what):
            known = self._programs.get(key)
            if known is not None and not self._fresh and not self._is_stale(known, pointer):
                return known
            program, limit = load_in_room(build, known)
            program.keep_limit(limit)
            program.stamp = self._clock + 1
            program.used = self._monotonic()
            with self._keeping:
                self._programs[key] = program
                has_dropped = self._drop_unused()
        if has_dropped:
            # Modules and their functions refer to each other: only the garbage collector frees them.
            gc.collect()
        return program

    def _build_external(self, pointer: External, entry: str) -> PythonProgram:
        with loading(pointer.ref, in_core if pointer.module is None else in_package(pointer.module)):
            # What an import sets for its thread is dropped, as if the module had been imported long before.
            function = contextvars.Context().run(self._resolver.resolve, pointer, node=entry)
            home, homes = home_of(function), homes_of(function)
            source = {
                PYTHON_1.name: digest_of_module(home),
                ABI: digest_of_modules(sorted({*homes, *([] if pointer.module is None else [pointer.module])})),
            }
            return PythonProgram(function, entry=entry, source=source, belongs=in_package(home))

    def _build_inline(
        self, id: Id, entry: str, code: Id | None, store: Reader, known: PythonProgram | None
    ) -> PythonProgram:
        nodes = self._finder.beside(code, store)
        # Without modules beside it, the text is all there is.
        version_id = ids.raw_id(id + nodes.digest) if nodes.by_path else id
        others = file_name(version_id, f"{CODE}/")

        def read() -> Code:
            modules = arrange(others, read_sources(store, nodes)) if nodes.by_path else NO_CODE
            return inline_code(read_text(id, entry, store), version_id, entry, modules)

        version = self._version(version_id, entry, known, read)

        def make(version: Version, first: Callable[[], PythonProgram] | None = None) -> PythonProgram:
            # More of the author's than the import: annotations are evaluated, and a module may have a `__getattr__`.
            with loading(entry):
                function = find_wit(version.load(""), entry)
                return PythonProgram(function, entry=entry, belongs=in_core, version=version, first=first)

        sources = version.code
        return make(version, lambda: make(Version(version_id, entry, sources, is_first=True)))

    def _build_in_core(
        self,
        pointer: InCore,
        nodes: Nodes,
        folder: str,
        core: TreeId,
        entry: str,
        store: Reader,
        known: PythonProgram | None,
    ) -> PythonProgram:
        id = ids.raw_id(nodes.digest)
        shown = file_name(id, f"{folder}/" if folder else "")
        version = self._version(id, folder, known, lambda: arrange(shown, read_sources(store, nodes)))
        if version.sources.get(pointer.module) is None:
            there = ", ".join(version.names[:20]) or "none"
            raise WitError(
                "MissingModule", f"/{entry} names the module {pointer.module!r}; below /{folder} there are: {there}"
            )

        def make(version: Version, first: Callable[[], PythonProgram] | None = None) -> PythonProgram:
            with loading(pointer.module):
                function = find_function(version.load(pointer.module), pointer.module, pointer.function, entry)
                return PythonProgram(function, entry=entry, belongs=in_core, version=version, first=first)

        sources = version.code
        program = make(version, lambda: make(Version(id, folder, sources, is_first=True)))
        if version.problems is None:
            version.problems = _import_others(version)
            if known is None and version.problems:
                _log.warning("broken beside the wit of %s: %s", core, "; ".join(version.problems))
        return program

    def _version(self, id: Id, path: str, known: PythonProgram | None, read: Callable[[], Code]) -> Version:
        """The namespace of some code: that of another program of it, or a new one where fresh ones are wanted."""
        if self._fresh:
            return Version(id, path, known.version.code if known is not None and known.version is not None else read())
        with self._keeping:
            for program in self._programs.values():
                if program.version is not None and program.version.is_of(id, path):
                    return program.version
        return Version(id, path, read())

    def _drop_unused(self) -> bool:
        """Forget the programs that were not asked for the longest, until the rest is within bounds. True if there were any."""
        size = sum(program.version.size for program in self._programs.values() if program.version is not None)
        by_age = sorted(self._programs, key=lambda key: self._programs[key].stamp)
        idle, before = self._monotonic() - IDLE_SECONDS, len(by_age)
        for key in by_age[:-1]:
            is_over = len(self._programs) > self._max_programs or size > MAX_SOURCE
            if not is_over and (len(self._programs) <= KEPT or self._programs[key].used > idle):
                break
            version = self._programs.pop(key).version
            size -= 0 if version is None else version.size
        return len(self._programs) < before


def _import_others(version: Version) -> list[str]:
    """Load the modules that the wit did not import. Broken ones are reported, and stop nothing."""
    problems = [f"{path}: not loaded, no module can have that name" for path in version.code.skipped]
    for name in version.names:
        try:
            with loading(name):
                version.load(name)
        except WitError as error:
            problems.append(error.text)
    return problems
