"""Steps in which long flows go on. They run from the bottom up, in a namespace apart, where the code of a flow waits for its
next step as it does in a living node.

The law: what came out is what the steps give from the top down. A flow that goes on is where running it again from its
beginning would bring it, unless something that it did stays behind in a global; where a global changes, nothing that
ran here counts. Steps that no long flow goes on in never run here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from understudy.actors.contract import Program
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.program import PythonProgram
from understudy.judging.clues import Globals
from understudy.judging.wire import KEPT, Run
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.store.errors import StoreError
from understudy.store.maps import diff_trees
from understudy.store.reader import Reader
from understudy.wit.flows.record import FOLDER, PAGES
from understudy.wit.wit import Wit

# Pages of a record, of 8 KiB: some 250 things that the flow asked for. Up to there each step runs the flow from its
# beginning, which takes some milliseconds, and a flow that is not the same each time is found out there.
LONG: Final = 8
# For the steps of one batch: those above them have to wait for them, and who waits gives up after a minute.
MAX_SECONDS: Final = 10.0


def steps_of_long_flows(runs: Sequence[Run], reader: Reader) -> list[int]:
    """Which of some runs a long flow goes on in, from the bottom up. `runs` come from the top down."""
    return [
        number
        for number, run in reversed(list(enumerate(runs)))
        if run.way == KEPT and has_long(reader, run.core, run.after)
    ]


def has_long(reader: Reader, before: bytes, after: bytes | None) -> bool:
    """True if a long flow went on, or ended, between two cores."""
    if after is None or after == before:
        return False
    try:
        return _has_long(reader, Id(before), Id(after))
    except (ObjectError, StoreError):
        # What is damaged, or what a wit without flows keeps there, is told where the step runs in its turn.
        return False


def _has_long(reader: Reader, before: Id, after: Id) -> bool:
    # Most actors have none, and then the core after the step is not needed here at all.
    flows = reader.find(before, FOLDER)
    then = None if flows is None else reader.find(after, FOLDER)
    if flows is None or then is None or flows == then:
        return False
    changed = {path.partition("/")[0] for path, _, _ in diff_trees(reader, flows, then)}
    return any(_is_long(reader, flows, flow) for flow in changed if flow)


def _is_long(reader: Reader, flows: Id, flow: str) -> bool:
    record = reader.find(flows, f"{flow}/{PAGES}")
    return record is not None and len(reader.tree(record)) >= LONG


class Apart:
    """A namespace for some steps with one version of their code."""

    def __init__(self, engine: PythonEngine) -> None:
        self._engine = engine
        self._program: PythonProgram | None = None
        self._globals: Globals | None = None

    def load(self, core: Id, entry: str, reader: Reader) -> Program | None:
        """The program of a core; None if its code is not in the core, and so can't be had apart. Raises WitError, StoreError."""
        program = self._engine.load(TreeId(core), entry, reader)
        if program.version is None:
            return None
        if self._program is None:
            version = program.version
            modules = {name: sys.modules.get(version.full_name(name)) for name in version.names}
            self._program = program
            self._globals = Globals({name: module for name, module in modules.items() if module is not None})
        return program if program is self._program else None

    @property
    def is_as_it_was(self) -> bool:
        """True as long as nothing that ran changed a global, as far as that can be seen."""
        return self._globals is not None and next(iter(self._globals.changed()), None) is None

    def let_go(self) -> None:
        """End the flows that wait here."""
        if self._program is not None and isinstance(self._program.function, Wit):
            self._program.function.let_flows_go()
