"""Flows whose code is kept in the process between steps, so that a long flow need not be run again for each answer.

The law: what is kept is found by the actor and the tree of the flow's record alone, so it is what a re-run would give.
"""

from __future__ import annotations

from typing import Final

from understudy.objects.ids import ActorId, TreeId
from understudy.wit.flows.flow import Flow

# Some KiB each, for the code of one version. The flows beyond are run again at their next answer.
MAX_KEPT: Final = 1_000
# A flow is run again at each of its first answers: one whose code is not the same each time is found out at its second
# await, and not at the next restart.
ALWAYS_AGAIN: Final = 16


class Kept:
    """The flows of one version of the code, those used longest ago first."""

    def __init__(self) -> None:
        self._flows: dict[tuple[ActorId, TreeId], Flow] = {}

    def take(self, actor: ActorId, tree: TreeId) -> Flow | None:
        """The flow whose record is this tree. It is nobody else's from here on."""
        return self._flows.pop((actor, tree), None)

    def keep(self, actor: ActorId, flow: Flow) -> None:
        """Keep a flow as it is now, if that saves anything."""
        tree = flow.record.tree
        if tree is None or flow.asked < ALWAYS_AGAIN:
            flow.discard()
            return
        self._flows[actor, tree] = flow
        while len(self._flows) > MAX_KEPT:
            try:
                key = next(iter(self._flows))
            except (StopIteration, RuntimeError):
                # Another thread, which steps another actor, was there first.
                return
            oldest = self._flows.pop(key, None)
            if oldest is not None:
                oldest.discard()

    def let_go(self) -> None:
        """Keep none of them any more."""
        for flow in self._flows.values():
            flow.discard()
        self._flows.clear()
