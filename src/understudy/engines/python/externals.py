"""Code behind `external:`, imported again for each step: a replay sees nothing that an earlier step left in its modules."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from understudy.engines.python.failure import in_package, loading
from understudy.engines.python.installed import is_in_library
from understudy.engines.python.pointer import External
from understudy.engines.python.resolver import Resolver, default_resolver


class FreshResolver(Resolver):
    """Resolves with modules that were forgotten and imported again; `modules` are those that register wits.

    Only modules loaded after this was made are forgotten: those of the author's own, and those of the top-level package
    that a pointer names. Other installed libraries, and what is not Python source, stay.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        super().__init__()
        self._modules = modules
        self._kept = frozenset(sys.modules)
        self._tops = {name.partition(".")[0] for name in modules}
        default_resolver().list_modules(modules)

    def look_up(self, pointer: External) -> Any:
        """What the reference names now."""
        return default_resolver().look_up(pointer)

    def resolve(self, pointer: External, *, node: str) -> Any:
        """What the reference names, out of modules that are new. Raises WitError."""
        if pointer.module is not None:
            self._tops.add(pointer.module.partition(".")[0])
        self.forget_all()
        for name in self._modules:
            with loading(name, in_package(name)):
                importlib.import_module(name)
        return default_resolver().resolve(pointer, node=node)

    def follows(self, top: str) -> bool:
        """True if code of this top-level package was resolved, or registers wits."""
        return top in self._tops

    def forget_all(self) -> None:
        """Forget the author's modules, and all modules of the top-level packages that were resolved so far."""
        for name, module in sys.modules.copy().items():
            if name in self._kept or not _is_source(module):
                continue
            if name.partition(".")[0] in self._tops or not _is_installed(module):
                del sys.modules[name]


def is_authors(module: ModuleType) -> bool:
    """True for a module that is Python source and no installed library."""
    return _is_source(module) and not _is_installed(module)


def _is_source(module: ModuleType) -> bool:
    # The modules of a core have relative file names, and their engine drops them itself.
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and os.path.isabs(file)


def _is_installed(module: ModuleType) -> bool:
    return is_in_library(str(module.__file__))
