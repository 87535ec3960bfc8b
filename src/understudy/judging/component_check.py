"""The hash of a component in a step, held against the component in its core: nothing is run for it."""

from __future__ import annotations

from hashlib import sha256

from understudy.actors.errors import WitError
from understudy.engines.wasm.pointer import Pointers
from understudy.engines.wasm.settings import NAME
from understudy.kernel.compare import JSON
from understudy.kernel.core import runtime_of
from understudy.kernel.replay import Record
from understudy.kernel.retry import read_order
from understudy.kernel.verdict import INTEGRITY, MISMATCH, Problem
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.objects.mailbox import UPDATE
from understudy.store.reader import Reader


class ComponentCheck:
    """Checks `component-hash`; remembers the last component that it hashed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pointers = Pointers()
        self._last: tuple[Id, str] | None = None

    def judge(self, record: Record) -> Problem | None:
        """What is wrong with the hash that a step has, or lacks. Raises what reading the component raises."""
        step, born = record.step, record.before.step is None
        message = record.consumed[0].message
        if not born and (message.lane != UPDATE or read_order(self._reader, message) is not None):
            return None if step.component_hash is None else _wrong(step.component_hash, None)
        here = self._component(step.core)
        before = None if born else self._component(record.before.core)
        expected = None if here is None or here == before else self._hash(here)
        if step.component_hash == expected or (step.component_hash is None and step.outcome is not None):
            # A step that did not go well may have none: its component could not be loaded, or was refused.
            return None
        return _wrong(step.component_hash, expected)

    def _component(self, core: TreeId) -> Id | None:
        try:
            if runtime_of(self._reader, core) != NAME:
                return None
            return self._pointers.component_id(core, self._reader)
        except (WitError, ObjectError, UnicodeDecodeError):
            # Nor has a core that is no tree, or whose `/wit` is no text: such a genesis is refused.
            return None

    def _hash(self, id: Id) -> str:
        if self._last is None or self._last[0] != id:
            digest = sha256()
            for piece in self._reader.open_blob(id):
                digest.update(piece)
            self._last = id, digest.hexdigest()
        return self._last[1]


def _wrong(recorded: JSON, expected: JSON) -> Problem:
    reason = "the step's component-hash is not that of the component in its core"
    if expected is None:
        reason = "the step has a component-hash, and brought no component"
    return Problem(
        verdict=MISMATCH,
        cause=INTEGRITY,
        path="data.component-hash",
        recorded=recorded,
        replayed=expected,
        reason=reason,
    )
