"""`understudy diff`: the differences between two steps, of one actor or of two."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from understudy.cli.lines import STYLES, show_lines
from understudy.cli.looking import looking
from understudy.cli.options import AsJson, Store
from understudy.cli.places import find_step
from understudy.cli.screen import print_json, remark, say
from understudy.node.looking.differences import Difference, differences
from understudy.objects.ids import StepId
from understudy.objects.step import Step

_MAX_LINES: Final = 200  # shown of one path; --json has all

Place = Annotated[
    str,
    typer.Argument(metavar="STEP", help="A step's id, ACTOR for its newest step, or ACTOR@HEIGHT.", show_default=False),
]


def diff(before: Place, after: Place, store: Store = None, as_json: AsJson = False) -> None:
    """Show what differs between the cores of two steps: `+` new, `-` gone, `~` changed; text by lines, JSON by values.

    Examples: understudy diff greeter@1 greeter, understudy diff ID ID --json
    """
    with looking(store) as node:
        one, other = find_step(node, before), find_step(node, after)
        steps = node.step(one), node.step(other)
        found = list(differences(node.reader, steps[0].core, steps[1].core))
    if as_json:
        print_json({"before": _view(one, steps[0]), "after": _view(other, steps[1]), "differences": found})
        return
    for sign, id, step in (("-", one, steps[0]), ("+", other, steps[1])):
        remark(f"{sign * 3} step #{step.height}  {id}")
    if not found:
        say("The cores are the same.")
    for difference in found:
        _show(difference)


def _view(id: StepId, step: Step) -> dict[str, Any]:
    return {"step": str(id), "actor": str(step.actor), "height": step.height, "core": str(step.core)}


def _show(difference: Difference) -> None:
    say(f"{difference.sign} {difference.path}  ({difference.sizes})", style=STYLES[difference.sign])
    show_lines(difference.lines or [], most=_MAX_LINES, rest="--json has all")
