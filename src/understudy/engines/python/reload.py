"""Reloading of modules behind `external:`, atomically: all of the author's modules are new, or the old ones stay."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from understudy.engines.python.externals import is_authors
from understudy.engines.python.failure import in_package, loading
from understudy.engines.python.resolver import default_resolver

_OURS: Final = __name__.partition(".")[0]


class Reloader:
    """Knows the author's modules: Python source that is not installed and was loaded after this was made.

    `modules` are those that register wits. Make it before the first of them is imported.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = modules
        self._kept = frozenset(sys.modules)
        # A .pyc file is matched to its source by size and second, so a second edit within one second would be missed.
        sys.dont_write_bytecode = True

    def files(self) -> list[Path]:
        """The files of the author's modules that are loaded now."""
        return sorted(Path(str(module.__file__)).resolve() for module in self._loaded().values())

    def reload(self) -> None:
        """Forget the author's modules and import them again. Raises WitError; then the old ones are as they were."""
        old = self._loaded()
        _remove(old)
        registered = default_resolver().registered()
        importlib.invalidate_caches()
        linecache.checkcache()
        for name in dict.fromkeys([*self._modules, *old]):
            try:
                with loading(name, in_package(name)):
                    importlib.import_module(name)
            except BaseException:
                _remove(self._loaded())
                sys.modules.update(old)
                default_resolver().restore(registered)
                raise

    def _loaded(self) -> dict[str, ModuleType]:
        # A copy of the table, in one go: another thread may import meanwhile, and the collector drop modules of cores.
        return {name: module for name, module in sys.modules.copy().items() if self._follows(name, module)}

    def _follows(self, name: str, module: ModuleType) -> bool:
        return name not in self._kept and name.partition(".")[0] != _OURS and is_authors(module)


def _remove(modules: Iterable[str]) -> None:
    for name in modules:
        sys.modules.pop(name, None)
