"""`understudy pause` and `understudy resume`: stop an actor, and let it go on."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from understudy.cli.access import open_access
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.screen import print_json, say
from understudy.cli.store import store_url

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks at it.")]


def pause(actor: ActorText, reason: Reason = "", store: Store = None, as_json: AsJson = False) -> None:
    """Let an actor take nothing but updates, until it is resumed. Its messages wait; restarts change nothing.

    Example: understudy pause greeter --reason "the shop is being moved"
    """
    _show(asyncio.run(_change(store_url(store), actor, "pause", {"reason": reason} if reason else None)), as_json)


def resume(actor: ActorText, store: Store = None, as_json: AsJson = False) -> None:
    """Let an actor go on: one that was paused, or one that is held because it ended the process before.

    Example: understudy resume greeter
    """
    _show(asyncio.run(_change(store_url(store), actor, "resume", None)), as_json)


async def _change(url: str, actor: str, what: str, body: dict[str, str] | None) -> dict[str, Any]:
    # Without a running node, this process runs no steps: the actor to pause might be next.
    async with open_access(url, only_updates=True) as access:
        return await access.client.operate(actor, what, body)


def _show(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(about)
        return
    reason = f": {about['reason']}" if about["reason"] else ""
    say(f"{about['name'] or about['id']}  {about['status']}{reason}")
