"""The importer: `.py` nodes of a core as modules, in one namespace per version of the code.

The law: each living version has one copy of a module, below a package of its own in `sys.modules`, so versions live side
by side; to code the module has a name that stays (`names.py`). What nobody uses any more leaves `sys.modules` and
`linecache`.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from functools import partial
from itertools import accumulate, count
from types import CodeType, ModuleType
from typing import Any, Final

from understudy.engines.python.aliases import Alias, check_there, put_alias, remove_alias
from understudy.engines.python.modules import Code, Source
from understudy.engines.python.names import CORE, PREFIX, former_package, module_name, name_below, source_path
from understudy.engines.python.resources import Resources, read_file
from understudy.engines.python.versions import enter, leave, version_with
from understudy.engines.room import FIRST_IMPORT, at_depth, depth_here, importing, module_depth
from understudy.objects.ids import Id


class Version:
    """The modules of one version of the code, in a namespace of their own.

    While it is held they can be imported; when it is dropped they are forgotten. Another one of the same code has modules
    of its own. `problems` says what is broken in modules that the wit does not need, once they were tried.
    """

    def __init__(self, id: Id, path: str, code: Code, *, is_first: bool = False) -> None:
        """`is_first`: the modules have the names that they had when steps were `python/1`."""
        self.prefix = f"{PREFIX}{next(_numbers)}"
        self.package = former_package(id, path) if is_first else CORE
        self.code = code
        self.sources = sources = code.sources
        self.problems: Sequence[str] | None = None
        # What modules set for their thread at import (such as the precision of decimals) holds in each step, on any thread.
        self.context = Context()
        self.limit: int | None = None  # of recursion, if the modules set one
        self.size = sum(len(source.data or b"") for source in sources.values())
        self._of = (id, path)
        own = import_within(self.prefix, self.package, sources)
        self.builtins = {**vars(builtins), "__import__": own}
        names = list(sources)
        aliases = [module_name(self.package, name) for name in sources]
        enter(self, lambda: _put_aliases(aliases))
        files = [source.filename for source in sources.values()]
        weakref.finalize(self, _forget, self.prefix, self.package, names, files).atexit = False

    def is_of(self, id: Id, path: str) -> bool:
        """True if these are the modules of the code with this id at this path."""
        return self._of == (id, path)

    @property
    def names(self) -> list[str]:
        """The modules that have code, sorted."""
        return sorted(name for name, source in self.sources.items() if source.data is not None)

    def full_name(self, name: str) -> str:
        """The key of a module in `sys.modules`."""
        return module_name(self.prefix, name)

    def load(self, name: str) -> ModuleType:
        """Import a module and what it imports. Raises whatever its code raises."""
        return self.context.run(import_module, self.prefix, name, depth=FIRST_IMPORT)


class Loader(importlib.abc.InspectLoader):
    """Runs one module's source. It keeps no reference to the version, which its modules would otherwise keep alive."""

    def __init__(self, name: str, source: Source, own_builtins: dict[str, Any]) -> None:
        self._name = name  # that the module gives itself
        self._source = source
        self._builtins = own_builtins

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Nothing special: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the source in the module's namespace, under the name that stays."""
        full_name, name = module.__name__, self._name
        spec = importlib.machinery.ModuleSpec(
            name, self, origin=self._source.filename, is_package=self._source.is_package
        )
        # This tells another thread that imports the module to wait.
        spec._initializing = True  # type: ignore[attr-defined]
        module.__spec__ = spec
        module.__name__ = name
        module.__package__ = spec.parent
        module.__dict__["__builtins__"] = self._builtins
        try:
            if self._source.data is not None:
                # Set here and not through the spec, which would also set a path for compiled code.
                module.__file__ = self._source.filename
                with module_depth() as depth:
                    at_depth(depth, exec, self._source.code(), module.__dict__)
        finally:
            spec._initializing = False  # type: ignore[attr-defined]
            _take_over(full_name, name)

    def get_source(self, fullname: str) -> str:
        """The text, which `linecache` asks for when there is a traceback to show."""
        data = self._source.data or b""
        try:
            return importlib.util.decode_source(data)
        except (UnicodeDecodeError, SyntaxError):
            # Python takes some bytes in comments that are not in the file's encoding.
            return data.decode("utf-8", "replace")

    def get_code(self, fullname: str) -> CodeType:
        """The compiled source."""
        return self._source.code()

    def get_data(self, path: str) -> bytes:
        """A file beside a module, as `pkgutil.get_data` asks for it: by the file name that modules have. Raises OSError."""
        return read_file(source_path(path) or path)

    def get_resource_reader(self, fullname: str) -> Resources:
        """The files beside a module, for `importlib.resources`."""
        path = source_path(self._source.filename) or ""
        return Resources(path.rpartition("/")[0] if self._source.data is not None else path)

    def is_package(self, fullname: str) -> bool:
        """True for a package and for a folder without `__init__.py`."""
        return self._source.is_package


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of living versions, by the keys that they have in `sys.modules`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's spec, None for every name that is not ours."""
        if not fullname.startswith(PREFIX):
            return None
        prefix, _, name = fullname.partition(".")
        version = version_with(prefix)
        source = None if version is None else version.sources.get(name)
        if version is None or source is None:
            return None
        loader = Loader(module_name(version.package, name), source, version.builtins)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=source.filename, is_package=source.is_package)


