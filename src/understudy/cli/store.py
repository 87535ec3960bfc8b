"""Which store a command works on, and a node that only looks into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from understudy.cli.errors import CommandError
from understudy.cli.project import PROJECT_FILE, Project, find_project
from understudy.node.node import Node

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


@contextmanager
def looking(given: str | None) -> Iterator[Node]:
    """A node that only looks: at what is durable now, also beside the node that serves the store. Raises StoreError."""
    url = store_url(given)
    directory = store_directory(url)
    if directory is not None and not directory.exists():
        raise CommandError(
            f"there is no store at {directory}: `understudy serve` makes one (in a folder with {PROJECT_FILE}, "
            "its actors too), --store names another"
        )
    node = Node.open(url, read_only=True)
    try:
        yield node
    finally:
        node.backend.close()


@contextmanager
def asking(given: str | None) -> Iterator[Node]:
    """The same for what runs an actor's queries: with the modules of the project, which its code may need."""
    project = find_project(Path())
    if project is not None:
        project.make_importable()
    with looking(given) as node:
        yield node
