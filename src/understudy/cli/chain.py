"""`understudy chain`: the hash chain of an actor."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.screen import print_json, print_table
from understudy.node.looking.lookup import MAX_PAGE
from understudy.objects import ids
from understudy.web.routes.chain import chain_view

_MAX_HEIGHT: Final = 2**63 - 1
Count = Annotated[int, typer.Option("-n", "--limit", min=1, max=MAX_PAGE, help="How many steps.")]
Before = Annotated[int | None, typer.Option("--before", min=0, max=_MAX_HEIGHT, help="Begin below this height.")]


def chain(
    actor: ActorText, limit: Count = 100, before: Before = None, store: Store = None, as_json: AsJson = False
) -> None:
    """Show an actor's chain, newest first: each step's id is the hash of what it holds, its parent's id included.

    Example: understudy chain greeter --limit 5 --json
    """
    with looking(store) as node:
        view = chain_view(node, node.resolve(actor), before=before, limit=limit)
    if as_json:
        print_json(view)
        return
    rows = [
        [
            str(entry["data"]["height"]),
            entry["id"],
            "-" if entry["parent"] is None else entry["parent"][ids.SHARED_PREFIX :][:10],
            entry["data"].get("outcome", {}).get("kind", "ok"),
        ]
        for entry in view["entries"]
    ]
    print_table(["HEIGHT", "ID", "PARENT", "OUTCOME"], rows)
