"""Modules of a core by names that are no version's: those that stay, and those that their author gave them, for code that
imports by text, `import_module("n")`.

The law: an alias stands for the module of the version whose code is running, so no version ever sees another's
(`versions.py` says which one that is). One by a name that stays is in `sys.modules` as long as a version has the module:
`pickle`, `dataclasses`, `typing` and others look there for what a class's `__module__` names.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from types import ModuleType
from typing import Any, Final

from understudy.engines.python.modules import Source
from understudy.engines.python.names import is_of_core, module_name, name_below, name_in_core, source_path
from understudy.engines.python.resources import read_file
from understudy.engines.python.versions import Loaded, running_version

MAX_ALIASES: Final = (
    1_000  # by other names than those that stay; the oldest goes first, and is made again when asked for
)
_OF_IMPORTLIB: Final = frozenset({"__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__"})


class Alias(ModuleType):
    """A module that is another one for each version."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Alias
        # Python's import asks for these, and only they load the module. All else may come from somebody who looks through
        # the whole of `sys.modules`.
        return getattr(_target(_name_of(self), is_import=name in ("__spec__", "__path__")), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What Python's import writes into a module that it has made stands in the true one already.
        if name not in _OF_IMPORTLIB and not isinstance(value, Alias):
            setattr(_target(_name_of(self)), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_target(_name_of(self)), name)

    def __dir__(self) -> Iterable[str]:
        return dir(_target(_name_of(self)))

    def __repr__(self) -> str:
        return f"<module {_name_of(self)!r} of the core that runs>"


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the core whose code is running, after everything that is installed."""

    def __init__(self) -> None:
        self._made: dict[str, None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of an alias; None if the code that runs has no such module."""
        version, name = running_version(), _in_core(fullname)
        if version is None or name not in version.sources:
            return None
        source = version.sources[name]
        return importlib.machinery.ModuleSpec(fullname, self, origin=source.filename, is_package=source.is_package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The alias."""
        self._made[spec.name] = None
        if len(self._made) > MAX_ALIASES:
            oldest = next(iter(self._made))
            del self._made[oldest]
            remove_alias(oldest)
        return Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Load what it stands for, so that what is wrong in it is said here."""
        _target(_name_of(module), is_import=True)

    def get_data(self, path: str) -> bytes:
        """As the loader of the true module. Raises OSError."""
        return read_file(source_path(path) or path)

    def get_resource_reader(self, fullname: str) -> Any:
        """As the loader of the true module."""
        spec = _target(fullname, is_import=True).__spec__
        return None if spec is None else spec.loader.get_resource_reader(fullname)  # type: ignore[union-attr]


def put_alias(name: str) -> None:
    """Have an alias in `sys.modules`, in place of anything else."""
    if not isinstance(sys.modules.get(name), Alias):
        sys.modules[name] = Alias(name)


def remove_alias(name: str) -> None:
    """Have no alias of this name any more."""
    if isinstance(sys.modules.get(name), Alias):
        sys.modules.pop(name, None)


def check_there(package: str, name: str, sources: Mapping[str, Source]) -> None:
    """Raise ModuleNotFoundError where an alias is all that makes a module seem to be there.

    Another version has left it, which must make no difference to this one: the error is the same as without the alias.
    """
    above = ""
    for part in accumulate(name.split("."), lambda above, last: f"{above}.{last}"):
        full_name = module_name(package, part)
        if part not in sources and isinstance(sys.modules.get(full_name), Alias):
            is_package = above not in sources or sources[above].is_package
            why = "" if is_package else f"; {module_name(package, above)!r} is not a package"
            raise ModuleNotFoundError(f"No module named {full_name!r}{why}", name=full_name)
        above = part


def _name_of(alias: ModuleType) -> str:
    return str(ModuleType.__getattribute__(alias, "__dict__")["__name__"])


def _in_core(name: str) -> str:
    inner = name_in_core(name)
    return name if inner is None else inner


def _target(name: str, *, is_import: bool = False) -> ModuleType:
    version, inner = running_version(), _in_core(name)
    if version is not None and inner in version.sources:
        return _module(version, inner, is_import=is_import or not is_of_core(name))
    if version is not None and is_import and name_below(version.package, name) is not None:
        check_there(version.package, inner, version.sources)
    # Other code asks, perhaps for an installed module that came later than the alias.
    return _installed(name)


def _module(version: Loaded, name: str, *, is_import: bool) -> ModuleType:
    full_name = version.full_name(name)
    if is_import or full_name in sys.modules:
        # Not `version.load`, within which this may well run.
        return importlib.import_module(full_name)
    raise AttributeError(f"the module {name!r} of the core is not loaded")


def _installed(name: str) -> ModuleType:
    find: Callable[..., importlib.machinery.ModuleSpec | None] = importlib.machinery.PathFinder.find_spec
    if "." not in name and not is_of_core(name) and find(name) is not None:
        sys.modules.pop(name, None)
        return importlib.import_module(name)
    raise AttributeError(f"{name!r} is a module of a core, and no code of that core is running here")


def install_aliases() -> None:
    """Let Python find the modules of cores, after all others: a library's own parts must never be an actor's."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.append(AliasFinder())
