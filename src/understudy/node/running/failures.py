"""Failures that hold: what an actor does whose `/policy` says `"on_failure": "hold"`.

The law: when its code fails, nothing is consumed. The actor stands still until an update repairs it or an operator resumes it.
"""

from __future__ import annotations

from typing import Final

from understudy.actors.contract import StepResult
from understudy.kernel.advance import Plan
from understudy.kernel.policy import HOLD, Policy
from understudy.kernel.retries import exhausted
from understudy.kernel.seal import recordable
from understudy.node.holds import HELD, MAX_REASON, Hold
from understudy.objects.mailbox import UPDATE
from understudy.objects.step import FAILED, Outcome

_CURE: Final = "push an update that repairs it, or resume it to try that message again"
_MAX_TEXT: Final = MAX_REASON - 400  # of what the code says of itself; the rest of the reason has room beside it


def hold_of(plan: Plan, result: StepResult, policy: Policy) -> Hold | None:
    """The hold in which the step of one message ends instead of failing, None if it is to be sealed.

    An update and a birth never make a hold: nothing could end it. `refused` is an answer, and `cut` does not mean that the
    code is wrong.
    """
    message = plan.consumed[0].message
    if policy.on_failure != HOLD or plan.given.parent is None or message.lane == UPDATE:
        return None
    outcome = recordable(plan, exhausted(result) if result.retry is not None else result).outcome
    if outcome is None or outcome.kind != FAILED:
        return None
    what = f"its code failed on message {message.seq} of {message.sender}, {message.type[:64]!r}"
    return Hold(state=HELD, reason=f"{what}: {_said(outcome)}; {_CURE}", since=plan.given.time)


def _said(outcome: Outcome) -> str:
    """The error and where it came from, in one line."""
    lines = [line.strip() for line in outcome.text.splitlines() if line.strip()]
    text = ", ".join([outcome.code, *lines[:2]])
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
