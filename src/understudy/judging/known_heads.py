"""Known heads: a verdict is relative to a head that somebody has, so the judged history must go through it.

A chain that was rewritten as a whole is right in itself; only somebody who has an old head can tell that it is another chain.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from understudy.judging.verification import Target
from understudy.kernel.verdict import MISMATCH, Verdict
from understudy.objects.errors import ObjectError
from understudy.objects.ids import StepId
from understudy.store.errors import StoreError
from understudy.store.reader import Reader

HEAD: Final = "head"  # the cause in a verdict


def check_known_heads(reader: Reader, verdict: Verdict, target: Target, held: StepId) -> Verdict:
    """The verdict, or a MISMATCH if the history does not go through the head that is held. Costs a walk along the chain."""
    if not verdict.ok:
        return verdict
    try:
        height = reader.step(held).height
    except (StoreError, ObjectError) as error:
        return _another(verdict, target, held, f"the head that you hold is not here: {error}")
    at = target.head
    step = reader.step(at)
    while step.height > height and step.parent is not None:
        at = step.parent
        step = reader.step(at)
    if at == held:
        return verdict
    return _another(verdict, target, at, f"this history does not go through the head that you hold, {held}")


def _another(verdict: Verdict, target: Target, found: StepId, reason: str) -> Verdict:
    return replace(
        verdict, verdict=MISMATCH, step=str(found), cause=HEAD, path="head", recorded=str(target.head), reason=reason
    )
