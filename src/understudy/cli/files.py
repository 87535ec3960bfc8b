"""The files below a folder that become a core, and those that can't.

The law: only hidden files, files that Python and editors leave behind, and excluded files are left out without a message.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from understudy.cli.errors import CommandError
from understudy.node.intake.cores import MAX_CORE_BYTES

# Ten times what a node accepts as one core. A folder with more was named by mistake, such as one with installed packages.
MAX_FILES: Final = 100_000
_LEFT_OUT: Final = ("__pycache__",)
_LEFT_OUT_ENDS: Final = (".pyc", ".pyo", "~", ".swp", ".tmp")


class Found(NamedTuple):
    """Files by their path, and what is wrong with others, as sentences."""

    files: dict[str, Path]
    problems: list[str]


def find_files(top: Path, *, project: Path, exclude: Sequence[str] = ()) -> Found:
    """The files below a folder. Links to files and folders are followed within the project.

    `exclude` are globs of paths below `top`; one without a slash means a name at any depth. Raises CommandError.
    """
    walk = _Walk(top, project, exclude)
    walk.enter(top, "", (top.resolve(),))
    return walk.found


def is_excluded(path: str, exclude: Sequence[str]) -> bool:
    """True if a path of a core matches one of the globs; `*` stands for slashes too."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in glob else name, glob.strip("/")) for glob in exclude)


def read_file(path: Path) -> bytes:
    """The bytes of a file that belongs to a core. Raises CommandError."""
    try:
        return read_ordinary(path, most=MAX_CORE_BYTES)
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from error


def read_ordinary(path: Path, *, most: int) -> bytes:
    """The bytes of an ordinary file, so many at most. Raises OSError with a text for people."""
    with open_ordinary(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return data


def open_ordinary(path: Path) -> BinaryIO:
    """Open an ordinary file for reading. Opening a pipe could block for ever, and a device may never end. Raises OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return os.fdopen(handle, "rb")


class _Walk:
    def __init__(self, top: Path, project: Path, exclude: Sequence[str]) -> None:
        self.found = Found({}, [])
        self._top = top
        self._roots = (project.resolve(), top.resolve())
        self._exclude = exclude
        self._folders = 0

    def enter(self, folder: Path, above: str, through: tuple[Path, ...]) -> None:
        self._folders += 1
        # A few links between folders can make any number of paths, without a single file.
        self._check(self._folders - 1)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.found.problems.append(f"{folder} can't be listed: {error.strerror}")
            return
        for entry in entries:
            path = f"{above}{entry.name}"
            if entry.name.startswith(".") or is_excluded(path, self._exclude):
                continue
            if not _is_folder(entry):
                self._add(path, entry)
            elif entry.name not in _LEFT_OUT and self._may_enter(entry, through):
                self.enter(Path(entry.path), f"{path}/", (*through, Path(entry.path).resolve()))

    def _add(self, path: str, entry: os.DirEntry[str]) -> None:
        if entry.name.endswith(_LEFT_OUT_ENDS) or (entry.is_symlink() and self._leads_out(entry)):
            return
        self._check(len(self.found.files))
        self.found.files[path] = Path(entry.path)

    def _check(self, number: int) -> None:
        if number >= MAX_FILES:
            raise CommandError(
                f"{self._top} has more than {MAX_FILES:,} files or folders: leave some out with `exclude`"
            )

    def _may_enter(self, entry: os.DirEntry[str], through: tuple[Path, ...]) -> bool:
        real = Path(entry.path).resolve()
        if real in through:
            self.found.problems.append(f"{entry.path} is a link to a folder that it is in itself")
        else:
            return not self._leads_out(entry)
        return False

    def _leads_out(self, entry: os.DirEntry[str]) -> bool:
        """True if a link leads out of the project; it is reported, since its target would be in the history for ever."""
        try:
            real = Path(entry.path).resolve()
        except (OSError, RuntimeError):
            # A link that leads to itself: reading it says so.
            return False
        if any(real.is_relative_to(root) for root in self._roots):
            return False
        self.found.problems.append(
            f"{entry.path} is a link out of the project, to {real}: if that is meant, name it under `files`"
        )
        return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: reading it says so.
        return False
