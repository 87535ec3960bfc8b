"""`understudy pending`: what was accepted and not yet consumed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.node.looking.lookup import Evidence, Pending

Actor = Annotated[
    str | None, typer.Argument(metavar="[ACTOR]", help="Only what waits for this one.", show_default=False)
]


def pending(actor: Actor = None, store: Store = None, as_json: AsJson = False) -> None:
    """List messages that wait, and evidence against senders that lied. `understudy serve` works on what waits.

    Example: understudy pending
    """
    with looking(store) as node:
        waiting = node.pending(None if actor is None else node.resolve(actor))
        evidence = node.evidence()
        names = {str(id): name for name, id in node.names().items()}
    if as_json:
        print_json({"pending": [_view(one) for one in waiting], "evidence": [_view(one) for one in evidence]})
        return
    if not waiting:
        say("Nothing waits.")
    else:
        rows = [
            [names.get(one.to, one.to), one.type, one.lane, str(one.seq), names.get(one.sender, one.sender), one.state]
            for one in waiting
        ]
        print_table(["TO", "TYPE", "LANE", "SEQ", "FROM", "STATE"], rows)
    for actor, reason in {one.to: one.error for one in waiting if one.error is not None}.items():
        remark(f"{names.get(actor, actor)}: {reason}", style="yellow")
    for proof in evidence:
        remark(f"evidence: {proof.sender} to {proof.to}: {proof.why} ({proof.message})", style="yellow")


def _view(one: Pending | Evidence) -> dict[str, Any]:
    return {**msgspec.structs.asdict(one), "message": str(one.message)}