def import_module(prefix: str, name: str, depth: int | None = None) -> ModuleType:
    """Import a module below a package. Raises whatever its code raises.

    `depth` is where it is asked for: where this is called, if nothing is said. Its packages are imported before it, as
    Python does, but each from this depth: Python would go deeper for each, and less deep once its own code is warm.
    """
    with importing(depth_here() if depth is None else depth):
        for above in ("", *accumulate(name.split(".")[:-1], "{}.{}".format)):
            full_name = module_name(prefix, above)
            if full_name not in sys.modules:
                importlib.import_module(full_name)
        return importlib.import_module(module_name(prefix, name))


class _Partial:
    """A package whose submodules are still being loaded in a circle, for `from . import sub`: Python itself would look
    for them in `sys.modules`, where they stand under other names.
    """

    def __init__(self, package: ModuleType, full_name: str) -> None:
        self._package = package
        self._full_name = full_name

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._package, name)
        except AttributeError:
            module = sys.modules.get(f"{self._full_name}.{name}")
            if module is None:
                raise
            return module


def import_within(prefix: str, package: str, sources: Mapping[str, Source]) -> Any:
    """The `__import__` of one version, which has these modules. It does not hold the version."""
    original = builtins.__import__

    below = _submodules(sources)

    def import_name(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        inner = name_below(package, _absolute(name, globals, level) if level else name)
        if inner is None and not level and name.partition(".")[0] in sources:
            inner = name
        if inner is None:
            return original(name, globals, locals, fromlist or (), level)
        if inner not in sources:
            # A module that code itself put into `sys.modules` below its own name, or one that does not exist.
            above = inner.rpartition(".")[0]
            if above in sources:
                import_module(prefix, above)
            check_there(package, inner, sources)
            return original(module_name(package, inner), globals, locals, fromlist or (), 0)
        module = import_module(prefix, inner)
        if name == module_name(package, inner):
            # The C pickler calls this, and then looks there.
            put_alias(name)
        if fromlist:
            return _with_submodules(
                module, module_name(prefix, inner), fromlist, below.get(inner, {}), partial(import_module, prefix)
            )
        # `import a.b` binds `a`, the part before the first dot.
        return import_module(prefix, inner[: max(0, len(inner) - len(name) + len(name.partition(".")[0]))])

    return import_name


def _with_submodules(
    module: ModuleType,
    full_name: str,
    fromlist: Sequence[str],
    own: Mapping[str, str],
    load: Callable[[str], ModuleType],
) -> Any:
    """Import those submodules that are asked for by name."""
    asked = [*fromlist, *getattr(module, "__all__", ())] if "*" in fromlist else fromlist
    is_partial = False
    for name in asked:
        if name in own and not hasattr(module, name):
            load(own[name])
            is_partial = is_partial or not hasattr(module, name)
    return _Partial(module, full_name) if is_partial and "*" not in fromlist else module


def _submodules(names: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """The submodules of each package, by the last part of their names."""
    below: dict[str, dict[str, str]] = {}
    for name in filter(None, names):
        package, _, last = name.rpartition(".")
        below.setdefault(package, {})[last] = name
    return below


def _absolute(name: str, globals: Mapping[str, object] | None, level: int) -> str:
    """What a relative import means; nothing where Python itself is to say what is wrong."""
    package = (globals or {}).get("__package__")
    if not isinstance(package, str) or package.count(".") < level - 1:
        return ""
    return importlib.util.resolve_name("." * level + name, package) if package else ""


def _put_aliases(names: Sequence[str]) -> None:
    for name in names:
        put_alias(name)


def _take_over(full_name: str, name: str) -> None:
    """Code may have put anything in its own place, None too: that is the module of its version then, and no other's."""
    module = sys.modules.get(name, None)
    if not isinstance(module, Alias) and name in sys.modules:
        sys.modules[full_name] = module  # type: ignore[assignment]
    put_alias(name)


def _forget(prefix: str, package: str, names: Sequence[str], files: Sequence[str]) -> None:
    """Drop modules, source lines, and the names that no other version has."""
    for name in names:
        sys.modules.pop(module_name(prefix, name), None)
    for file in files:
        linecache.cache.pop(file, None)
    leave(package, names, lambda name: remove_alias(module_name(package, name)))


_numbers: Final = count(1)
sys.meta_path.insert(0, Finder())
