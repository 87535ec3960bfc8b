"""Files beside the modules of a core, for `importlib.resources` and `pkgutil.get_data`: read while a step or query runs.

Not while a module loads: what it kept of them would not change when the core does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources.abc import Traversable, TraversableResources
from typing import IO, Any

from understudy.actors.errors import WitError
from understudy.objects.errors import WrongKind
from understudy.wit.core import Core
from understudy.wit.running import running


class CoreFile(Traversable):
    """A file or folder of the core that runs, by its path."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.rpartition("/")[2]

    def iterdir(self) -> Iterator[CoreFile]:
        """What is in the folder."""
        return (self.joinpath(name) for name in core_of_run().dir(self._path))

    def is_dir(self) -> bool:
        """True for a folder."""
        return self.name in _folder(self._path) and not self.is_file()

    def is_file(self) -> bool:
        """True for a file."""
        try:
            return core_of_run().get(self._path) is not None
        except WrongKind:
            return False

    def joinpath(self, *descendants: Any) -> CoreFile:
        """A path below."""
        return CoreFile("/".join([self._path, *map(str, descendants)]))

    def read_bytes(self) -> bytes:
        """What the file holds. Raises FileNotFoundError."""
        return read_file(self._path)

    def read_text(self, encoding: str | None = None) -> str:
        """The file as text. Raises FileNotFoundError, UnicodeDecodeError."""
        return self.read_bytes().decode(encoding or "utf-8")

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        """The file for reading. Raises FileNotFoundError."""
        data = read_file(self._path)
        return io.BytesIO(data) if "b" in mode else io.TextIOWrapper(io.BytesIO(data), *args, **kwargs)


class Resources(TraversableResources):
    """The files beside a module."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def files(self) -> CoreFile:
        """The folder."""
        return CoreFile(self._folder)


def read_file(path: str) -> bytes:
    """The bytes of a file of the core that runs. Raises FileNotFoundError, OSError where no step or query runs."""
    try:
        return core_of_run()[path]
    except (KeyError, WrongKind) as error:
        raise FileNotFoundError(f"the core has no file /{path}") from error


def core_of_run() -> Core:
    """The core of the step or query that runs. Raises OSError."""
    try:
        core = getattr(running("a file of the core"), "core", None)
    except WitError as error:
        raise OSError(error.text) from error
    assert isinstance(core, Core)
    return core


def _folder(path: str) -> list[str]:
    above = path.rpartition("/")[0]
    try:
        return list(core_of_run().dir(above)) if above else list(core_of_run())
    except WrongKind:
        return []
