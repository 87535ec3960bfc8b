"""`understudy flows` and `understudy flow`: what an actor's flows wait for, and how one is cancelled."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
import typer

from understudy.cli.access import Access, open_access
from understudy.cli.client import UPDATE_SECONDS, Answered
from understudy.cli.errors import CommandError
from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, At, Store
from understudy.cli.parties import Parties
from understudy.cli.patience import wait_aloud
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import store_url
from understudy.node.looking.look import Look
from understudy.objects import ids
from understudy.objects.errors import BadId
from understudy.objects.ids import ActorId, Id
from understudy.objects.mailbox import QUEUE
from understudy.objects.message import ERROR
from understudy.objects.wording import counted
from understudy.web.flow_views import flow_end_view, flow_view
from understudy.web.history import time_text
from understudy.wit.flows.notice import FLOW
from understudy.wit.flows.overview import FlowView, flow_ids, path_of_cancel
from understudy.wit.flows.record import FOLDER
from understudy.wit.requests import Failure

LOOK_AGAIN: Final = b"{}"  # the content of a message of type `flow` that has the flows look again
_SHOWN: Final = 10  # characters of an id after those that all have
Count = Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="How many flows.")]
FlowText = Annotated[
    str, typer.Argument(metavar="FLOW", help="The flow's id, or the beginning of it.", show_default=False)
]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="Why, for the flow (in its CancelledError) and for who began it.")
]


class Action(StrEnum):
    """What can be done to a flow."""

    SHOW = "show"
    CANCEL = "cancel"


def flows(actor: ActorText, limit: Count = 100, at: At = None, store: Store = None, as_json: AsJson = False) -> None:
    """List an actor's flows: what each waits for, in which line of its code, since when, and whether it stands still.

    Example: understudy flows shop
    """
    with looking(store) as look:
        id = look.resolve(actor)
        found, count = look.flows(id, at=None if at is None else look.find_step(id, at), limit=limit)
        if as_json:
            print_json({"flows": [flow_view(flow) for flow in found], "count": count})
            return
        parties = Parties(look)
        for flow in found:
            _show(flow, parties)
    if not count:
        say("No flow is under way.")
    if count > limit:
        remark(f"and {counted(count - limit, 'more flow', 'more flows')}: --limit shows them")


def flow(
    actor: ActorText,
    flow: FlowText,
    action: Action,
    why: Why = "cancelled by the operator",
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Show what a flow waits for, or what became of it; or cancel it: its `finally` blocks run, and who began it gets an error.

    Cancelled a second time, or standing still, it ends at once. One that is over is shown by its whole id.
    Example: understudy flow shop tt7ygz2cqa cancel
    """
    if action is Action.SHOW:
        _show_one(actor, flow, store, as_json=as_json)
        return
    about = asyncio.run(_cancel(store_url(store), actor, flow, why))
    if as_json:
        print_json(about)
    else:
        say(f"{about['flow']}  {about['what']}")


def _show_one(actor: str, text: str, store: str | None, *, as_json: bool) -> None:
    with looking(store) as look:
        id = look.resolve(actor)
        known = flow_ids(look.reader, _core(look, id))
        flow = text if text not in known and _is_id(text) else _find(known, text)
        found = look.flow(id, flow)
        if as_json:
            print_json(flow_view(found) if isinstance(found, FlowView) else flow_end_view(look.reader, flow, found))
        elif isinstance(found, FlowView):
            _show(found, Parties(look))
        else:
            _show_end(flow_end_view(look.reader, flow, found), Parties(look))


def _show_end(end: dict[str, Any], parties: Parties) -> None:
    say(
        f"{_short(end['id'])}  {end['type']} from {parties.name(end['sender'])}  over since {end['ended']}",
        style="bold",
    )
    if end["error"] is not None:
        say(f"    {end['outcome']}: {end['error']['code']}: {end['error']['text']}", style="red")
    elif end["answer"] is None:
        say("    it answered nothing")
    elif end["answer"]["type"] == ERROR:
        say(f"    failed: {_failure_text(end['answer']['content'])}", style="red")
    else:
        say(f"    {msgspec.json.encode(end['answer']['content']).decode()}")
    remark(f"step {end['step']}")


async def _cancel(url: str, actor: str, text: str, why: str) -> dict[str, Any]:
    async with open_access(url) as access:
        id = access.node.resolve(actor)
        flow = _find(flow_ids(access.node.reader, _core(access.node, id)), text)
        sending = access.client.patch(
            str(id), {path_of_cancel(flow): why.encode()}, after=str(access.node.actor(id).head)
        )
        answer = await wait_aloud(sending, access.client, actor=str(id), name=actor, most=UPDATE_SECONDS)
        if not answer.ok:
            raise CommandError(f"{answer.body['code']}: {answer.body['detail']}", code=answer.body["code"])
        sending = look_again(access, str(id), wait_seconds=UPDATE_SECONDS)
        answer = await wait_aloud(sending, access.client, actor=str(id), name=actor, most=UPDATE_SECONDS)
        if not answer.ok:
            raise CommandError(f"{answer.body['code']}: {answer.body['detail']}", code=answer.body["code"])
        is_open = await access.client.has_file(str(id), f"{FOLDER}/{flow}/begin")
        return {"flow": flow, "what": "cancelled, and not over yet" if is_open else "over"}


async def look_again(access: Access, actor: str, *, wait_seconds: int) -> Answered:
    """Have the flows of an actor look again whether their code fits, and whether they were cancelled."""
    return await access.client.send(actor, LOOK_AGAIN, type=FLOW, lane=QUEUE, key=None, wait_seconds=wait_seconds)


def _core(look: Look, actor: ActorId) -> Id:
    return look.step(look.newest(actor)).core


def _is_id(text: str) -> bool:
    try:
        ids.parse(text)
    except BadId:
        return False
    return True


def _failure_text(content: Any) -> str:
    data = msgspec.json.encode(content)
    try:
        failure = msgspec.json.decode(data, type=Failure)
    except msgspec.MsgspecError:
        return data.decode()
    return f"{failure.code}: {failure.text}"


def _find(known: list[str], text: str) -> str:
    """The flow that a text means. Raises CommandError."""
    if text in known:
        return text
    found = [id for id in known if text and (id.startswith(text) or id[ids.SHARED_PREFIX :].startswith(text))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(
            f"no flow is under way whose id begins with {text!r}; see: understudy flows. "
            "One that is over is shown by its whole id",
            code="NoSuchFlow",
        )
    raise CommandError(f"{len(found)} flows begin with {text!r}; write more of the id", code="Ambiguous")


def _show(flow: FlowView, parties: Parties) -> None:
    began = "another flow" if flow.sender is None else parties.name(flow.sender)
    state = "  stands still" if flow.stopped is not None else "  cancelled" if flow.cancelled else ""
    say(
        f"{_short(flow.id)}  {flow.type} from {began}  since {time_text(flow.begun)}, {flow.asked} asked{state}",
        style="red" if flow.stopped is not None else "bold",
    )
    for wait in flow.waits:
        due = "" if wait.due is None else f", due {time_text(wait.due)}"
        lost = ", its timer is gone: retry the step that failed when it rang" if wait.is_lost else ""
        say(f"    {wait.what}  {wait.at}  since {time_text(wait.since)}{due}{lost}")
    if flow.stopped is not None:
        say(f"    {flow.stopped}", style="red")


def _short(id: str) -> str:
    first, dot, rest = id.partition(".")
    return first[ids.SHARED_PREFIX :][:_SHOWN] + dot + rest
