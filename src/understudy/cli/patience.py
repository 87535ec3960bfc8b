"""Patience: a command that waits for an actor prints what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from understudy.cli.client import Client
from understudy.cli.errors import CommandError
from understudy.cli.screen import remark
from understudy.objects.wording import counted

QUIET_SECONDS: Final = 2.0  # most steps take milliseconds

Value = TypeVar("Value")


async def wait_aloud(work: Coroutine[Any, Any, Value], client: Client, *, actor: str, name: str, most: int) -> Value:
    """What comes of the work, which waits for an actor for `most` seconds; after two of them a remark says what for."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=QUIET_SECONDS)
        if not task.done():
            remark(f"waiting for {name}, at most {most} s: {await _reason(client, actor)}")
        return await task
    finally:
        task.cancel()


async def _reason(client: Client, actor: str) -> str:
    try:
        waiting = await client.pending(actor)
    except CommandError as error:
        return str(error)
    for one in waiting:
        if one["error"] is not None:
            return f"{one['state']}: {one['error']}"
    if any(one["state"] == "running" for one in waiting):
        return "it is running a step, which goes on until its code ends"
    number = len(waiting)
    return (
        f"{counted(number, 'message')} {'waits' if number == 1 else 'wait'} for it"
        if waiting
        else "its step is being made durable"
    )
