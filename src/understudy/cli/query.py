"""`understudy query`: ask an actor, at its newest step or an earlier one."""

from __future__ import annotations

import asyncio
import sys
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from understudy.actors.query import BYTES, JSON, NO_CONTEXT, TEXTS, Blob, Tree
from understudy.cli.asking import asking
from understudy.cli.errors import WrongUse
from understudy.cli.options import ActorText, AsJson, At, Store
from understudy.cli.places import find_step_of
from understudy.cli.screen import print_json, print_table, remark, say
from understudy.node.asking.queries import QUERY_SECONDS, Queried
from understudy.node.node import Node
from understudy.objects.wording import counted

Name = Annotated[str, typer.Argument(metavar="NAME", help="The query; `wut` names them all.", show_default=False)]
Given = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE … | JSON | - | @FILE]",
        help="Arguments, or the whole context: JSON as it is, bytes from standard input or a file.",
        show_default=False,
    ),
]


def _number(seconds: float) -> float:
    # Every comparison with it is false, so it is within all bounds.
    if isnan(seconds):
        raise typer.BadParameter("nan is no number of seconds")
    return seconds


Timeout = Annotated[
    float,
    typer.Option("--timeout", min=0.001, max=3600, callback=_number, help="Seconds to wait for the answer."),
]


def query(
    actor: ActorText,
    name: Name,
    given: Given = None,
    at: At = None,
    timeout: Timeout = QUERY_SECONDS,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Ask an actor at its newest step, or at an earlier one; nothing is changed. What is no text goes to a pipe or a file.

    Examples: understudy query ledger balance account=ann, understudy query ledger audit --at ledger@10 > audit.html
    """
    context = _context(given or [])
    with asking(store) as node:
        found = ask(node, actor, name, context, at=at, timeout=timeout)
        if as_json:
            print_json(_view(found))
        elif isinstance(found.result, Tree):
            entries = sorted(found.result.entries.items())
            print_table(["NAME", "KIND", "ID"], [[key, node.kind(id)[2:], str(id)] for key, id in entries])
        else:
            _print(found.result)
        remark(f"step #{found.height} {found.step}")


def ask(node: Node, actor: str, name: str, context: Blob = NO_CONTEXT, *, at: str | None, timeout: float) -> Queried:
    """The answer of an actor. Raises NodeError."""
    id = node.resolve(actor)
    return asyncio.run(node.query(id, name, context, at=find_step_of(node, id, at), timeout=timeout))


def _context(given: list[str]) -> Blob:
    match given:
        case []:
            return NO_CONTEXT
        case ["-"]:
            return _guessed(sys.stdin.buffer.read())
        case [text] if text.startswith("@"):
            try:
                return _guessed(Path(text[1:]).read_bytes())
            except OSError as error:
                raise WrongUse(f"{text[1:]} can't be read: {error.strerror}") from error
        case [text] if text.lstrip().startswith(("{", "[")):
            return Blob(text.encode(), JSON)
    texts: dict[str, str | list[str]] = {}
    for argument in given:
        key, equals, value = argument.partition("=")
        if not key or not equals:
            raise WrongUse(f"{argument!r} is no argument: write key=value, or one JSON object, - or @FILE")
        before = texts.get(key)
        texts[key] = value if before is None else [*([before] if isinstance(before, str) else before), value]
    return Blob(msgspec.json.encode(texts), TEXTS)


def _guessed(data: bytes) -> Blob:
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return Blob(data, BYTES)
    return Blob(data, JSON)


def _view(found: Queried) -> dict[str, Any]:
    view: dict[str, Any] = {"actor": str(found.actor), "step": str(found.step), "height": found.height}
    if found.asked:
        view["asked"] = [str(step) for step in found.asked]
    if isinstance(found.result, Tree):
        return {**view, "tree": {name: str(id) for name, id in found.result.entries.items()}}
    view["media_type"] = found.result.media_type
    if found.result.media_type == JSON:
        return {**view, "result": found.result.json()}
    try:
        return {**view, "text": found.result.text()}
    except UnicodeDecodeError:
        return {**view, "base64": found.result.data}


def _print(blob: Blob) -> None:
    """Text with a line feed at its end; what is no text as it is, but not on a terminal."""
    is_text = blob.media_type.startswith(("text/", JSON))
    if blob.media_type == JSON and sys.stdout.isatty():
        print_json(blob.json())
    elif is_text and (text := _decoded(blob)) is not None:
        # On a terminal, without control characters.
        show = say if sys.stdout.isatty() else typer.echo
        show(text.removesuffix("\n"))
    elif sys.stdout.isatty():
        say(f"{counted(len(blob.data), 'byte')} of {blob.media_type}: write them to a file with >")
    else:
        sys.stdout.buffer.write(blob.data)
        sys.stdout.buffer.flush()


def _decoded(blob: Blob) -> str | None:
    try:
        return blob.text()
    except UnicodeDecodeError:
        return None
