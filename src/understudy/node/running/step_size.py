"""How much a step may store at once without delaying the steps of all other actors."""

from __future__ import annotations

from typing import Final

from understudy.actors.contract import StepResult
from understudy.kernel.advance import Plan
from understudy.objects.codec import MAX_BLOCK
from understudy.objects.step import CUT, Outcome

# All of it is written at once, and everybody's steps wait for that: 900 MB took half a minute. It is no part of what code
# means, so the step is `cut` and no replay repeats it.
MAX_STEP_BYTES: Final = 256 * 1024 * 1024


def within_room(plan: Plan, result: StepResult) -> StepResult:
    """The result; `cut` if the step would store more than this node accepts at once."""
    new = plan.given.store.new
    # Most steps have so few blocks that nothing needs to be added up.
    if len(new) * MAX_BLOCK <= MAX_STEP_BYTES or result.outcome is not None:
        return result
    size = sum(len(block.data) for block in new.values())
    if size <= MAX_STEP_BYTES:
        return result
    text = f"the step would store {size:,} bytes; a step of this node may store {MAX_STEP_BYTES:,}: do it in several"
    return StepResult(engine=result.engine, core=plan.given.core, outcome=Outcome(CUT, "HostLimit", text))
