"""A stage: where the Python code of a history is run again.

The law: `LocalStage` runs it in this process, and so is only for a process that decides nothing about the history.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, ModuleType
from typing import Final, NamedTuple, Protocol

from understudy.actors.contract import Engine, Program, StepInput, StepResult
from understudy.actors.errors import STUCK, WitError
from understudy.actors.query import QueryProgram
from understudy.engines.python.aliases import Alias
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.externals import FreshResolver, is_authors
from understudy.engines.python.failure import in_core
from understudy.engines.python.names import source_path
from understudy.engines.python.program import PythonProgram
from understudy.judging.clues import Snapshot, addressed, handed_on, hashed
from understudy.judging.replay_calls import ReplayCalls
from understudy.judging.spotting import Spotter
from understudy.judging.upwards import Apart
from understudy.judging.virtual_loop import Stuck, run_virtually
from understudy.judging.wire import Noted
from understudy.judging.witness import Witness
from understudy.kernel.verdict import GLOBAL
from understudy.objects import ids
from understudy.objects.ids import TreeId
from understudy.objects.step import FAILED, Outcome
from understudy.store.reader import Reader, Staging

_MAX_READ: Final = 4 * 1024 * 1024  # bytes of what a step makes that are searched for clues
MAX_SHARED: Final = 100  # names of what one step changes that all code shares
_OURS: Final = __name__.partition(".")[0]


class Work(NamedTuple):
    """A program and what it is given; `after` is the core that the record says came out, for who plans how to run it."""

    program: Program
    given: StepInput
    after: TreeId | None = None


class Stage(Protocol):
    """Engines for replays. Their programs run to the end, and want `ReplayCalls` in what they are given."""

    def begin(self, history: Hashable = None) -> None:
        """Steps of a history come, from the top down: nothing may touch them but what ran above them in the same history.

        Without a history nothing that ran so far may touch what comes.
        """

    def fresh(self) -> Engine:
        """Runs each step in new namespaces, as a verdict wants it."""

    def watched(self) -> Engine:
        """The same beside a witness; for code that `fresh` has run."""

    def hashing(self, seed: int) -> Engine:
        """The same with another hash seed, where that can be had."""

    def kept(self) -> Engine:
        """Runs steps in one namespace, which is new with each call of this."""

    def mingled(self, spot: Sequence[str] = ()) -> Engine:
        """As `kept`, for steps of several actors, as a living node has them in one process.

        `noted` then names what each step changed of what all code shares; for the names in `spot`, with the line.
        """

    def screening(self) -> Engine:
        """Runs steps in a namespace for each version of their code, which is new when another version comes between."""

    def perform_all(self, works: Sequence[Work]) -> Iterator[StepResult | Exception]:
        """Run programs that `screening` loaded. Begins at once; gives what comes out of each, or what kept it from that."""

    def noted(self) -> Sequence[Noted]:
        """What the witness saw since `watched` was asked for."""

    def staged(self, into: Staging) -> None:
        """Stage what the code staged in its last run, as far as the staging that it was given does not hold it."""


class LocalStage:
    """The stage in this process. `modules` are those that register wits when they are imported."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._resolver = FreshResolver(modules)
        self._fresh = PythonEngine(self._resolver, fresh=True)
        self._witness: Witness | None = None
        self._clues: list[Noted] = []

    def begin(self, history: Hashable = None) -> None:
        """See Stage. What code keeps outside of its modules stays in this process."""

    def fresh(self) -> Engine:
        """See Stage."""
        return _Engine(self._fresh, nullcontext())

    def watched(self) -> Engine:
        """See Stage."""
        self._witness = Witness(self.path_of)
        self._clues = []
        return _Engine(self._fresh, self._witness, self)

    def hashing(self, seed: int) -> Engine:
        """See Stage. A process can't change its seed."""
        return self.fresh()

    def kept(self) -> Engine:
        """See Stage."""
        self._resolver.forget_all()
        return _Engine(PythonEngine(self._resolver), nullcontext())

    def apart(self) -> Apart:
        """A namespace for code in a core, beside those of `kept` and of itself before."""
        return Apart(PythonEngine(self._resolver))

    def mingled(self, spot: Sequence[str] = ()) -> Engine:
        """See Stage. What code changes is not looked for."""
        return self.kept()

    def screening(self) -> Engine:
        """See Stage."""
        return self.kept()

    def perform_all(self, works: Sequence[Work]) -> Iterator[StepResult | Exception]:
        """See Stage."""
        for work in works:
            try:
                yield perform(work.program, work.given)
            except WitError as error:
                yield error

    def path_of(self, frame: FrameType) -> str | None:
        """The path of the author's code that a frame runs, None for what others wrote."""
        name = str(frame.f_globals.get("__name__", ""))
        top = name.partition(".")[0]
        if top == _OURS:
            return None
        found = in_core(frame)
        if found is not None:
            return found
        module = sys.modules.get(name)
        if self._resolver.follows(top) or (module is not None and is_authors(module)):
            return name.replace(".", "/") + ".py"
        return None

    def noted(self) -> Sequence[Noted]:
        """See Stage."""
        return () if self._witness is None else [*self._witness.noted, *self._clues]

    def look_at(self, run: Callable[[], StepResult], staging: Staging) -> StepResult:
        """Run code that is loaded, and keep the clues that it leaves. `staging` takes what it makes."""
        own = self._own_modules()
        before = Snapshot(own)
        result = run()
        texts = [*result.log, *_texts(staging)]
        self._clues = [*before.changed(), *handed_on(own), *hashed(own), *addressed(own, texts)]
        return result

    @contextmanager
    def sharing(self, spot: Sequence[str]) -> Iterator[None]:
        """Note what code that is loaded and run meanwhile changes of what is shared; see `mingled`."""
        before = Snapshot(self._own_modules())
        with Spotter(spot, self.path_of) if spot else nullcontext() as spotter:
            yield
        spotted = {} if spotter is None else spotter.spotted
        self._witness = Witness(self.path_of)
        changed = [f"{name} in {spotted[name]}" if name in spotted else name for name in before.changed_shared()]
        changed += [f"the global {name} of {path}" for path, name in before.changed_globals()]
        self._clues = [Noted(text, GLOBAL) for text in changed[:MAX_SHARED]]

    def _own_modules(self) -> dict[str, ModuleType]:
        """The author's modules by their paths."""
        found: dict[str, ModuleType] = {}
        for name, module in sys.modules.copy().items():
            if not isinstance(module, ModuleType) or type(module) is Alias or name.partition(".")[0] == _OURS:
                continue
            path = source_path(str(getattr(module, "__file__", "")))
            if path is not None:
                found[path] = module
            elif self._resolver.follows(name.partition(".")[0]) or is_authors(module):
                found[name.replace(".", "/") + ".py"] = module
        return found

    def staged(self, into: Staging) -> None:
        """See Stage."""


