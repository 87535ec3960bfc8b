"""The source of code behind `external:`: which modules it is made of, and a digest that changes when one of them does.

The law: the digest depends on the files alone, not on what else was imported before in this process.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from understudy.engines.python.installed import find_spec, is_authors_file
from understudy.wit.wit import Wit

NO_SOURCE: Final = "none"
MAX_MODULES: Final = 5_000  # as many as a core may have
_OURS: Final = __name__.partition(".")[0]


def homes_of(function: Any) -> list[str]:
    """The names of the modules that define a function, or the handlers of a Wit."""
    functions = function.functions if isinstance(function, Wit) else [function]
    names = (str(getattr(inspect.unwrap(each), "__module__", None) or "") for each in functions)
    return sorted({name for name in names if name})


def digest_of_module(name: str) -> str:
    """The sha256 of one module's source, in hexadecimal; "none" if there is no source. What `python/1` writes."""
    data = _source(name)
    return NO_SOURCE if data is None else sha256(data).hexdigest()


def digest_of_modules(names: Iterable[str]) -> str:
    """The sha256 of the source of modules and of all that they import, as far as it is no installed library.

    Over lines `NAME SHA256`, sorted. "none" if one of the modules named has no source.
    """
    found: dict[str, bytes] = {}
    left = list(names)
    for name in left:
        source = _source(name)
        if source is None:
            return NO_SOURCE
        found[name] = source
    if not found:
        return NO_SOURCE
    while left and len(found) < MAX_MODULES:
        name = left.pop()
        for other in _imported(name, found[name]):
            source = b"" if other in found else _authors_source(other)
            if source:
                found[other] = source
                left.append(other)
    lines = (f"{name} {sha256(data).hexdigest()}\n" for name, data in sorted(found.items()))
    return sha256("".join(lines).encode()).hexdigest()


def _imported(name: str, source: bytes) -> Iterator[str]:
    """What a module's statements may import, wherever in it they stand: modules, and names that may be modules."""
    try:
        statements = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from _with_parents(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            base = _base(name, statement)
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}" for alias in statement.names if base and alias.name != "*")
    yield from _with_parents(name)


def _base(name: str, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    package = name if _is_package(name) else name.rpartition(".")[0]
    for _ in range(statement.level - 1):
        package = package.rpartition(".")[0]
    return ".".join(part for part in (package, statement.module) if part)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)) if parts[end])


def _is_package(name: str) -> bool:
    module = sys.modules.get(name)
    if module is not None:
        return hasattr(module, "__path__")
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _authors_source(name: str) -> bytes | None:
    if name.partition(".")[0] in (_OURS, *sys.stdlib_module_names):
        return None
    file = _file(name)
    return Path(file).read_bytes() if file is not None and is_authors_file(file) else None


def _source(name: str) -> bytes | None:
    file = _file(name)
    if file is not None and file.endswith(".py") and Path(file).is_file():
        return Path(file).read_bytes()
    try:
        return inspect.getsource(sys.modules[name]).encode()
    except (KeyError, OSError, TypeError):
        return None


def _file(name: str) -> str | None:
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
        return file if isinstance(file, str) else None
    spec = find_spec(name)
    return None if spec is None else spec.origin
