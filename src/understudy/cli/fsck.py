"""`understudy fsck`: is the store itself in order?"""

from __future__ import annotations

from typing import Annotated

import typer

from understudy.cli.errors import CommandError
from understudy.cli.looking import reading
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, progress, remark, say
from understudy.cli.store import store_url
from understudy.objects.wording import counted
from understudy.store.fsck import FsckReport
from understudy.store.fsck import fsck as check_store
from understudy.store.open import find_loss, is_made, open_store, shown_store

AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Go on with a store that lost its end: what is left is all there was.")
]


def fsck(accept_loss: AcceptLoss = False, store: Store = None, as_json: AsJson = False) -> None:
    """Read all of the store and name what is damaged, missing or does not fit. Changes nothing without --accept-loss.

    Every value in the store is read. Bytes of its files that hold no value are not checked.

    Example: understudy fsck
    """
    url = store_url(store)
    if accept_loss:
        _accept(url)
    with reading(store) as backend, progress("reading the store") as advance:
        report = check_store(backend, loss=find_loss(url), progress=advance)
    if as_json:
        print_json({"ok": report.ok, **_counts(report.blocks, report.actors, report.rows), "findings": report.findings})
    else:
        for finding in report.findings:
            say(f"{finding.where}: {finding.what}", style="red")
        say(f"{_counted(report)}: {_word(report.count)}")
    if not report.ok:
        raise CommandError(
            "the store is damaged: stop the node and bring back a copy, or import exported histories into a new store "
            "(blocks that only lack others may be left of an import that was cut off: import that file again first)"
        )


def _accept(url: str) -> None:
    if not is_made(url):
        raise CommandError(f"there is no store at {shown_store(url)}")
    loss = find_loss(url)
    if loss is None:
        remark("the store has lost nothing that is known of: there is nothing to accept")
        return
    open_store(url, accept_loss=True).close()
    remark(f"accepted: {loss.partition('. ')[0]}")


def _counts(blocks: int, actors: int, rows: int) -> dict[str, int]:
    return {"blocks": blocks, "actors": actors, "rows": rows}


def _counted(report: FsckReport) -> str:
    return f"{counted(report.blocks, 'block')}, {counted(report.actors, 'actor')}, {counted(report.rows, 'row')}"


def _word(count: int) -> str:
    return "all in order" if count == 0 else counted(count, "finding")
