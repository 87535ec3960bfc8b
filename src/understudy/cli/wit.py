"""`understudy wit`: the WIT files that a component is built against."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.errors import CommandError
from understudy.cli.options import AsJson
from understudy.cli.screen import print_json, say

Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="DIR", help="Write the files into this folder instead.", show_default=False),
]


def wit(out: Out = None, as_json: AsJson = False) -> None:
    """Print the WIT of the worlds `first-actor`, `asked-actor`, `talking-actor`, `networked-actor`, `timed-actor` and
    `requesting-actor`: what a component exports and what it may import.

    Example: understudy wit -o wit
    """
    texts = interface_files()
    if out is not None:
        _write(out, texts)
    if as_json:
        print_json({"files": texts})
    elif out is not None:
        for name in texts:
            say(f"  + {out / name}")
    else:
        # Unadorned: what is printed can go into a file.
        print("\n".join(f"// {name}\n\n{text}" for name, text in texts.items()), end="")


def interface_files() -> dict[str, str]:
    """The WIT files by their names; together they are one package."""
    folder = files("understudy.engines.wasm").joinpath("interface")
    return {
        file.name: file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }


def _write(folder: Path, texts: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{folder} can't be written: {error.strerror}") from error
