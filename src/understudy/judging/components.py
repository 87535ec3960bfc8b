"""The WebAssembly engine of a judge, which is loaded when the first component comes: most histories have none."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from understudy.actors.contract import Engine, Program
from understudy.actors.query import QueryProgram
from understudy.engines.wasm.compiling import Tell
from understudy.engines.wasm.settings import NAME
from understudy.objects.ids import TreeId
from understudy.store.reader import Reader


class Components:
    """An engine that runs components in this process. They leave nothing behind, and reach only what they are given."""

    def __init__(self, folder: Path | None, tell: Tell) -> None:
        """`folder` and `tell` are those of the engine behind it."""
        self._folder = folder
        self._tell = tell
        self._made: Engine | None = None

    @property
    def name(self) -> str:
        """`wasm`."""
        return NAME

    def load(self, core: TreeId, entry: str, store: Reader) -> Program:
        """The program that a core names."""
        return self._engine.load(core, entry, store)

    def load_query(self, core: TreeId, store: Reader) -> QueryProgram:
        """What answers a core's queries."""
        return self._engine.load_query(core, store)

    def load_update(self, before: TreeId, after: TreeId, store: Reader) -> Program | None:
        """What an update runs."""
        return self._engine.load_update(before, after, store)

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            made = import_module("understudy.engines.wasm.engine").WasmEngine(self._folder, self._tell)
            self._made = cast(Engine, made)
        return self._made
