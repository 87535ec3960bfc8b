"""The options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="UNDERSTUDY_STORE",
        help="The store: rocksdb:DIRECTORY or memory:  [default: that of understudy.toml, else rocksdb:.understudy]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="STEP", help="An earlier step: its height, its id, or ACTOR@HEIGHT.", show_default=False
    ),
]
ActorText = Annotated[
    str, typer.Argument(metavar="ACTOR", help="A name, an id, or the beginning of an id.", show_default=False)
]
