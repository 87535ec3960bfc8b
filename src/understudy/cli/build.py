"""`understudy build`: components out of a project's sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from understudy.cli.errors import WrongUse
from understudy.cli.options import AsJson
from understudy.cli.project import PROJECT_FILE, open_project
from understudy.cli.screen import print_json, remark, say
from understudy.cli.toolchains import build_component
from understudy.objects.wording import counted

TOOLS: Final = ".build/tools"
Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder.", show_default=False)]


def build(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Build the components that the project's understudy.toml names, each NAME.wasm beside it.

    The tools come from PyPI and npm, once, into .build/tools of the project.

    Example: understudy build
    """
    project = open_project(folder)
    if not project.components:
        raise WrongUse(
            f'{folder / PROJECT_FILE} names no components: [components.NAME] with source = "NAME.c", .js or .py'
        )
    built = []
    for name, part in project.components.items():
        target = folder / f"{name}.wasm"
        build_component(
            folder / part.source,
            target,
            world=part.world,
            tools=folder / TOOLS,
            say=_tell_nobody if as_json else remark,
        )
        size = target.stat().st_size
        built.append({"name": name, "path": str(target), "bytes": size})
        if not as_json:
            say(f"  {target}  {counted(size, 'byte')}")
    if as_json:
        print_json({"components": built})
    elif len(built) == 1:
        say(f"Now: understudy run {built[0]['path']}")


def _tell_nobody(text: str) -> None:
    """A program reads the output."""
