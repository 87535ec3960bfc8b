"""The importer: `.py` nodes of a core as modules, in one namespace per version of the code.

The law: a module's name begins with the id of the code it belongs to, so versions live side by side and each has one
copy of a module; what nobody uses any more leaves `sys.modules` and `linecache`.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import re
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextvars import Context
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

from understudy.engines.python.modules import Code, Source
from understudy.engines.python.resources import Resources, read_file
from understudy.objects import ids
from understudy.objects.ids import Id

PREFIX: Final = "understudy_core_"
_FILE = re.compile(r"core-[a-z2-7]{10}/(.+)\Z", re.DOTALL)
_OUR_NAMES = re.compile(r"\bunderstudy_core_\w+\.?|\bcore-[a-z2-7]{10}/")


class Version:
    """The modules of one version of the code, in a namespace of their own.

    While it is held they can be imported; when it is dropped they are forgotten. Making another one of the same code
    gives fresh modules, and those of the older one can no longer be found by name. `problems` says what is broken in
    modules that the wit does not need, once they were tried.
    """

    def __init__(self, id: Id, path: str, code: Code) -> None:
        self.prefix = _prefix(id, path)
        self.code = code
        self.sources = sources = code.sources
        self.problems: Sequence[str] | None = None
        # What the modules set for their thread (the precision of decimals) holds in each step, wherever that runs.
        self.context = Context()
        self.size = sum(len(source.data or b"") for source in sources.values())
        tops = frozenset(name.partition(".")[0] for name in sources if name)
        self.builtins = {**vars(builtins), "__import__": _import_within(self.prefix, tops)}
        names = [self.full_name(name) for name in sources]
        _forget(names, [], None)
        _living[self.prefix] = self
        files = [source.filename for source in sources.values()]
        weakref.finalize(self, _forget, names, files, self.builtins).atexit = False

    def is_of(self, id: Id, path: str) -> bool:
        """True if these are the modules of the code with this id at this path."""
        return self.prefix == _prefix(id, path)

    @property
    def names(self) -> list[str]:
        """The modules that have code, sorted."""
        return sorted(name for name, source in self.sources.items() if source.data is not None)

    def full_name(self, name: str) -> str:
        """The name of a module in `sys.modules`."""
        return f"{self.prefix}.{name}" if name else self.prefix

    def load(self, name: str) -> ModuleType:
        """Import a module and what it imports. Raises whatever its code raises."""
        return self.context.run(importlib.import_module, self.full_name(name))


class Loader(importlib.abc.InspectLoader):
    """Runs one module's source. It does not hold the version, which its modules would then never let go."""

    def __init__(self, source: Source, own_builtins: dict[str, Any]) -> None:
        self._source = source
        self._builtins = own_builtins

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Nothing special: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the source in the module's namespace."""
        module.__dict__["__builtins__"] = self._builtins
        if self._source.data is not None:
            # Set here and not through the spec, which would also invent a place for compiled code.
            module.__file__ = self._source.filename
            exec(self._source.code(), module.__dict__)

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
    """Finds the modules of living versions, by the name that begins with the version."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's spec, None for every name that is not ours."""
        if not fullname.startswith(PREFIX):
            return None
        prefix, _, name = fullname.partition(".")
        version = _living.get(prefix)
        source = None if version is None else version.sources.get(name)
        if version is None or source is None:
            return None
        loader = Loader(source, version.builtins)
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=source.filename, is_package=source.is_package)
        return spec


def running_version() -> Version | None:
    """The version whose code is running: that of the nearest caller that is code of a core."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if isinstance(name, str) and name.startswith(PREFIX):
            return _living.get(name.partition(".")[0])
        frame = frame.f_back
    return None


def file_name(version: Id, path: str) -> str:
    """The file name of a node's code: it names the version, so that the lines of two versions are not confused."""
    return f"core-{ids.short(version)}/{path}"


def source_path(filename: str) -> str | None:
    """The path in the core of a file name that our importer gave, None for other file names."""
    found = _FILE.match(filename)
    return found[1] if found else None


def clean(text: str) -> str:
    """The text without the versions that our importer puts into names, and as well-formed Unicode."""
    return _OUR_NAMES.sub("", text).encode("utf-8", "replace").decode()


def _prefix(id: Id, path: str) -> str:
    return f"{PREFIX}{id}_{path.encode().hex()}" if path else f"{PREFIX}{id}"


def _import_within(prefix: str, tops: frozenset[str]) -> Any:
    original = builtins.__import__

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in tops:
            return original(name, globals, locals, fromlist or (), level)
        if fromlist:
            return original(f"{prefix}.{name}", globals, locals, fromlist, 0)
        original(f"{prefix}.{name}")
        return sys.modules[f"{prefix}.{top}"]

    return import_module


def _forget(names: Sequence[str], files: Sequence[str], own_builtins: dict[str, Any] | None) -> None:
    """Drop modules and source lines; with `own_builtins`, only the modules that run on them."""
    for name in names:
        # Code may have put anything in its own place, None too.
        module = sys.modules.get(name)
        if own_builtins in (None, getattr(module, "__dict__", {}).get("__builtins__", own_builtins)):
            sys.modules.pop(name, None)
    for file in files:
        linecache.cache.pop(file, None)


_living: weakref.WeakValueDictionary[str, Version] = weakref.WeakValueDictionary()
sys.meta_path.insert(0, Finder())
