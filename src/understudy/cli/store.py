"""Which store a command works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from understudy.cli.project import Project, find_project

DEFAULT_STORE: Final = "rocksdb:.understudy"
_ROCKSDB: Final = "rocksdb:"


def store_url(given: str | None, folder: Path | None = None) -> str:
    """The store that was named, or that of the project in a folder (here, without one), or the default."""
    if given:
        return given
    project = find_project(folder or Path())
    return DEFAULT_STORE if project is None else project_store(project)


def project_store(project: Project) -> str:
    """A project's store; a relative directory counts from the project, wherever the command was called."""
    url = project.store or DEFAULT_STORE
    directory = store_directory(url)
    return url if directory is None else f"{_ROCKSDB}{project.folder / directory}"


def store_directory(url: str) -> Path | None:
    """Where a store is on disk, None for one in memory."""
    return Path(url.removeprefix(_ROCKSDB)) if url.startswith(_ROCKSDB) and url != _ROCKSDB else None


def keep_private() -> None:
    """From now on, what this process makes is for its user alone: RocksDB asks for files that everybody may read."""
    os.umask(0o077)
