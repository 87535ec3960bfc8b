"""`understudy log`: what happened to an actor, for somebody who reads it for the first time."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.screen import print_json, remark, say_marked
from understudy.node.looking.lookup import MAX_PAGE
from understudy.web.routes.steps import steps_view

_COLOURS = {"ok": "green", "noop": "cyan", "failed": "red", "refused": "yellow", "cut": "magenta"}
Count = Annotated[int, typer.Option("-n", "--limit", min=1, max=MAX_PAGE, help="How many steps.")]


def log(actor: ActorText, limit: Count = 10, store: Store = None, as_json: AsJson = False) -> None:
    """Show an actor's steps, newest first: what it was sent, how that ended, what it sent, what it logged.

    Example: understudy log greeter -n 3
    """
    with looking(store) as node:
        id = node.resolve(actor)
        view = steps_view(node, id, before=None, limit=limit)
        name = node.actor(id).name
    if as_json:
        print_json(view)
        return
    for step in view["steps"]:
        _show(step)
    if view["next"] is not None:
        remark(f"{view['next']} earlier steps: understudy log {name or id} -n {min(2 * limit, MAX_PAGE)}")


def _show(step: dict[str, Any]) -> None:
    colour = _COLOURS[step["outcome"]]
    say_marked(f"[bold]#{step['height']}[/]  {step['at']}  [{colour}]{step['outcome']}[/]  [dim]{step['id']}[/]")
    for message in step["consumed"]:
        lane = "" if message["lane"] == "queue" else f" ({message['lane']})"
        _line("->", f"{message['type']}{lane} from {message['from']}")
    _rest(step["consumed_count"], step["consumed"], "messages received")
    if "error" in step:
        _line("!!", f"{step['error']['code']}: {step['error']['text']}", colour)
    for message in step["sent"]:
        _line("<-", f"{message['type']} to {message['to']}")
    _rest(step["sent_count"], step["sent"], "messages sent")
    for line in step["log"]:
        _line("runtime:" if line.startswith("!") else "log:", line[1:].strip())
    _rest(step["log_count"], step["log"], "log lines")


def _line(mark: str, text: str, colour: str | None = None) -> None:
    # A traceback in an error text keeps its lines below each other.
    body = escape(text).replace("\n", "\n" + " " * (5 + len(mark)))
    say_marked(f"    {mark} [{colour}]{body}[/]" if colour else f"    {mark} {body}")


def _rest(count: int, shown: list[Any], what: str) -> None:
    if count > len(shown):
        say_marked(f"    … and {count - len(shown):,} more {what}")
