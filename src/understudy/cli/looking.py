"""A node that only looks into a store, also beside the node that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understudy.cli.errors import WrongUse
from understudy.cli.project import find_project
from understudy.cli.screen import remark
from understudy.cli.store import store_of_broken_project, store_url
from understudy.cli.turns import wait_until_made
from understudy.node.looking.look import Look
from understudy.store.open import find_loss, open_store, shown_store
from understudy.store.port import Backend


@contextmanager
def looking(given: str | None) -> Iterator[Look]:
    """A look at what is durable now, also beside the node that serves the store. Raises StoreError."""
    with reading(given) as backend:
        yield Look(backend)


@contextmanager
def reading(given: str | None) -> Iterator[Backend]:
    """The store itself, which can't be written, for what reads all of it. Raises StoreError."""
    url = store_to_look_at(given)
    wait_until_made(url)
    backend = open_store(url, read_only=True)
    warn_of_loss(url)
    try:
        yield backend
    finally:
        backend.close()


def store_to_look_at(given: str | None) -> str:
    """The store, also where the project file has another mistake. Raises WrongUse if it does not say which store."""
    try:
        return store_url(given)
    except WrongUse as error:
        url = store_of_broken_project(Path())
        if url is None:
            raise
        remark(f"{error}\nthis command goes on: the store is {shown_store(url)}", style="yellow")
        return url


def usable_modules() -> list[str]:
    """The modules of the project of this folder that can be imported, and are now; a warning for each other one."""
    try:
        project = find_project(Path())
    except WrongUse as error:
        remark(f"{error}\nthis command goes on without the modules of the project", style="yellow")
        return []
    found = {} if project is None else project.import_modules()
    for problem in found.values():
        if problem is not None:
            remark(f"{problem}\nthis command goes on without it", style="yellow")
    return [module for module, problem in found.items() if problem is None]


def warn_of_loss(url: str) -> None:
    """Say so if the store lost its end."""
    if (loss := find_loss(url)) is not None:
        remark(f"careful: {loss}", style="yellow")
