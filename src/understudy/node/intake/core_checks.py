"""Checks of cores: code that comes in is loaded before anything is accepted, and loading may end the process.

The law: a core that ended the process twice while it was checked is refused, until an operator resumes it by its id.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from understudy.actors.contract import LiveEngine, ReadsState, StateCheck
from understudy.actors.errors import HostFailed, WitError
from understudy.kernel.advance import WIT
from understudy.kernel.core import check_core, engine_of, runtime_of
from understudy.node.checked_cores import CheckedCores
from understudy.node.errors import Busy, Held, Rejected
from understudy.node.holds import HELD, Holds, Kind
from understudy.node.intake.cores import rejected, stage_patch
from understudy.node.intake.timer_checks import check_timers
from understudy.node.looking.lookup import Lookup
from understudy.node.running.marks import Mark, Marks, What
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, TreeId
from understudy.store.maps import patch_tree
from understudy.store.reader import Reader, Staging


class CoreChecks:
    """Marks each check, so that one which ends the process is known at the next start. From any thread."""

    def __init__(
        self,
        engines: Mapping[str, LiveEngine],
        lookup: Lookup,
        reader: Reader,
        holds: Holds,
        marks: Marks,
        checked: CheckedCores,
    ) -> None:
        """`checked` is told of each new core that is good."""
        self._engines = engines
        self._lookup = lookup
        self._reader = reader
        self._holds = holds
        self._marks = marks
        self._checked = checked
        # Suspects are checked one at a time, so that the next crash has one culprit.
        self._suspects = threading.Lock()

    def check_new(self, staging: Staging, core: TreeId) -> None:
        """Load the code of a core that somebody wants to create. Raises Rejected, Busy, Held."""
        check_timers(staging, core)
        with self._running(core):
            self._check_core(staging, core)
        self._checked.add(core)

    def _check_core(self, staging: Staging, core: TreeId) -> None:
        """Load the wit too: who creates an actor from outside hears at once what its first step would fail of."""
        try:
            check_core(staging, core)
            engine_of(staging, core, self._engines).load(core, WIT, staging)
        except WitError as error:
            raise rejected(error) from error
        except HostFailed as error:
            raise (Busy(str(error)) if error.again else Rejected(str(error))) from error

    def check_update(self, actor: ActorId, patches: Sequence[Mapping[str, bytes | None]]) -> StateCheck:
        """See Node.check_update. Raises Busy and Held too."""
        staging = Staging(self._reader)
        core = before = self._reader.step(self._lookup.actor(actor).head).core
        for patch in patches:
            id = stage_patch(staging, patch)
            try:
                core = patch_tree(staging, core, staging.patch(id))
            except ObjectError as error:
                raise Rejected(f"this patch does not fit the core: {error}") from error
        check_timers(staging, core, before)
        with self._running(core):
            self._check_core(staging, core)
            return self._check_state(staging, core)

    def _check_state(self, staging: Staging, core: TreeId) -> StateCheck:
        engine = self._engines[runtime_of(staging, core)]
        try:
            return engine.check_state(core, staging) if isinstance(engine, ReadsState) else StateCheck()
        except WitError as error:
            raise rejected(error) from error

    @contextmanager
    def _running(self, core: TreeId) -> Iterator[None]:
        """While the code of a core is loaded. Raises Held for one that ended the process twice."""
        # A core that is checked is no actor yet, or the next core of one: so its own id stands for it.
        actor = ActorId(core)
        hold = self._holds.get(actor, Kind.CHECK)
        if hold is not None and hold.state == HELD:
            raise Held(f"this core is not loaded: {hold.reason}")
        with self._suspects if hold is not None else nullcontext():
            try:
                with self._marks.running(Mark(actor, What.CHECK)):
                    yield
            finally:
                if hold is not None:
                    self._holds.remove(actor, [Kind.CHECK])
