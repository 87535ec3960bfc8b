"""`understudy push`: a project's folders become actors, and what changed in them becomes updates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from understudy.cli.access import Access, open_access
from understudy.cli.changes import Change, find_changes, patches_of
from understudy.cli.errors import CommandError
from understudy.cli.lines import STYLES, show_lines
from understudy.cli.options import AsJson, Store
from understudy.cli.project import Project, open_project
from understudy.cli.screen import print_json, say
from understudy.cli.store import store_url
from understudy.objects.ids import ActorId

WIT_QUERY: Final = "wit_query"
MAX_LINES: Final = 40  # shown of one file: a screen
Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The project.", show_default=False)]


class Pushed(Struct, frozen=True):
    """What a push did to one actor. `what` is "created", "updated", "unchanged" or how it went wrong."""

    name: str
    id: str
    what: str
    changes: Sequence[Change] = ()
    error: str | None = None
    step: str | None = None
    warning: str | None = None


def push(folder: Folder = Path(), store: Store = None, as_json: AsJson = False) -> None:
    """Create the project's actors that are not there yet, and send the others what changed, deletions too.

    Example: understudy push
    """
    project = open_project(folder)
    asyncio.run(_push(project, store_url(store, folder), as_json))


async def push_project(access: Access, project: Project) -> list[Pushed]:
    """Push every actor of a project, one after the other."""
    return [await push_actor(access, project, name) for name in project.actors]


async def push_actor(access: Access, project: Project, name: str) -> Pushed:
    """Push one actor of a project. Raises CommandError if its files can't be read."""
    files = project.core_of(name)
    known = access.node.names().get(name)
    try:
        return await (_create(access, name, files) if known is None else _update(access, name, known, files))
    except CommandError as error:
        # The other actors of the project are not to blame.
        return Pushed(name, "-" if known is None else str(known), "unchanged", error=str(error))


def show_pushed(pushed: Sequence[Pushed]) -> None:
    """Print what a push did: a line for each file, and what changed within a text."""
    for actor in pushed:
        say(f"{actor.name}  {actor.what}  {actor.id}", style="red" if actor.error else None)
        for change in actor.changes:
            say(f"  {change.sign} {change.path}{_size(change)}", style=STYLES[change.sign])
            show_lines(change.compared(), most=MAX_LINES, rest="understudy diff shows them")
        if actor.warning:
            say("  taken, but its messages will fail:", style="yellow")
            say(indent(actor.warning, "    "))
        if actor.error:
            say(f"  {actor.error}" + (f"\n  look at it: understudy show {actor.step}" if actor.step else ""))


async def _push(project: Project, url: str, as_json: bool) -> None:
    async with open_access(url, project, makes_store=True) as access:
        pushed = await push_project(access, project)
    if as_json:
        print_json({"actors": [_view(actor) for actor in pushed]})
    else:
        show_pushed(pushed)
        if not pushed:
            say("The project names no actors yet: add [actors.NAME] to its understudy.toml.")
    bad = [actor.name for actor in pushed if actor.error]
    if bad:
        raise CommandError(f"not taken: {', '.join(bad)}")


async def _create(access: Access, name: str, files: dict[str, bytes]) -> Pushed:
    made = await access.client.create(name, files)
    changes = [Change(path, None, data) for path, data in sorted(files.items())]
    error = made.get("error")
    text = None if error is None else f"its first step {made['outcome']}: {error['code']}: {error['text']}"
    return Pushed(name, made["id"], "created", changes, text, made["head"])


async def _update(access: Access, name: str, actor: ActorId, files: dict[str, bytes]) -> Pushed:
    changes = find_changes(access.node, actor, files)
    if not changes:
        return Pushed(name, str(actor), "unchanged")
    step = None
    for patch in patches_of(changes):
        answer = await access.client.patch(str(actor), patch)
        step = answer.body.get("step")
        if not answer.ok:
            error = f"{answer.body['code']}: {answer.body['detail']}"
            return Pushed(name, str(actor), answer.body["outcome"], changes, error, step)
    if not step:
        return Pushed(name, str(actor), "sent; it waits, see: understudy pending", changes)
    # A /wit_query of its own may answer what it likes; without one, what can't say what it understands can't be loaded.
    warning = None if WIT_QUERY in files else await access.client.trouble(str(actor))
    return Pushed(name, str(actor), "updated", changes, step=step, warning=warning)


def _size(change: Change) -> str:
    lines = change.lines()
    if lines is None:
        return f"  ({len(change.after or change.before or b''):,} bytes)"
    came, went = lines
    parts = [f"+{came}"] * bool(came) + [f"-{went}"] * bool(went)
    return f"  ({' '.join(parts)})" if parts else "  (line ends)" if change.sign == "~" else ""


def _view(actor: Pushed) -> dict[str, Any]:
    changes = [{"path": change.path, "change": change.sign} for change in actor.changes]
    return {
        "name": actor.name,
        "id": actor.id,
        "what": actor.what,
        "changes": changes,
        "error": actor.error,
        "step": actor.step,
        "warning": actor.warning,
    }
