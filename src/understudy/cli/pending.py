"""`understudy pending`: what was accepted and not yet consumed."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.running import ask_running, find_running, node_token
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.cli.store import store_url
from understudy.cli.timers import scheduled_view, wrong_text
from understudy.node.looking.lookup import MAX_PAGE, Evidence
from understudy.node.looking.stopped_flows import StoppedFlow
from understudy.web.history import pending_view, stopped_flow_view

_CURE: Final = "`understudy push` code that fits, or end it: understudy flow {actor} {flow} cancel"
Actor = Annotated[
    str | None, typer.Argument(metavar="[ACTOR]", help="Only what waits for this one.", show_default=False)
]


def pending(actor: Actor = None, store: Store = None, as_json: AsJson = False) -> None:
    """List messages that wait, and evidence against senders that lied. A running node says why they wait, too.

    Example: understudy pending
    """
    url = store_url(store)
    with looking(store) as look:
        id = None if actor is None else look.resolve_expected(actor)
        waiting = [pending_view(one) for one in look.pending(id, limit=MAX_PAGE)]
        evidence = look.evidence()
        stopped = look.stopped_flows(id, limit=MAX_PAGE)
        wrong = [one for one in look.wrong_timers(limit=MAX_PAGE) if id in (None, one.actor)]
        names = {str(id): name for name, id in look.names().items()}
    token = node_token(url)
    running = find_running(url, token=token)
    if running is not None:
        path = "/pending" if id is None else f"/actors/{id}/pending"
        waiting = ask_running(running, f"{path}?limit={MAX_PAGE}", token=token)["pending"]
    if as_json:
        flows = [stopped_flow_view(one) for one in stopped]
        timers = [scheduled_view(one) for one in wrong]
        print_json({"pending": waiting, "evidence": [_view(one) for one in evidence], "flows": flows, "timers": timers})
        return
    _show(waiting, names)
    if waiting and running is None:
        remark("no node runs: `understudy serve` works on what waits")
    for still in stopped:
        remark(_still_text(still, names.get(str(still.actor), str(still.actor))), style="yellow")
    for one in wrong:
        remark(wrong_text(one, names.get(str(one.actor), str(one.actor))), style="yellow")
    for proof in evidence:
        sender, to = (names.get(party, party) for party in (proof.sender, proof.to))
        remark(f"evidence: {sender} to {to}: {proof.why} ({proof.message})", style="yellow")


def _still_text(one: StoppedFlow, actor: str) -> str:
    if one.flow is None:
        return f"{actor}: {one.why}"
    return f"{actor}: the flow {one.flow} stands still: {one.why}\n{_CURE.format(actor=actor, flow=one.flow)}"


def _show(waiting: list[dict[str, Any]], names: dict[str, str]) -> None:
    if not waiting:
        say("Nothing waits.")
        return
    rows = [
        [
            names.get(one["to"], one["to"]),
            one["type"],
            one["lane"],
            str(one["seq"]),
            names.get(one["sender"], one["sender"]),
            one["state"] + (f" ({one['attempts']} tries)" if one["attempts"] else ""),
        ]
        for one in waiting
    ]
    print_table(["TO", "TYPE", "LANE", "SEQ", "FROM", "STATE"], rows)
    for actor, reason in {one["to"]: one["error"] for one in waiting if one["error"] is not None}.items():
        remark(f"{names.get(actor, actor)}: {reason}", style="yellow")


def _view(one: Evidence) -> dict[str, Any]:
    return {**msgspec.structs.asdict(one), "message": str(one.message)}
