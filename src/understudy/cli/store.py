"""Which store a command works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.project import Project, find_project, read_node_part
from understudy.store.open import is_made, shown_store, store_folder, store_seen_from

DEFAULT_STORE: Final = "rocksdb:.understudy"


def store_url(given: str | None, folder: Path | None = None) -> str:
    """The store that was named, or that of the project in a folder (here, without one), or the default."""
    if given:
        return given
    project = find_project(folder or Path())
    return DEFAULT_STORE if project is None else project_store(project)


def project_store(project: Project) -> str:
    """A project's store; a relative directory counts from the project, wherever the command was called."""
    return store_seen_from(project.folder, project.store or DEFAULT_STORE)


def store_of_broken_project(folder: Path) -> str | None:
    """The store that a project file names although the rest of it can't be understood; None if that can't be either."""
    node = read_node_part(folder)
    return None if node is None else store_seen_from(folder, node.store or DEFAULT_STORE)


def folder_of_made_store(given: str | None, *, to: str) -> Path:
    """The folder of a store that is there; `to` says what it is for. Raises WrongUse, CommandError."""
    url = store_url(given)
    folder = store_folder(url)
    if folder is None:
        raise WrongUse(f"the store {shown_store(url)} has no folder to {to}")
    if not is_made(url):
        raise CommandError(f"there is no store at {shown_store(url)} yet: `understudy serve` makes one")
    return folder


def keep_private() -> None:
    """From now on, what this process makes is for its user alone: RocksDB asks for files that everybody may read."""
    os.umask(0o077)
