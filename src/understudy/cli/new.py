"""`understudy new`: a project made of a template."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from understudy.cli.errors import WrongUse
from understudy.cli.init import make_project
from understudy.cli.options import AsJson
from understudy.cli.project import PROJECT_FILE
from understudy.cli.sample import SAMPLE

PYTHON: Final = "python"
_COMPONENTS: Final = {"component-c": "counter.c", "component-js": "counter.js", "component-python": "counter.py"}
TEMPLATES: Final = (PYTHON, *_COMPONENTS)
_PROJECT: Final = """\
# A project of Understudy with a WebAssembly component. `understudy build` makes counter.wasm of the source;
# `understudy run counter.wasm` runs it alone behind a port, `understudy serve` as an actor of this project.

[node]
store = "rocksdb:.understudy"
listen = "127.0.0.1:8321"

[components.counter]
source = "{source}"

[actors.counter]
path = "core"
files = {{ "code/counter.wasm" = "counter.wasm" }}
"""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.", show_default=False)]
Template = Annotated[
    str, typer.Option("--template", "-t", metavar="NAME", help=f"What to begin with: {', '.join(TEMPLATES)}.")
]


def new(folder: Folder, template: Template = PYTHON, as_json: AsJson = False) -> None:
    """Make a project of a template: a Python actor, or a component in C, JavaScript or Python.

    Files that are there are never overwritten.

    Example: understudy new counter --template component-c
    """
    if template == PYTHON:
        make_project(folder, SAMPLE, "understudy serve", as_json=as_json)
    elif template in _COMPONENTS:
        make_project(folder, _component_files(template), "understudy build", as_json=as_json)
    else:
        raise WrongUse(f"there is no template {template!r}; there are {', '.join(TEMPLATES)}")


def _component_files(template: str) -> dict[str, str]:
    ours = files("understudy.cli").joinpath("templates").joinpath(template)
    sources = {file.name: file.read_text(encoding="utf-8") for file in ours.iterdir() if file.is_file()}
    return {
        PROJECT_FILE: _PROJECT.format(source=_COMPONENTS[template]),
        **dict(sorted(sources.items())),
        "core/wit": "/code:counter:handle\n",
        "core/runtime": "wasm\n",
        ".gitignore": ".understudy/\n.understudy.starting*\n.build/\n__pycache__/\n",
    }
