"""`understudy init`: a project to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.errors import CommandError
from understudy.cli.options import AsJson
from understudy.cli.sample import SAMPLE
from understudy.cli.screen import print_json, say

Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.", show_default=False)]


def init(folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Make a project: understudy.toml, a sample actor and its test. Files that are there are never overwritten.

    Example: understudy init hello
    """
    make_project(folder, SAMPLE, "understudy serve", as_json=as_json)


def make_project(folder: Path, files: Mapping[str, str], command: str, *, as_json: bool) -> None:
    """Write these files into a folder, and say which command comes next. Raises CommandError where one is there already."""
    there = [name for name in files if (folder / name).exists() and name != ".gitignore"]
    if there:
        raise CommandError(f"{folder / there[0]} is there already and stays as it is; choose another folder")
    written = [name for name, text in files.items() if _write(folder / name, text)]
    if as_json:
        print_json({"folder": str(folder), "files": written})
        return
    for name in written:
        say(f"  + {folder / name}")
    go = "" if folder == Path() else f"cd {folder} && "
    say(f"Now: {go}{command}")


def _write(path: Path, text: str) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        if path.name == ".gitignore":
            return False
        raise CommandError(f"{path} is in the way; it stays as it is") from error
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}") from error
    return True