def _texts(staging: Staging) -> Iterator[str]:
    """The beginnings of the blobs that are new."""
    left = _MAX_READ
    for id, block in staging.new.items():
        if ids.is_raw(id) and left > 0:
            yield block.data[:left].decode("utf-8", "replace")
            left -= len(block.data)


def perform(program: Program, given: StepInput) -> StepResult:
    """Run a program to its end on virtual time, with the answers of its `ReplayCalls`. Raises StoreError."""
    result = program.run(given)
    if isinstance(result, StepResult):
        return result
    calls = given.calls
    assert isinstance(calls, ReplayCalls)
    try:
        return run_virtually(result, on_idle=calls.complete_next, on_stuck=calls.fail_one)
    except Stuck as error:
        calls.stuck = True
        return StepResult(engine=program.engine, core=given.core, outcome=Outcome(FAILED, STUCK, str(error)))


class _Engine:
    def __init__(
        self, engine: PythonEngine, around: AbstractContextManager[object], watch: LocalStage | None = None
    ) -> None:
        self._watch = watch
        self._engine = engine
        self._around = around

    @property
    def name(self) -> str:
        return self._engine.name

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        with self._around:
            program = self._engine.load(core, entry, store)
        return _Program(program, self._around, self._watch)

    def load_query(self, core: TreeId, store: Reader) -> QueryProgram:
        return self._engine.load_query(core, store)

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> Program | None:
        return None


class _Program:
    def __init__(
        self, program: PythonProgram, around: AbstractContextManager[object], watch: LocalStage | None
    ) -> None:
        self._watch = watch
        self._program = program
        self._around = around

    @property
    def engine(self) -> str:
        return self._program.engine

    def run(self, given: StepInput) -> StepResult:
        if self._watch is not None:
            return self._watch.look_at(lambda: self._perform(given), given.store)
        return self._perform(given)

    def _perform(self, given: StepInput) -> StepResult:
        with self._around:
            return perform(self._program, given)
