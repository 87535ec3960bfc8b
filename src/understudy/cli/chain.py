"""`understudy chain`: the hash chain of an actor."""

from __future__ import annotations

from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.pages import Before, Count, join_pages, read_pages, remark_on_nothing
from understudy.cli.screen import print_json, print_table
from understudy.objects import ids
from understudy.web.history import chain_view


def chain(
    actor: ActorText, limit: Count = 100, before: Before = None, store: Store = None, as_json: AsJson = False
) -> None:
    """Show an actor's chain, newest first: each step's id is the hash of what it holds, its parent's id included.

    Example: understudy chain greeter --limit 5 --json
    """
    with looking(store) as node:
        id = node.resolve(actor)
        pages = read_pages(
            lambda below, most: chain_view(node, id, before=below, limit=most), before=before, limit=limit
        )
        view = join_pages(pages, "entries")
    if as_json:
        print_json(view)
        return
    if not view["entries"]:
        remark_on_nothing(before)
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
