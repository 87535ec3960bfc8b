"""Clues: what no frame shows while code runs, found in its text and in the modules that it leaves behind."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Final

from understudy.engines.python.aliases import Alias
from understudy.engines.python.names import is_of_core
from understudy.judging.wire import Noted
from understudy.kernel.verdict import CLOCK, GLOBAL, HASH

MAX_CLUES: Final = 3  # the first is what to mend; more only to show that there are more
_MAX_COMPARED: Final = 10_000  # entries of a container that is compared with what it was
_ASK: Final = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "random": {"random", "randint", "choice", "randrange", "getrandbits", "uniform"},
    "secrets": {"token_hex", "token_bytes", "token_urlsafe", "randbits", "choice"},
    "os": {"urandom", "getpid"},
}
ADDRESS: Final = "address"  # for the explainer, not for a verdict
# `<odd.Thing object at 0x7f…>`, `<function wit at 0x7f…>`, `<bound method Thing.go of …>`, `<coroutine object wit at 0x7f…>`
_SHOWN: Final = re.compile(r"<(?:[a-z_ ]+ )?([\w.<>]+?)(?: object)?(?: at 0x[0-9a-f]+| of <)")
_HASHED: Final = frozenset({"set", "frozenset", "hash"})
_OURS: Final = __name__.partition(".")[0]
_BUSY: Final = frozenset({"encodings", "asyncio", "threading", "linecache", "re", "logging", "weakref"})

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Modules = Mapping[str, ModuleType]


def handed_on(modules: Modules) -> list[Noted]:
    """Where code hands a function on that asks the clock or chance, as a `default_factory` does: who calls it has no frame.

    `modules` are the author's by their paths.
    """
    found = [
        Noted(f"{path}:{line} hands on {name}, which is called later", CLOCK, sure=False)
        for path, tree in _trees(modules)
        for line, name in _references(tree)
    ]
    return found[:MAX_CLUES]


def hashed(modules: Modules) -> list[Noted]:
    """Where code makes a set or a hash, whose order and value differ from process to process."""
    found = [
        Noted(f"{path}:{node.lineno} makes {'a hash' if _name(node) == 'hash' else 'a set'}", HASH, sure=False)
        for path, tree in _trees(modules)
        for node in ast.walk(tree)
        if isinstance(node, ast.Set | ast.SetComp) or (isinstance(node, ast.Call) and _name(node) in _HASHED)
    ]
    return found[:MAX_CLUES]


def addressed(modules: Modules, texts: Iterable[str]) -> list[Noted]:
    """Where the classes and functions are defined whose objects stand in some texts with their address in memory."""
    names = {found[1].rpartition(".")[2] for text in texts for found in _SHOWN.finditer(text)}
    found = [
        Noted(f"{path}:{node.lineno} defines {_defined(node)}", ADDRESS, sure=False)
        for path, tree in (_trees(modules) if names else ())
        for node in ast.walk(tree)
        if isinstance(node, _Definition) and _defined(node) in names
    ]
    return found[:MAX_CLUES]


class Globals:
    """The globals of modules as they are now."""

    def __init__(self, own: Modules) -> None:
        self._own = {path: (module, _values(module)) for path, module in own.items()}

    def changed(self) -> Iterator[tuple[str, str]]:
        """The path and the name of each one that was changed, or is new, since then."""
        for path, (module, before) in self._own.items():
            now = _values(module)
            for name in {**before, **now}:
                if name not in before or name not in now or not now[name].is_equal(before[name]):
                    yield path, name


class Snapshot:
    """The globals of modules, and what all code in the process shares, as they are now."""

    def __init__(self, own: Modules) -> None:
        self._own = Globals(own)
        self._libraries = [(name, holder, dict(vars(holder))) for name, holder in _holders()]
        self._environment = dict(os.environ)

    def changed(self) -> list[Noted]:
        """What was changed since then: globals of the author's modules, and what is shared."""
        found = [
            Noted(f"{path} changes its global {name}", GLOBAL, sure=False) for path, name in self.changed_globals()
        ]
        found += [Noted(f"the code changes {name}", GLOBAL, sure=False) for name in self.changed_shared()]
        return found[:MAX_CLUES]

    def changed_shared(self) -> list[str]:
        """The names of what was changed that all code in the process shares, as `json.dumps`."""
        found = [
            f"{library}.{name}"
            for library, holder, before in self._libraries
            for name, value in list(vars(holder).items())
            if before.get(name, None) is not value and _is_shown(library, holder, value)
        ]
        found += [
            f"{library}.{name}"
            for library, holder, before in self._libraries
            for name, value in before.items()
            if name not in vars(holder) and _is_shown(library, holder, value)
        ]
        now = dict(os.environ)
        names = sorted(name for name in {*now, *self._environment} if now.get(name) != self._environment.get(name))
        return [*found, *(f"os.environ[{name!r}]" for name in names)]

    def changed_globals(self) -> Iterator[tuple[str, str]]:
        """The path and the name of each global of the author's modules that was changed."""
        return self._own.changed()


def _trees(modules: Modules) -> Iterator[tuple[str, ast.AST]]:
    for path, module in modules.items():
        with contextlib.suppress(OSError, TypeError, SyntaxError, ValueError):
            yield path, ast.parse(inspect.getsource(module))


def _defined(node: _Definition) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _name(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _references(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The lines and names of functions that ask, where they are named and not called."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in _ASK
        for alias in node.names
        if alias.name in _ASK[node.module]
    }
    for node in ast.walk(tree):
        if id(node) in called or not isinstance(node, ast.Name | ast.Attribute):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in imported:
            yield node.lineno, imported[node.id]
        elif isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in _ASK.get(owner, ()):
                yield node.lineno, f"{owner}.{node.attr}"


def _holders() -> Iterator[tuple[str, ModuleType | type]]:
    """The modules of libraries and their classes, by their names."""
    for name, module in sys.modules.copy().items():
        if type(module) is Alias or is_of_core(name) or not isinstance(module, ModuleType):
            continue
        if name.startswith("_") or name.partition(".")[0] == _OURS:
            continue
        yield name, module
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == name:
                yield f"{name}.{value.__qualname__}", value


def _is_shown(library: str, holder: ModuleType | type, value: object) -> bool:
    """Whether a change to this is the author's, and not a library's own: classes and some modules keep their books."""
    if isinstance(holder, type) or library.partition(".")[0] in _BUSY:
        return callable(value) or isinstance(value, staticmethod | classmethod | property)
    return not isinstance(value, ModuleType)


def _values(module: ModuleType) -> dict[str, _State]:
    return {name: _state(value) for name, value in list(vars(module).items()) if not name.startswith("__")}


def _state(value: object) -> _State:
    """What a global holds, as far as it can be compared: containers by their content, objects by their attributes."""
    parts: list[object] = []
    if isinstance(value, dict):
        parts = [part for item in value.items() for part in item]
    elif isinstance(value, list | set | bytearray):
        parts = list(value)
    elif hasattr(value, "__dict__") and not callable(value) and not isinstance(value, ModuleType):
        parts = [part for item in vars(value).items() for part in item]
    return _State(value, parts[:_MAX_COMPARED])


class _State:
    """Compared by what it is made of, which it keeps alive: its number must not be another's meanwhile."""

    def __init__(self, value: object, parts: Sequence[object]) -> None:
        self._kept = [value, *parts]
        self._known = [id(part) for part in self._kept]

    def is_equal(self, other: _State) -> bool:
        return self._known == other._known
