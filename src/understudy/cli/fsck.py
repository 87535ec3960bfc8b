"""`understudy fsck`: is the store itself in order?"""

from __future__ import annotations

from understudy.cli.errors import CommandError
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, progress, say
from understudy.store.fsck import fsck as check_store


def fsck(store: Store = None, as_json: AsJson = False) -> None:
    """Read all of the store and name what is damaged, missing or does not fit. Changes nothing.

    Example: understudy fsck
    """
    with looking(store) as node, progress("reading the store") as advance:
        report = check_store(node.backend, progress=advance)
    if as_json:
        print_json({"ok": report.ok, **_counts(report.blocks, report.actors, report.rows), "findings": report.findings})
    else:
        for finding in report.findings:
            say(f"{finding.where}: {finding.what}", style="red")
        say(f"{report.blocks:,} blocks, {report.actors:,} actors, {report.rows:,} rows: {_word(report.count)}")
    if not report.ok:
        raise CommandError(
            "the store is damaged: stop the node and bring back a copy, or import exported histories into a new store "
            "(blocks that only lack others may be left of an import that was cut off: import that file again first)"
        )


def _counts(blocks: int, actors: int, rows: int) -> dict[str, int]:
    return {"blocks": blocks, "actors": actors, "rows": rows}


def _word(count: int) -> str:
    return "all in order" if count == 0 else f"{count:,} findings"
