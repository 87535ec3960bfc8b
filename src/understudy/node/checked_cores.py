"""Cores that were checked when they came in: how deep a large core is nested is read once, and not again at its birth."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

from understudy.objects.ids import TreeId

MAX_CORES: Final = 4096  # remembered, the newest: a core is born soon after it was checked, or never


class CheckedCores:
    """The ids of cores whose nesting is good. An id names all that is in a core, so this never changes. From any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[TreeId, None] = OrderedDict()
        self._lock = Lock()

    def add(self, core: TreeId) -> None:
        """A core was read as a whole, and is good."""
        with self._lock:
            self._known[core] = None
            if len(self._known) > MAX_CORES:
                self._known.popitem(last=False)

    def __contains__(self, core: object) -> bool:
        return core in self._known
