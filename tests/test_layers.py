"""The house of docs/ARCHITECTURE.md, kept by reading every import under src/understudy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "understudy"

# Each room, and the rooms it may import from besides itself.
BELOW = {
    "objects": frozenset[str](),
    "store": frozenset({"objects"}),
    "actors": frozenset({"store", "objects"}),
    "wit": frozenset({"actors", "store", "objects"}),
    "kernel": frozenset({"actors", "store", "objects"}),
    "engines": frozenset({"wit", "actors", "store", "objects"}),
    "capabilities": frozenset({"actors", "store", "objects"}),
    "judging": frozenset({"kernel", "engines", "wit", "actors", "store", "objects"}),
    "node": frozenset({"judging", "kernel", "engines", "capabilities", "wit", "actors", "store", "objects"}),
    "web": frozenset({"node", "judging", "kernel", "engines", "capabilities", "wit", "actors", "store", "objects"}),
    "cli": frozenset(
        {"web", "node", "judging", "kernel", "engines", "capabilities", "wit", "actors", "store", "objects"}
    ),
    "testing": frozenset({"node", "judging", "kernel", "engines", "wit", "actors", "store", "objects"}),
}
TOP = "understudy"  # src/understudy/__init__.py: what an author of wits imports
TOP_MAY_IMPORT = frozenset({"wit", "actors", "objects"})
# To import the package itself is to import the wit room, which it gives out again.
MAY_IMPORT_TOP = frozenset(room for room, below in BELOW.items() if "wit" in below)

_WORLD = frozenset({"asyncio", "time", "random", "secrets", "threading", "multiprocessing", "concurrent", "subprocess"})
_DISK = frozenset(
    {"os", "io", "pathlib", "tempfile", "shutil", "socket", "ssl", "http", "urllib", "select", "rocksdict"}
)
# Modules, with all below them, that a room must not import.
FORBIDDEN = {
    "objects": _WORLD | _DISK,
    "store": frozenset({"asyncio"}),
    "actors": _WORLD | _DISK,
    "kernel": _WORLD | _DISK | {f"understudy.store.{backend}" for backend in ("memory", "rocksdb", "postgres", "open")},
}

# What a node is made of. Web and command line ask the node, so that its parts may change.
FACES = ("web", "cli")
PARTS_OF_A_NODE = frozenset({"lookup", "backend"})

# (file, module): why this import has to wait until its function is called.
INSIDE_FUNCTIONS: dict[tuple[str, str], str] = {}


def violations(room: str, file: str, source: str) -> list[str]:
    """What is wrong with the imports of one file, as sentences."""
    tree = ast.parse(source)
    found = []
    for statement in _imports(tree):
        for module in _modules(statement):
            found += [f"{file}:{statement.lineno}: {problem}" for problem in _problems(room, module)]
        if isinstance(statement, ast.ImportFrom) and any(name.name == "*" for name in statement.names):
            found.append(f"{file}:{statement.lineno}: a star import")
        if isinstance(statement, ast.ImportFrom) and statement.level:
            found.append(f"{file}:{statement.lineno}: a relative import")
    for statement in _inside_functions(tree):
        if not all((file, module) in INSIDE_FUNCTIONS for module in _modules(statement)):
            found.append(f"{file}:{statement.lineno}: an import inside a function")
    return found


def reaches_through(file: str, source: str) -> list[str]:
    """Where a face of the node goes past the node's own methods, as sentences.

    A reader may be handed on, since it can't write; what is read through `node.reader` on the way is a method of the node.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in PARTS_OF_A_NODE:
            found.append(f"{file}:{node.lineno}: .{node.attr} is a part of the node; ask the node itself")
        if isinstance(node.value, ast.Attribute) and node.value.attr == "reader":
            found.append(f"{file}:{node.lineno}: .reader.{node.attr} reaches through; ask the node itself")
        if node.attr.startswith("_") and isinstance(node.value, ast.Name) and node.value.id in ("node", "look"):
            found.append(f"{file}:{node.lineno}: .{node.attr} is private")
    return found


