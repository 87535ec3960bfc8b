"""A project: a folder with `understudy.toml`, which names actors and the folders that hold their cores."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.capabilities.effect import EffectPart
from understudy.capabilities.http_grants import NO_GRANTS, BadGrants, Grants, HttpPart
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.files import Found, find_files, read_file, read_ordinary
from understudy.engines.python.failure import in_package, loading
from understudy.engines.python.resolver import add_wit_path, list_modules
from understudy.objects.errors import ObjectError
from understudy.objects.names import check_name, split_path

PROJECT_FILE: Final = "understudy.toml"
NONCE: Final = "nonce"  # where in a core the nonce is that makes it another actor's
_MAX_BYTES: Final = 1024 * 1024  # of the project file: room for ten thousand actors
# tomllib takes time in the square of the number of parts of a key: half a minute for a file of 64 KB.
_MAX_KEY_PARTS: Final = 32
_KEY_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY: Final = re.compile(rf"(?<![\w-]){_KEY_PART}(?:\.[ \t]*+{_KEY_PART}){{{_MAX_KEY_PARTS}}}")
_MAX_PROBLEMS: Final = 10  # of an actor's files that are named


_Part = TypeVar("_Part", "ActorPart", "ComponentPart")


class NodePart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[node]`: the store, where to listen, whether asking and sending need no token on loopback, and what becomes of
    what code does beside `ctx`.
    """

    store: str | None = None
    listen: str | None = None
    open: bool | None = None
    impure: Literal["warn", "refuse", "allow"] = "warn"


class PythonPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[python]`: where `external:` finds modules, and which to import at the start, so that they can register wits."""

    modules: list[str] = []
    paths: list[str] = []


class CapabilitiesPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[capabilities.http]`: what the actors of the node may reach on the network; `[capabilities.effect]`."""

    effect: EffectPart = EffectPart()
    http: HttpPart = NO_GRANTS


class ActorPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[actors.NAME]`: a folder whose files become the core, more files or folders by their path in it, and a nonce."""

    path: str | None = None
    files: dict[str, str] = {}
    exclude: list[str] = []
    nonce: str | None = None


class ComponentPart(Struct, frozen=True, forbid_unknown_fields=True):
    """`[components.NAME]`: what `understudy build` makes a component of, whose file is called NAME.wasm; and its world."""

    source: str
    world: str = "first-actor"


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    node: NodePart = NodePart()
    python: PythonPart = PythonPart()
    actors: dict[str, Any] = {}
    components: dict[str, Any] = {}
    capabilities: CapabilitiesPart = CapabilitiesPart()


class Project(Struct, frozen=True):
    """A project as its file describes it."""

    folder: Path
    store: str | None
    listen: str | None
    open: bool | None
    python: PythonPart
    actors: Mapping[str, ActorPart]
    components: Mapping[str, ComponentPart] = {}
    capabilities: CapabilitiesPart = CapabilitiesPart()
    impure: Literal["warn", "refuse", "allow"] = "warn"

    def core_of(self, name: str) -> dict[str, bytes]:
        """The files of an actor's core by their path. Raises CommandError that names what can't be read or named."""
        part, found = self.actors[name], self._find_files(name)
        core, problems = {}, found.problems
        for inside, outside in found.files.items():
            try:
                split_path(inside)
                core[inside] = read_file(outside)
            except (CommandError, ObjectError) as error:
                problems.append(str(error))
        if problems:
            raise CommandError(_unreadable(name, problems))
        if part.nonce is None:
            return core
        if core.get(NONCE, part.nonce.encode()) != part.nonce.encode():
            raise CommandError(
                f"actors.{name} of {PROJECT_FILE} has a nonce, and {found.files[NONCE]} is the file {NONCE!r} of the same core: "
                "remove one of them"
            )
        return {**core, NONCE: part.nonce.encode()}

    def paths_of(self, name: str) -> set[str]:
        """The paths in an actor's core, which are not read. Raises WrongUse."""
        return self.files_of(name).keys() | ({NONCE} if self.actors[name].nonce is not None else set())

    def files_of(self, name: str) -> dict[str, Path]:
        """Where the files of an actor's core are, by their path in it. Raises WrongUse."""
        return self._find_files(name).files

    def module_files(self) -> Iterator[Path]:
        """The Python files below the folders of `python.paths`."""
        for path in self.python.paths:
            found = find_files(self.folder / path, project=self.folder).files
            yield from (file for file in found.values() if file.suffix == ".py")

    def make_importable(self) -> None:
        """Let `external:` find the project's modules in this process. Raises CommandError if one can't be imported."""
        for error in self.import_modules().values():
            if error is not None:
                raise error

    def import_modules(self) -> dict[str, CommandError | None]:
        """The same, with what is wrong with each module. Raises WrongUse if `python.paths` are."""
        for path in self.python.paths:
            if not (self.folder / path).is_dir():
                _wrong(self.folder, f"python.paths: {path!r} is no folder")
            add_wit_path(self.folder / path)
        list_modules(self.python.modules)
        return {module: _import(module) for module in self.python.modules}

    def _find_files(self, name: str) -> Found:
        part = self.actors[name]
        found = Found({}, [])
        if part.path is not None:
            if not (self.folder / part.path).is_dir():
                _wrong(self.folder, f"actors.{name}: path {part.path!r} is no folder")
            found = find_files(self.folder / part.path, project=self.folder, exclude=part.exclude)
        for inside, outside in part.files.items():
            place = self.folder / outside
            more = Found({"": place}, [])
            if place.is_dir():
                more = find_files(place, project=self.folder, exclude=part.exclude)
            for path, file in more.files.items():
                _add_file(found, f"{inside.strip('/')}/{path}".strip("/"), file)
            found.problems.extend(more.problems)
        return found


