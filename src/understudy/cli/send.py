"""`understudy send`: a message to an actor, and its replies."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from understudy.cli.access import open_access
from understudy.cli.client import Answered, Client
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.patience import wait_aloud
from understudy.cli.screen import print_json, remark, say
from understudy.cli.store import store_url
from understudy.objects.mailbox import QUEUE, SIGNAL

Content = Annotated[
    str,
    typer.Argument(
        metavar="[JSON | - | @FILE]", help="JSON as it is, or bytes from standard input or a file.", show_default=False
    ),
]
MessageType = Annotated[
    str | None,
    typer.Option(
        "--type",
        help="The message type.  [default: the only one that the actor takes, or message]",
        show_default=False,
    ),
]
DEFAULT_TYPE: Final = "message"
_ANSWERS: Final = ("error", "reply")  # what actors get from actors, and people do not send
Lane = Annotated[str, typer.Option("--lane", help="queue or signal.")]
Key = Annotated[
    str | None, typer.Option("--key", help="An idempotency key: the same message again is not a second one.")
]
Wait = Annotated[int, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the answer.")]


def send(
    actor: ActorText,
    content: Content = "",
    message_type: MessageType = None,
    lane: Lane = QUEUE,
    key: Key = None,
    wait: Wait = 60,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Send a message and print the replies. Without --type, it has the only type that the actor takes.

    Example: understudy send greeter '{"name": "Ada"}' --type greet
    """
    if lane not in (QUEUE, SIGNAL):
        raise WrongUse(f"--lane is queue or signal, not {lane!r}; updates are sent by `understudy push`")
    data = _read_content(content)
    answer = asyncio.run(_send(store_url(store), actor, data, message_type, lane, key, wait))
    if as_json:
        print_json(answer.body)
    else:
        _show(answer, actor)
    if not answer.ok:
        body = answer.body
        hint = "" if data else "\nthe message had no content: write it behind the actor, as JSON"
        raise CommandError(
            f"{body['outcome']}: {body['code']}: {body['detail']}{hint}\nlook at the step: understudy show {body['step']}",
            code=body["code"],
        )


def _read_content(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise WrongUse(f"{text[1:]} can't be read: {error.strerror}") from error
    if text:
        try:
            msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            hint = f"a text needs its quotes: '{json.dumps(text)}'" if text.isprintable() else "@FILE sends any bytes"
            raise WrongUse(f"the content is not JSON: {error}; {hint}") from error
    return text.encode("utf-8", "surrogateescape")


async def _send(
    url: str, actor: str, content: bytes, message_type: str | None, lane: str, key: str | None, wait: int
) -> Answered:
    async with open_access(url) as access:
        type = message_type or await _only_type(access.client, actor)
        sending = access.client.send(actor, content, type=type, lane=lane, key=key, wait_seconds=wait)
        return await wait_aloud(sending, access.client, actor=actor, name=actor, most=wait)


async def _only_type(client: Client, actor: str) -> str:
    """The type to send without one. Raises WrongUse if the actor takes several."""
    types = [type for type in await client.types(actor) if type not in _ANSWERS]
    if len(types) > 1 and DEFAULT_TYPE not in types:
        raise WrongUse(f"{actor} takes several types of messages; say one of them: --type {' | '.join(types)}")
    return types[0] if len(types) == 1 else DEFAULT_TYPE


def _show(answer: Answered, actor: str) -> None:
    body = answer.body
    for reply in body.get("replies", ()):
        say(_text_of(reply["content"]))
    if not answer.ok:
        return
    if body.get("step") is None:
        reason = f" ({body['status']}: {body['reason']})" if body.get("reason") else ""
        remark(f"accepted, not answered yet{reason}; see: understudy pending")
    else:
        remark(f"{body['outcome']}  step {body['step']}")
        if body.get("flow") is not None:
            remark(f"a flow began, and goes on: understudy flow {actor} {body['flow']} show")


def _text_of(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
