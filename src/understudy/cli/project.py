"""A project: a folder with `understudy.toml`, which names actors and the folders that hold their cores."""

from __future__ import annotations

import importlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.cli.errors import CommandError, WrongUse
from understudy.engines.python.failure import in_package, loading
from understudy.engines.python.resolver import add_wit_path, list_modules
from understudy.objects.errors import ObjectError
from understudy.objects.names import check_name, split_path

PROJECT_FILE: Final = "understudy.toml"
_LEFT_OUT: Final = ("__pycache__",)
_LEFT_OUT_ENDS: Final = (".pyc", ".pyo", "~", ".swp", ".tmp")


class NodePart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[node]`: the store, where to listen, and whether asking and sending need no token on loopback."""

    store: str | None = None
    listen: str | None = None
    open: bool | None = None


class PythonPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[python]`: where `external:` finds modules, and which to import at the start, so that they can register wits."""

    modules: list[str] = []
    paths: list[str] = []


class ActorPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[actors.NAME]`: a folder whose files become the core, more files by their path in the core, and a nonce."""

    path: str | None = None
    files: dict[str, str] = {}
    nonce: str | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    node: NodePart = NodePart()
    python: PythonPart = PythonPart()
    actors: dict[str, ActorPart] = {}


class Project(Struct, frozen=True):
    """A project as its file describes it."""

    folder: Path
    store: str | None
    listen: str | None
    open: bool | None
    python: PythonPart
    actors: Mapping[str, ActorPart]

    def core_of(self, name: str) -> dict[str, bytes]:
        """The files of an actor's core by their path. Raises CommandError for what can't be read or named."""
        part = self.actors[name]
        found = {inside: _read(outside) for inside, outside in self.files_of(name).items()}
        if part.nonce is not None:
            found["nonce"] = part.nonce.encode()
        try:
            for path_text in found:
                split_path(path_text)
        except ObjectError as error:
            raise CommandError(f"actor {name}: {error}") from error
        return found

    def paths_of(self, name: str) -> set[str]:
        """The paths in an actor's core, which are not read. Raises WrongUse."""
        return self.files_of(name).keys() | ({"nonce"} if self.actors[name].nonce is not None else set())

    def files_of(self, name: str) -> dict[str, Path]:
        """Where the files of an actor's core are, by their path in it. Raises WrongUse."""
        part = self.actors[name]
        found: dict[str, Path] = {}
        if part.path is not None:
            top = self.folder / part.path
            if not top.is_dir():
                _wrong(self.folder, f"actors.{name}: path {part.path!r} is no folder")
            found = {path.relative_to(top).as_posix(): path for path in _files_below(top)}
        return found | {inside.strip("/"): self.folder / outside for inside, outside in part.files.items()}

    def module_files(self) -> Iterator[Path]:
        """The Python files below the folders of `python.paths`."""
        for path in self.python.paths:
            yield from (file for file in _files_below(self.folder / path) if file.suffix == ".py")

    def make_importable(self) -> None:
        """Let `external:` find the project's modules in this process. Raises CommandError if one can't be imported."""
        for path in self.python.paths:
            if not (self.folder / path).is_dir():
                _wrong(self.folder, f"python.paths: {path!r} is no folder")
            add_wit_path(self.folder / path)
        list_modules(self.python.modules)
        for module in self.python.modules:
            try:
                with loading(module, in_package(module)):
                    importlib.import_module(module)
            except WitError as error:
                raise CommandError(f"{PROJECT_FILE}: python.modules: {error.text}") from error


def find_project(folder: Path) -> Project | None:
    """The project of a folder, None if it has no understudy.toml. Raises WrongUse if that can't be understood."""
    file = folder / PROJECT_FILE
    if not file.exists():
        return None
    try:
        parsed = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File)
        for name in parsed.actors:
            check_name(name, what="actor name")
    except (OSError, ValueError, ObjectError) as error:
        _wrong(folder, str(error))
    return Project(folder, parsed.node.store, parsed.node.listen, parsed.node.open, parsed.python, parsed.actors)


def open_project(folder: Path) -> Project:
    """The project of a folder. Raises WrongUse if there is none."""
    project = find_project(folder)
    if project is None:
        raise WrongUse(f"{folder} has no {PROJECT_FILE}; `understudy init` makes a project")
    return project


def _files_below(top: Path) -> Iterator[Path]:
    """All files but hidden ones and what Python and editors leave behind, in the order of their names."""
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _LEFT_OUT)
        for name in sorted(files):
            if not name.startswith(".") and not name.endswith(_LEFT_OUT_ENDS):
                yield Path(folder) / name


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            # Reading from a pipe could wait for ever.
            raise CommandError(f"{path} is no ordinary file, and can't be part of a core")
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from error


def _wrong(folder: Path, why: str) -> NoReturn:
    raise WrongUse(f"{folder / PROJECT_FILE}: {why}")
