"""Actors that would be one: equal cores are one actor, so a second entry of a project may mean one that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, islice
from typing import Final

from understudy.cli.changes import pushed_files
from understudy.cli.errors import CommandError
from understudy.cli.project import PROJECT_FILE, Project
from understudy.node.intake.cores import stage_core
from understudy.node.node import Node
from understudy.objects.blob import blob_id
from understudy.objects.ids import ActorId
from understudy.store.reader import Staging

# Actors that the project does not name, whose files are compared. Who has more finds a renamed entry created anew.
MAX_COMPARED: Final = 100


def refuse_twin(node: Node, project: Project, name: str, files: Mapping[str, bytes]) -> None:
    """Raises CommandError if the actor that a new entry means is that of another entry, or seems to be a renamed one."""
    same = next((other for other in project.actors if other != name and _has_core(project, other, files)), None)
    if same is not None:
        raise CommandError(
            f"actors.{name} and actors.{same} of {PROJECT_FILE} have equal cores, and equal cores are one actor: "
            f"{_other_nonce(project, name)} for a second one, or remove one of the entries"
        )
    core = ActorId(stage_core(Staging(node.reader), files, nonce=None))
    other = _name_of_core(node, core) or _name_of_pushed(node, project, files)
    if other is None:
        return
    if other in project.actors:
        raise CommandError(
            f"the core of actors.{name} is the first core of {other!r}, and equal cores are one actor: "
            f"{_other_nonce(project, name)} of {PROJECT_FILE} for a second one"
        )
    raise CommandError(
        f"actors.{name} has the files of the actor {other!r}, which {PROJECT_FILE} does not name (any more). An actor keeps "
        f"its name: if the entry was renamed, call it {other!r} again. If it is to be another actor, with a state of its "
        f"own, {_other_nonce(project, name)}"
    )


def _other_nonce(project: Project, name: str) -> str:
    """What to write into an entry: a nonce that no entry has, this one included."""
    taken = {part.nonce for part in project.actors.values()}
    return f'write nonce = "{next(n for n in count(2) if str(n) not in taken)}" into actors.{name}'


def _has_core(project: Project, name: str, files: Mapping[str, bytes]) -> bool:
    try:
        # The paths first: that needs no file to be read.
        return project.paths_of(name) == files.keys() and project.core_of(name) == files
    except CommandError:
        # Said where that entry is pushed.
        return False


def _name_of_core(node: Node, id: ActorId) -> str | None:
    if node.head(id) is None:
        return None
    return node.name_of(id)


def _name_of_pushed(node: Node, project: Project, files: Mapping[str, bytes]) -> str | None:
    """The name of an actor that the project does not name, and whose files are those that it would have."""
    wanted = {path: blob_id(data) for path, data in files.items()}
    strangers = (
        (other, id) for other, id in sorted(node.names().items()) if other not in project.actors and node.head(id)
    )
    for other, id in islice(strangers, MAX_COMPARED):
        if pushed_files(node, id) == wanted:
            return other
    return None
