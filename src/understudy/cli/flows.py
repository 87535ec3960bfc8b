"""`understudy flows` and `understudy flow`: what an actor's flows wait for, and how one is cancelled."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from understudy.actors.errors import WitError
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
from understudy.objects.ids import ActorId, Id
from understudy.objects.mailbox import QUEUE
from understudy.objects.wording import counted
from understudy.web.history import time_text
from understudy.wit.flows.notice import FLOW
from understudy.wit.flows.overview import FlowView, flow_ids, look_at_flow, path_of_cancel
from understudy.wit.flows.record import FOLDER

LOOK_AGAIN: Final = b"{}"  # the content of a message of type `flow` that has the flows look again
_SHOWN: Final = 10  # characters of an id after those that all have
Count = Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="How many flows.")]
FlowText = Annotated[
    str, typer.Argument(metavar="FLOW", help="The flow's id, or the beginning of it.", show_default=False)
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the flow and for who began it.")]


class Action(StrEnum):
    """What can be done to a flow."""

    CANCEL = "cancel"


def flows(actor: ActorText, limit: Count = 100, at: At = None, store: Store = None, as_json: AsJson = False) -> None:
    """List an actor's flows: what each waits for, in which line of its code, since when, and whether it stands still.

    Example: understudy flows shop
    """
    with looking(store) as look:
        id = look.resolve(actor)
        core = _core(look, id, at)
        all_ids = flow_ids(look.reader, core)
        found = [_look_at(look, core, flow) for flow in all_ids[:limit]]
        if as_json:
            print_json({"flows": [_view(flow) for flow in found], "count": len(all_ids)})
            return
        parties = Parties(look)
        for flow in found:
            _show(flow, parties)
    if not all_ids:
        say("No flow is under way.")
    if len(all_ids) > limit:
        remark(f"and {counted(len(all_ids) - limit, 'more flow', 'more flows')}: --limit shows them")


def flow(
    actor: ActorText,
    flow: FlowText,
    action: Action,
    why: Why = "cancelled by the operator",
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a flow: its `finally` blocks run, and who began it gets an error. A second time ends it at once.

    One that stands still ends at once. Example: understudy flow shop tt7ygz2cqa cancel
    """
    assert action is Action.CANCEL
    about = asyncio.run(_cancel(store_url(store), actor, flow, why))
    if as_json:
        print_json(about)
    else:
        say(f"{about['flow']}  {about['what']}")


async def _cancel(url: str, actor: str, text: str, why: str) -> dict[str, Any]:
    async with open_access(url) as access:
        id = access.node.resolve(actor)
        flow = _find(flow_ids(access.node.reader, _core(access.node, id, None)), text)
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


def _core(look: Look, actor: ActorId, at: str | None) -> Id:
    return look.step(look.newest(actor) if at is None else look.find_step(actor, at)).core


def _look_at(look: Look, core: Id, id: str) -> FlowView:
    try:
        return look_at_flow(look.reader, core, id)
    except WitError as error:
        raise CommandError(error.text, code=error.code) from error


def _find(known: list[str], text: str) -> str:
    """The flow that a text means. Raises CommandError."""
    if text in known:
        return text
    found = [id for id in known if text and (id.startswith(text) or id[ids.SHARED_PREFIX :].startswith(text))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(
            f"no flow is under way whose id begins with {text!r}; see: understudy flows", code="NoSuchFlow"
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


def _view(flow: FlowView) -> dict[str, Any]:
    waits = [
        {"what": one.what, "at": one.at, "since": time_text(one.since), "due": _maybe(one.due), "lost": one.is_lost}
        for one in flow.waits
    ]
    return {
        "id": flow.id,
        "type": flow.type,
        "sender": flow.sender,
        "begun": time_text(flow.begun),
        "asked": flow.asked,
        "waits": waits,
        "stopped": flow.stopped,
        "cancelled": flow.cancelled,
    }


def _maybe(time: int | None) -> str | None:
    return None if time is None else time_text(time)