def _problems(room: str, module: str) -> Iterator[str]:
    for forbidden in sorted(FORBIDDEN.get(room, ())):
        if module == forbidden or module.startswith(forbidden + "."):
            yield f"{room} must not import {forbidden}"
    first, *rest = module.split(".")
    if first != TOP:
        return
    target = rest[0] if rest and rest[0] in BELOW else TOP
    if target == room:
        return
    if room == TOP:
        allowed = target in TOP_MAY_IMPORT
    elif target == TOP:
        allowed = room in MAY_IMPORT_TOP
    else:
        allowed = target in BELOW[room]
    if not allowed:
        yield f"{room} must not import {target}"


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def _modules(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """Every module that a statement may load: `from a.b import c` may mean the module a.b.c."""
    if isinstance(statement, ast.Import):
        return [name.name for name in statement.names]
    return [f"{statement.module}.{name.name}" for name in statement.names]


def _inside_functions(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in node.body:
                yield from _imports_but_for_types(inner)


def _imports_but_for_types(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        return
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for child in ast.iter_child_nodes(node):
            yield from _imports_but_for_types(child)


def _room_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    if relative.name == "__main__.py":
        return "cli"  # the command, by another way
    return relative.parts[0] if len(relative.parts) > 1 else TOP


def test_every_import_points_down() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        found += violations(_room_of(path), name, path.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


def test_web_and_cli_ask_the_node_and_never_its_parts() -> None:
    found = []
    for path in sorted(path for room in FACES for path in (SOURCE / room).rglob("*.py")):
        found += reaches_through(path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "def f(node):\n    return node.lookup.newest(a)",
        "node_of(request).lookup",
        "self.node.backend.close()",
        "node_of(request).reader.step(id)",
        "access.node.reader.blob(id)",
        "node._runner",
    ],
)
def test_reaching_through_is_found(source: str) -> None:
    assert len(reaches_through("made/up.py", source)) == 1


def test_a_reader_may_be_handed_on() -> None:
    assert (
        reaches_through("made/up.py", "show(node.reader, id)\nreader = node.reader\nreader.step(id)\nself._node") == []
    )


def test_every_folder_is_a_room_of_the_house() -> None:
    folders = {path.parent.relative_to(SOURCE).parts[0] for path in SOURCE.glob("*/**/*.py")}
    assert folders <= set(BELOW)


def test_no_room_is_above_itself() -> None:
    TopologicalSorter(BELOW).prepare()


def test_every_allowed_late_import_still_exists() -> None:
    used = set()
    for path in SOURCE.rglob("*.py"):
        for statement in _inside_functions(ast.parse(path.read_text(encoding="utf-8"))):
            used |= {(path.relative_to(SOURCE).as_posix(), module) for module in _modules(statement)}
    assert set(INSIDE_FUNCTIONS) <= used


@pytest.mark.parametrize(
    ("room", "source", "problem"),
    [
        ("objects", "from understudy.store.port import Unit", "objects must not import store"),
        ("objects", "import os.path", "objects must not import os"),
        ("store", "import understudy.kernel.deliver", "store must not import kernel"),
        ("kernel", "from understudy.store.rocksdb import backend", "kernel must not import understudy.store.rocksdb"),
        ("kernel", "from understudy.store.memory import MemoryBackend", "understudy.store.memory"),
        ("kernel", "from understudy.engines.python import engine", "kernel must not import engines"),
        ("kernel", "from time import time_ns", "kernel must not import time"),
        ("kernel", "def f():\n    import random", "kernel must not import random"),
        ("kernel", "from understudy import wit", "kernel must not import wit"),
        ("kernel", "from understudy import Wit", "kernel must not import understudy"),
        ("wit", "from understudy.node.node import Node", "wit must not import node"),
        ("capabilities", "from understudy.kernel import replay", "capabilities must not import kernel"),
        ("web", "from understudy.cli.main import app", "web must not import cli"),
        ("node", "from understudy.testing import faults", "node must not import testing"),
        ("understudy", "from understudy.node.node import Node", "understudy must not import node"),
        ("cli", "from typing import *", "a star import"),
        ("cli", "from . import main", "a relative import"),
        ("cli", "def f():\n    if True:\n        import json", "an import inside a function"),
        ("cli", "class A:\n    async def f(self):\n        import json", "an import inside a function"),
    ],
)
def test_a_forbidden_import_is_found(room: str, source: str, problem: str) -> None:
    assert any(problem in found for found in violations(room, "made/up.py", source))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("kernel", "from understudy.store.reader import Reader\nfrom understudy.kernel.log import Log"),
        ("actors", "from understudy.store.reader import Reader"),
        ("engines", "from understudy import Wit"),
        ("understudy", "from understudy.wit.wit import Wit as Wit"),
        ("node", "import asyncio, time\nfrom understudy.store.open import open_store"),
        ("kernel", "def f():\n    if TYPE_CHECKING:\n        from understudy.objects.ids import Id"),
        ("cli", "from understudy.web.app import operations\nimport timeit"),
    ],
)
def test_an_import_that_points_down_is_no_violation(room: str, source: str) -> None:
    assert violations(room, "made/up.py", source) == []
