"""`understudy push`: a project's folders become actors, and what changed in them becomes updates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from understudy.cli.access import Access, open_access
from understudy.cli.changes import Change, find_changes, patches_of
from understudy.cli.client import UPDATE_SECONDS
from understudy.cli.errors import CommandError, WrongUse
from understudy.cli.flows import look_again
from understudy.cli.lines import STYLES, show_lines
from understudy.cli.options import AsJson, Store
from understudy.cli.patience import wait_aloud
from understudy.cli.project import NONCE, PROJECT_FILE, Project, open_project
from understudy.cli.screen import print_json, say
from understudy.cli.store import store_url
from understudy.cli.twins import refuse_twin
from understudy.node.errors import NodeError, WrongTimers
from understudy.node.intake.cores import stage_patch
from understudy.node.looking.lookup import MAX_PAGE
from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import UPDATE
from understudy.objects.wording import counted
from understudy.store.reader import Staging

MAX_LINES: Final = 40  # shown of one file: a screen
_MIGRATE: Final = "\nkeep the field in the type of the state, or say what becomes of it in a @wit.update function"
_WAITS: Final = (
    "sent, and not run yet: `understudy pending` says what the actor does; if that never ends, restart the node, "
    "which runs updates first"
)
Force = Annotated[bool, typer.Option("--force", help="Send also what does not load, or would lose state.")]
Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The project.", show_default=False)]


class Pushed(Struct, frozen=True):
    """What a push did to one actor. `what` is "created", "updated", "unchanged", or the kind of failure."""

    name: str
    id: str
    what: str
    changes: Sequence[Change] = ()
    error: str | None = None
    step: str | None = None
    warning: str | None = None


def push(folder: Folder = Path(), force: Force = False, store: Store = None, as_json: AsJson = False) -> None:
    """Create the project's actors that are not there yet, and send the others what changed, deletions too.

    Code that does not load is not sent, unless --force says so. Example: understudy push
    """
    project = open_project(folder)
    asyncio.run(_push(project, store_url(store, folder), as_json, force=force))


async def push_project(access: Access, project: Project, *, force: bool = False) -> list[Pushed]:
    """Push every actor of a project, one after the other. Raises WrongUse for a project file that can't be followed."""
    return [await push_actor(access, project, name, force=force) for name in project.actors]


async def push_actor(access: Access, project: Project, name: str, *, force: bool = False) -> Pushed:
    """Push one actor of a project; what goes wrong is in what comes back. Raises WrongUse as `push_project` does."""
    known = access.node.names().get(name)
    if known is not None and access.node.head(known) is None:
        # Its first step is still to come, or is held: push a core, and no update.
        known = None
    try:
        files = project.core_of(name)
        if known is not None:
            return await _update(access, name, known, files, force=force)
        refuse_twin(access.node, project, name, files)
        return await _create(access, name, files)
    except WrongUse:
        raise
    except (CommandError, NodeError) as error:
        # The other actors of the project are pushed all the same.
        return Pushed(name, "-" if known is None else str(known), "not sent", error=str(error))


def show_pushed(pushed: Sequence[Pushed]) -> None:
    """Print what a push did: a line for each file, and what changed within a text."""
    for actor in pushed:
        say(f"{actor.name}  {actor.what}  {actor.id}", style="red" if actor.error else None)
        for change in actor.changes:
            say(f"  {change.sign} {change.path}{_size(change)}", style=STYLES[change.sign])
            show_lines(change.compared(), most=MAX_LINES, rest="understudy diff shows them")
        if actor.warning:
            say(f"  sent all the same (--force): {_inner(actor.warning)}", style="yellow")
        if actor.error:
            say(f"  {_inner(actor.error)}" + (f"\n  look at it: understudy show {actor.step}" if actor.step else ""))


async def _push(project: Project, url: str, as_json: bool, *, force: bool) -> None:
    async with open_access(url, project, makes_store=True, only_updates=True) as access:
        pushed = await push_project(access, project, force=force)
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


async def _update(access: Access, name: str, actor: ActorId, files: dict[str, bytes], *, force: bool) -> Pushed:
    changes = find_changes(access.node, actor, files)
    if not changes:
        return Pushed(name, str(actor), "unchanged")
    problem = _other_nonce(name, changes) or await _problem(access, actor, patches_of(changes))
    if problem is not None and not force:
        text = f"{problem}\nnothing was sent; `understudy push --force` sends it all the same"
        return Pushed(name, str(actor), "not sent", changes, text)
    step = None
    for patch in patches_of(changes):
        sending = access.client.patch(str(actor), patch, after=_before(access.node, actor, patch))
        answer = await wait_aloud(sending, access.client, actor=str(actor), name=name, most=UPDATE_SECONDS)
        step = answer.body.get("step")
        if not answer.ok:
            error = f"{answer.body['code']}: {answer.body['detail']}"
            return Pushed(name, str(actor), answer.body["outcome"], changes, error, step)
    if step and access.node.stopped_flows(actor, limit=1):
        # Not waited for: without a running node, the next node runs it.
        await look_again(access, str(actor), wait_seconds=0)
    what = "updated" if step else _WAITS
    return Pushed(name, str(actor), what, changes, step=step, warning=problem)


def _before(node: Node, actor: ActorId, patch: Mapping[str, bytes | None]) -> str:
    """What an update comes after: the newest one that waits and is another one, or else the newest step.

    Who repeats a push that waits for an endless step then sends nothing new.
    """
    staging = Staging(node.reader)
    content = stage_patch(staging, patch)
    waiting = [one for one in node.pending(actor, limit=MAX_PAGE) if one.lane == UPDATE]
    for one in sorted(waiting, key=lambda one: one.seq, reverse=True):
        if staging.message(one.message).content != content:
            return str(one.message)
    return str(node.actor(actor).head)


def _other_nonce(name: str, changes: Sequence[Change]) -> str | None:
    """Why the nonce of an actor should not be changed; None if it was not."""
    change = next((change for change in changes if change.path == NONCE), None)
    if change is None:
        return None
    before = "there was none" if change.before is None else f"it was {change.before.decode(errors='replace')!r}"
    return (
        f"{name!r} is an actor already, and keeps its id and its state whatever its nonce is ({before}). A nonce makes a "
        f"separate actor when that is created: for a second one, add an entry of another name with this nonce to "
        f"{PROJECT_FILE}, and leave the nonce of actors.{name} as it was"
    )


async def _problem(access: Access, actor: ActorId, patches: Sequence[Mapping[str, bytes | None]]) -> str | None:
    """Why these patches should not be sent to an actor; None if no reason is known."""
    try:
        found = await access.node.check_update(actor, patches)
    except WrongTimers as error:
        return str(error)
    except NodeError as error:
        return f"the new code does not load: {error}"
    return None if found.problem is None else found.problem + _MIGRATE


def _inner(text: str) -> str:
    """A text of several lines, all but the first one further in."""
    return indent(text, "    ").lstrip()


def _size(change: Change) -> str:
    lines = change.lines()
    if lines is None:
        return f"  ({counted(len(change.after or change.before or b''), 'byte')})"
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
