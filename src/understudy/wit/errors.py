"""Errors of an author's own making that several parts of a step can meet."""

from __future__ import annotations

from understudy.actors.errors import WitError


def step_over(what: str) -> WitError:
    """The error of something that a handler left behind, and that wants to have a part in its step."""
    return WitError(
        "StepOver",
        f"{what}: the step is over. A timer, task or thread that its handler left behind has no part in any step: "
        "await it in the handler, or let the actor send itself a message",
    )
