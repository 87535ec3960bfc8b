"""`understudy import`: the actors of a CAR file, with their whole history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from understudy.cli.access import find_node
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.files import open_ordinary
from understudy.cli.options import AsJson, Store
from understudy.cli.running import Running
from understudy.cli.screen import print_json, progress, say
from understudy.cli.store import store_url
from understudy.cli.turns import announce
from understudy.node.importing import Imported, import_car
from understudy.node.node import Node

CarFile = Annotated[Path, typer.Argument(metavar="F.car", show_default=False)]
_WORDS = {
    "new": "is here now",
    "forward": "goes on from where it was",
    "known": "was here already",
    "object": "is no history; its blocks are in the store",
}


def import_(file: CarFile, store: Store = None, as_json: AsJson = False) -> None:
    """Take actors in from a file. Every block is checked, and a head moves only forward along its own chain.

    Example: understudy import greeter.car
    """
    imported = _import(store_url(store), file)
    if as_json:
        print_json({"imported": [_view(one) for one in imported]})
        return
    for one in imported:
        say(f"{one.actor or one.root}  {_WORDS[one.what]}" + ("" if one.height is None else f", height {one.height}"))
        if one.sleeps:
            say(
                f"  its timers, also those of flows and requests, sleep until its next step here, or: understudy resume {one.actor}"
            )
    say("Names are not imported; use an id, or the beginning of one.")


def _import(url: str, path: Path) -> list[Imported]:
    try:
        file = open_ordinary(path)
    except OSError as error:
        raise WrongUse(f"{path} can't be read: {error.strerror}") from error
    with file:
        node = _open(url)
        try:
            return import_car(node, file, stage=progress)
        finally:
            node.close()


def _open(url: str) -> Node:
    with announce(url):
        found = asyncio.run(find_node(url, None, makes_store=True))
    if isinstance(found, Running):
        raise CommandError(
            f"a node (process {found.pid}, {found.address}) works on this store; stop it first, then import"
        )
    return found


def _view(one: Imported) -> dict[str, Any]:
    return {
        "root": str(one.root),
        "actor": None if one.actor is None else str(one.actor),
        "height": one.height,
        "what": one.what,
        "sleeps": one.sleeps,
    }
