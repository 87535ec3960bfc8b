"""The options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy.store.errors import StoreError
from understudy.store.open import shown_store


def no_password(context: typer.Context, parameter: typer.CallbackParam, url: str | None) -> str | None:
    """Refuse a password that everybody on this machine could read in the list of processes."""
    source = context.get_parameter_source(parameter.name or "")
    if url and source is not None and source.name == "COMMANDLINE":
        try:
            hidden = shown_store(url) != url
        except StoreError:
            # Whoever opens it says what is wrong.
            return url
        if hidden:
            raise typer.BadParameter(
                "a password on the command line can be read by everybody on this machine: put the URL into "
                "UNDERSTUDY_STORE, or the password into PGPASSWORD, ~/.pgpass or a service file"
            )
    return url


Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="UNDERSTUDY_STORE",
        callback=no_password,
        help="The store: rocksdb:DIRECTORY, postgresql://… or memory:  [default: that of understudy.toml, else rocksdb:.understudy]",
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
