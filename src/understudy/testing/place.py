"""Where a backend under test keeps its stores."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from understudy.objects.ids import StepId, node_id
from understudy.store.port import Backend, Kind

_ELSEWHERE = """
import os
from understudy.store.errors import StoreInUse
from understudy.objects.ids import StepId, node_id
from understudy.store.port import Move, Row, Unit
from {module} import {kind}
kind, place = {kind}(), {place!r}
try:
    {what}
except StoreInUse:
    print("in use", flush=True)
os._exit(9)
"""


class Place:
    """Where a backend under test keeps its stores: `open(name)` makes one, or opens again the one that was closed."""

    relative = True
    """True if a store's place counts from the folder where a command is called, unless it says otherwise."""

    examples = 20
    """How many sequences of commits are held against a dictionary; fewer where opening a store is slow."""

    def __init__(self, kind: Kind, root: Path) -> None:
        self.kind = kind
        self._root = root
        self._opened: list[Backend] = []

    @property
    def lasting(self) -> bool:
        """False when nothing is left after `close`."""
        return self.kind.lasting

    def of(self, name: str = "store") -> str:
        """What stands behind the colon of a store's URL."""
        return self.kind.seen_from(self._root, name) if self.lasting else ""

    def open(self, name: str = "store", *, read_only: bool = False) -> Backend:
        """Open a store."""
        backend = self.kind.open(self.of(name), read_only=read_only)
        self._opened.append(backend)
        return backend

    def elsewhere(self, what: str, name: str = "store") -> str:
        """What another process prints that does `what` with `kind` and `place`, and is killed at its end."""
        kind = type(self.kind)
        script = _ELSEWHERE.format(module=kind.__module__, kind=kind.__qualname__, place=self.of(name), what=what)
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout

    def close(self) -> None:
        """Close whatever a test left open."""
        for backend in self._opened:
            backend.close()
        self._opened.clear()


def named_step(text: str) -> StepId:
    """A step id for a text: for tests in which no such step is needed."""
    return StepId(node_id(sha256(text.encode()).digest()))
