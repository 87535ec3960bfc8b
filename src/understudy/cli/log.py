"""`understudy log`: the steps of an actor, one paragraph each."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from rich.markup import escape

from understudy.cli.looking import looking
from understudy.cli.options import ActorText, AsJson, Store
from understudy.cli.pages import Before, Count, join_pages, read_pages, remark_on_nothing
from understudy.cli.parties import Parties
from understudy.cli.screen import print_json, remark, say_marked
from understudy.objects.wording import counted
from understudy.web.history import steps_view

_COLOURS: Final = {"ok": "green", "noop": "cyan", "failed": "red", "refused": "yellow", "cut": "magenta"}
_MAX_CONTENT: Final = 120  # characters of a content that are shown: about a line


def log(
    actor: ActorText, limit: Count = 10, before: Before = None, store: Store = None, as_json: AsJson = False
) -> None:
    """Show an actor's steps, newest first: what it was sent, how that ended, what it sent, what it logged.

    Example: understudy log greeter -n 3
    """
    with looking(store) as node:
        id = node.resolve(actor)
        pages = read_pages(
            lambda below, most: steps_view(node, id, before=below, limit=most), before=before, limit=limit
        )
        if as_json:
            print_json(join_pages(pages, "steps"))
            return
        parties, name = Parties(node), node.actor(id).name
        for page in pages:
            if not page["steps"]:
                remark_on_nothing(before)
            for step in page["steps"]:
                _show(step, parties)
    if page["next"] is not None:
        more = int(page["next"])
        remark(f"{counted(more, 'earlier step')}: understudy log {name or id} --before {more}")


def _show(step: dict[str, Any], parties: Parties) -> None:
    colour = _COLOURS[step["outcome"]]
    say_marked(f"[bold]#{step['height']}[/]  {step['at']}  [{colour}]{step['outcome']}[/]  [dim]{step['id']}[/]")
    for message in step["consumed"]:
        lane = "" if message["lane"] == "queue" else f" ({message['lane']})"
        _line("->", f"{message['type']}{lane} from {parties.name(message['from'])}{_about(message)}")
    _rest(step["consumed_count"], step["consumed"], "message received", "messages received")
    if "error" in step:
        _line("!!", f"{step['error']['code']}: {step['error']['text']}", colour)
    for message in step["sent"]:
        _line("<-", f"{message['type']} to {parties.name(message['to'])}{_content(message['content'])}")
    _rest(step["sent_count"], step["sent"], "message sent", "messages sent")
    _logged(step["log"])
    _rest(step["log_count"], step["log"], "log line", "log lines")


def _about(message: dict[str, Any]) -> str:
    """What a message brings, after its sender."""
    return f"  {message['retries']}" if "retries" in message else _content(message["content"])


def _content(content: Any) -> str:
    """The content of a message, shortened to the rest of a line; empty for no content and for a core."""
    match content:
        case msgspec.Raw():
            text = msgspec.json.format(bytes(content), indent=0).decode()
        case {"base64": data}:
            text = counted(len(data), "byte") if data else ""
        case {"size": size}:
            text = counted(size, "byte")
        case {"paths": paths}:
            text = ", ".join(paths)
        case _:
            text = ""
    return f"  {text[:_MAX_CONTENT]}{'…' if len(text) > _MAX_CONTENT else ''}" if text else ""


def _logged(lines: list[str]) -> None:
    """Lines of a log; a tab instead of a mark says that it goes on."""
    mark = "log:"
    for line in lines:
        if line.startswith("\t"):
            say_marked(f"    {' ' * len(mark)} {escape(line[1:])}".rstrip())
        else:
            mark = "runtime:" if line.startswith("!") else "log:"
            _line(mark, line[1:].removeprefix(" ").rstrip() if mark == "runtime:" else line[1:].rstrip())


def _line(mark: str, text: str, colour: str | None = None) -> None:
    # A traceback in an error text keeps its lines below each other.
    body = escape(text).replace("\n", "\n" + " " * (5 + len(mark)))
    say_marked(f"    {mark} [{colour}]{body}[/]" if colour else f"    {mark} {body}")


def _rest(count: int, shown: list[Any], one: str, many: str) -> None:
    if count > len(shown):
        say_marked(f"    … and {counted(count - len(shown), f'more {one}', f'more {many}')}")