def find_project(folder: Path) -> Project | None:
    """The project of a folder, None if it has no understudy.toml. Raises WrongUse if that can't be understood."""
    file = folder / PROJECT_FILE
    if not file.exists():
        return None
    try:
        parsed = msgspec.convert(_read_toml(file), _File)
        actors = _parts(parsed.actors, ActorPart, "actor")
        components = _parts(parsed.components, ComponentPart, "component")
        parsed.capabilities.effect.check()
    except OSError as error:
        _wrong(folder, f"it can't be read: {error.strerror}")
    except (ValueError, ObjectError) as error:
        _wrong(folder, str(error))
    node = parsed.node
    return Project(
        folder, node.store, node.listen, node.open, parsed.python, actors, components, parsed.capabilities, node.impure
    )


def _parts(given: Mapping[str, Any], part: type[_Part], what: str) -> dict[str, _Part]:
    """The entries of one kind by name. Raises ValueError and ObjectError that name the entry."""
    parts = {}
    for name, entry in given.items():
        check_name(name, what=f"{what} name")
        try:
            # One by one: of an entry in a table of them, msgspec's message has no name.
            parts[name] = msgspec.convert(entry, part)
        except msgspec.ValidationError as error:
            raise ValueError(f"{what}s.{name}: {error}; it may have: {', '.join(part.__struct_fields__)}") from error
    return parts


def read_node_part(folder: Path) -> NodePart | None:
    """`[node]` alone of a folder's project file, None if that can't be understood by itself either."""
    try:
        return msgspec.convert(_read_toml(folder / PROJECT_FILE).get("node", {}), NodePart)
    except (OSError, ValueError):
        return None


def _read_toml(file: Path) -> dict[str, Any]:
    """Raises OSError and ValueError."""
    text = read_ordinary(file, most=_MAX_BYTES).decode()
    if (key := _LONG_KEY.search(text)) is not None:
        line = text.count("\n", 0, key.start()) + 1
        raise ValueError(f"line {line}: a key of more than {_MAX_KEY_PARTS} parts; no key of a project has so many")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error


def http_grants(project: Project | None, more: Sequence[str] = ()) -> Grants:
    """What actors may reach on the network by a project's file, and `more` besides. Raises WrongUse."""
    try:
        Grants(more=more)
    except BadGrants as error:
        raise WrongUse(f"--allow-http: {error}") from error
    try:
        return Grants(NO_GRANTS if project is None else project.capabilities.http, more)
    except BadGrants as error:
        assert project is not None
        _wrong(project.folder, str(error))


def open_project(folder: Path) -> Project:
    """The project of a folder. Raises WrongUse if there is none."""
    project = find_project(folder)
    if project is None:
        raise WrongUse(f"{folder} has no {PROJECT_FILE}; `understudy init` makes a project")
    return project


def _add_file(found: Found, path: str, file: Path) -> None:
    there = found.files.setdefault(path, file)
    if there != file and there.resolve() != file.resolve():
        found.problems.append(f"{there} and {file} would both be {path!r}")


def _import(module: str) -> CommandError | None:
    try:
        with loading(module, in_package(module)):
            importlib.import_module(module)
    except WitError as error:
        return CommandError(f"{PROJECT_FILE}: python.modules: {error.text}")
    return None


def _unreadable(name: str, problems: Sequence[str]) -> str:
    shown = "\n".join(problems[:_MAX_PROBLEMS])
    more = f"\n… and {len(problems) - _MAX_PROBLEMS:,} more" if len(problems) > _MAX_PROBLEMS else ""
    return f'{shown}{more}\nmend that, or leave it out of the core: exclude = ["NAME"] in [actors.{name}] of {PROJECT_FILE}'


def _wrong(folder: Path, why: str) -> NoReturn:
    raise WrongUse(f"{folder / PROJECT_FILE}: {why}")
