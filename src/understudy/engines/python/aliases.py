"""Modules of a core by the names that their author gave them, for code that imports by text: `import_module("n")`.

The law: an alias stands for the module of the version whose code is running, so no version ever sees another's. What is
running is told from the call stack, which threads and tasks of a wit have as well.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Final

from understudy.engines.python.importer import Version, running_version, source_path
from understudy.engines.python.resources import read_file

MAX_ALIASES: Final = 1_000  # kept in `sys.modules`; the oldest goes first, and is made again when it is asked for
_OF_IMPORTLIB: Final = frozenset({"__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__"})


class Alias(ModuleType):
    """A module that is another one for each version."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Alias
        return getattr(_target(ModuleType.__getattribute__(self, "__dict__")["__name__"]), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What Python's import writes into a module that it has made stands in the true one already.
        if name not in _OF_IMPORTLIB and not isinstance(value, Alias):
            setattr(_target(ModuleType.__getattribute__(self, "__dict__")["__name__"]), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_target(ModuleType.__getattribute__(self, "__dict__")["__name__"]), name)

    def __dir__(self) -> Iterable[str]:
        return dir(_target(ModuleType.__getattribute__(self, "__dict__")["__name__"]))

    def __repr__(self) -> str:
        return f"<module {ModuleType.__getattribute__(self, '__dict__')['__name__']!r} of the core that runs>"


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the core whose code is running, after everything that is installed."""

    def __init__(self) -> None:
        self._made: dict[str, None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of an alias; None if the code that runs has no such module."""
        version = running_version()
        if version is None or fullname not in version.sources:
            return None
        source = version.sources[fullname]
        return importlib.machinery.ModuleSpec(fullname, self, origin=source.filename, is_package=source.is_package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The alias."""
        self._made[spec.name] = None
        if len(self._made) > MAX_ALIASES:
            oldest = next(iter(self._made))
            del self._made[oldest]
            sys.modules.pop(oldest, None)
        return Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Load what it stands for, so that what is wrong in it is said here."""
        _target(ModuleType.__getattribute__(module, "__dict__")["__name__"])

    def get_data(self, path: str) -> bytes:
        """As the loader of the true module. Raises OSError."""
        return read_file(source_path(path) or path)

    def get_resource_reader(self, fullname: str) -> Any:
        """As the loader of the true module."""
        spec = _target(fullname).__spec__
        return None if spec is None else spec.loader.get_resource_reader(fullname)  # type: ignore[union-attr]


def _target(name: str) -> ModuleType:
    version: Version | None = running_version()
    if version is not None and name in version.sources:
        # Not `version.load`, within which this may well run.
        return importlib.import_module(version.full_name(name))
    # Other code asks, perhaps for an installed module that came later than the alias.
    return _installed(name)


def _installed(name: str) -> ModuleType:
    find: Callable[..., importlib.machinery.ModuleSpec | None] = importlib.machinery.PathFinder.find_spec
    if "." not in name and find(name) is not None:
        sys.modules.pop(name, None)
        return importlib.import_module(name)
    raise AttributeError(f"{name!r} is a module of a core, and no code of that core is running here")


def install_aliases() -> None:
    """Let Python find the modules of cores, after all others: a library's own parts must never be an actor's."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.append(AliasFinder())
