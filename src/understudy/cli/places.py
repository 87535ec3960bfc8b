"""How people name a step: by its id, as an actor's newest, or by an actor and a height."""

from __future__ import annotations

from understudy.cli.errors import WrongUse
from understudy.node.looking.look import Look
from understudy.node.looking.lookup import is_height
from understudy.objects import ids
from understudy.objects.errors import BadId
from understudy.objects.ids import ActorId, Id, StepId, TreeId


def find_step(node: Look, text: str) -> StepId:
    """The step that a text names. Raises WrongUse, NotFound, Missing."""
    id = find_object(node, text)
    actor = ActorId(TreeId(id))
    if node.head(actor) is not None:
        # An actor's id is that of its first core; who names it here means the actor.
        return node.actor(actor).head
    kind = node.kind(id)
    if kind != "a step":
        raise WrongUse(f"{text} is {kind}, not a step; `understudy log ACTOR` lists steps")
    return StepId(id)


def find_step_of(node: Look, actor: ActorId, text: str | None) -> StepId | None:
    """The step of an actor that `--at` names: by a height alone, too; None without one. Raises NotFound, NotThatStep, WrongUse."""
    try:
        return None if text is None else node.find_step(actor, text)
    except BadId as error:
        raise WrongUse(f"--at: {error}") from error


def find_object(node: Look, text: str) -> Id:
    """The object with an id, or the step that ACTOR (its newest) or ACTOR@HEIGHT names. Raises NotFound."""
    name, at, height = text.rpartition("@")
    if at and is_height(height):
        actor = node.resolve(name)
        return node.find_step(actor, height)
    try:
        return ids.parse(text)
    except BadId:
        return node.actor(node.resolve(text)).head
