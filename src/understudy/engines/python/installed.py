"""Which Python files belong to the standard library or an installed one, and which are the author's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from understudy.engines.python.names import is_of_core

_INSTALLED: Final = [
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
]
_OURS: Final = __name__.partition(".")[0]


def is_authors_file(file: str) -> bool:
    """True for a file of Python source that belongs to no installed library."""
    return file.endswith(".py") and os.path.isabs(file) and not is_in_library(file)


@cache
def is_in_library(file: str) -> bool:
    """True for a file of the standard library or an installed one."""
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in _INSTALLED)


def is_authors_module(name: str) -> bool | None:
    """True for a module that belongs to no library and no core, loaded or not; None if there is no such module. Imports nothing."""
    if name.partition(".")[0] in (_OURS, *sys.stdlib_module_names) or is_of_core(name):
        return False
    module = sys.modules.get(name)
    if module is None:
        spec = find_spec(name)
        file = None if spec is None else spec.origin
        return None if spec is None else file is not None and not is_in_library(file)
    file = getattr(module, "__file__", None)
    # One without a file was made by hand in this process.
    return not isinstance(file, str) or not is_in_library(file)


def find_spec(name: str) -> ModuleSpec | None:
    """A module's spec by the file system alone: Python's own search would import the packages above it."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:end]), path)
        except (ImportError, ValueError, OSError):
            return None
        if spec is None or (spec.submodule_search_locations is None and end < len(parts)):
            return None
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    return spec
