"""`understudy store`: a store as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.options import AsJson, no_password
from understudy.cli.screen import print_json, progress, remark, say
from understudy.cli.store import keep_private
from understudy.objects.wording import counted
from understudy.store.copy import Copied, copy_store
from understudy.store.open import is_made, kind_of, open_store, shown_store

store = typer.Typer(name="store", help="Work on a store as a whole.", no_args_is_help=True, add_completion=False)
From = Annotated[str, typer.Argument(metavar="FROM", help="The store to copy.", callback=no_password)]
To = Annotated[str, typer.Argument(metavar="TO", help="Where there is no store yet.", callback=no_password)]


@store.callback()
def group() -> None:
    """Work on a store as a whole."""


@store.command("copy")
def copy(source: From, target: To, as_json: AsJson = False) -> None:
    """Copy a store into another place, and of another kind if need be. Go on with a copy that was cut off.

    The copy is the same node: start a node on one of the two only. Stop the node first.

    Example: understudy store copy rocksdb:.understudy postgresql://shop@db.example.com/shop
    """
    copied = _copy(source, target)
    if as_json:
        print_json(
            {
                "blocks": copied.blocks,
                "heads": copied.heads,
                "rows": copied.rows,
                "steps": copied.steps,
                "to": shown_store(target),
            }
        )
        return
    say(
        f"copied: {counted(copied.blocks, 'block')}, {counted(copied.rows, 'row')}, {counted(copied.steps, 'step')} of the feed"
    )
    remark(
        f"The two are the same node now. Start one on {shown_store(target)} only: on both, histories would part. "
        "Tokens and secrets are files beside a store; they were not copied."
    )


def _copy(source: str, target: str) -> Copied:
    for url in (source, target):
        if not kind_of(url)[0].lasting:
            raise WrongUse(f"{shown_store(url)} keeps nothing")
    if source == target:
        raise WrongUse("a store can't be copied into itself")
    if not is_made(source):
        raise CommandError(f"there is no store at {shown_store(source)}")
    keep_private()
    # For writing, so that nobody else writes it meanwhile.
    reading = open_store(source)
    try:
        writing = open_store(target, may_be_unfinished=True)
        try:
            with progress("copying") as advance:
                return copy_store(reading, writing, progress=advance)
        finally:
            writing.close()
    finally:
        reading.close()
