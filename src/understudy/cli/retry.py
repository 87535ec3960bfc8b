"""`understudy retry`: run the messages of a step that failed again."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from understudy.cli.access import open_access
from understudy.cli.client import UPDATE_SECONDS, Answered
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.patience import wait_aloud
from understudy.cli.places import find_step
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import store_url
from understudy.objects.ids import StepId

Place = Annotated[
    str,
    typer.Argument(metavar="STEP", help="The id of a step that failed, or ACTOR@HEIGHT.", show_default=False),
]


def retry(step: Place, store: Store = None, as_json: AsJson = False) -> None:
    """Run the messages of a step that failed again, with the code and the state of today. The order stands in the chain.

    Example: understudy retry greeter@7
    """
    with looking(store) as look:
        id = find_step(look, step)
        actor = str(look.step(id).actor)
    answer = asyncio.run(_retry(store_url(store), id, actor))
    if as_json:
        print_json(answer.body)
    else:
        _show(answer, id)
    if not answer.ok:
        raise typer.Exit(1)


async def _retry(url: str, step: StepId, actor: str) -> Answered:
    # Without a node that runs, only this is done: what else waits may be what has to be mended first.
    async with open_access(url, only_updates=True) as access:
        name = access.node.name_of(access.node.step(step).actor) or actor
        return await wait_aloud(
            access.client.retry(str(step)), access.client, actor=actor, name=name, most=UPDATE_SECONDS
        )


def _show(answer: Answered, step: StepId) -> None:
    body = answer.body
    for reply in body.get("replies", ()):
        say(json.dumps(reply["content"], ensure_ascii=False))
    if body.get("step") is None:
        reason = f" ({body['status']}: {body['reason']})" if body.get("reason") else ""
        remark(f"ordered, not done yet{reason}; see: understudy pending")
    elif answer.ok:
        say(f"{step} retried: {body['outcome']}  step {body['step']}")
    else:
        say(f"{body['outcome']}  {body['code']}: {body['detail']}", style="red")
        remark(f"look at it: understudy show {body['step']}")
