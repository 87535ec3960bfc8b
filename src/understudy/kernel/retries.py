"""The end of trying again: what a step says when the world failed a message once too often.

How often and how long is in `policy.py`.
"""

from __future__ import annotations

from typing import Final

from understudy.actors.contract import StepResult
from understudy.objects.step import FAILED, Outcome

RETRIES_EXHAUSTED: Final = "RetriesExhausted"


def exhausted(result: StepResult) -> StepResult:
    """The result of a wit that raised `Retry`, as a failure."""
    outcome = Outcome(FAILED, RETRIES_EXHAUSTED, result.retry or "")
    return StepResult(
        engine=result.engine, core=result.core, log=result.log, outcome=outcome, component_hash=result.component_hash
    )
