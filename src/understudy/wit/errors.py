"""Errors of an author's own making that several parts of a step can meet."""

from __future__ import annotations

from understudy.actors.errors import WitError


class NotInQuery(WitError, AttributeError):
    """A query wants what only a step has. For code that looks whether it is there, it is not."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "NotInQuery",
            f"ctx.{what} is for steps: a query changes nothing and reaches nothing outside, or it could answer otherwise the next "
            "time. Use it in a handler of a message, and keep in the state what queries need",
        )


def step_over(what: str) -> WitError:
    """The error of something that a handler left behind, and that wants to have a part in its step."""
    return WitError(
        "StepOver",
        f"{what}: the step is over. A timer, task or thread that its handler left behind has no part in any step: "
        "await it in the handler, or let the actor send itself a message",
    )
