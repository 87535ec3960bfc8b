"""Histories of one file, held against each other: what one says it heard from another, that one must have said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from understudy.judging.chains import StoredChains
from understudy.judging.verification import Target
from understudy.kernel.verdict import MISMATCH, UNSENT, Verdict
from understudy.objects.ids import ActorId, StepId
from understudy.objects.names import actor_of, is_outside
from understudy.store.reader import Reader


def check_against(reader: Reader, verdict: Verdict, target: Target, others: Sequence[Target]) -> Verdict:
    """The verdict, or a MISMATCH if the history consumed what another one in the file did not send.

    `others` are histories that nothing is wrong with by themselves. What a sender may have sent after its head in the
    file says nothing. Costs a walk along the chain if the file holds more than one history.
    """
    roots = _Roots([other for other in others if other.actor != target.actor])
    if not verdict.ok or not roots.heads:
        return verdict
    chains = StoredChains(roots, reader)
    lowest = verdict
    at: StepId | None = target.head
    while at is not None:
        step = reader.step(at)
        for number, id in enumerate(step.consumed):
            message = reader.message(id)
            sender = None if is_outside(message.sender) else actor_of(message.sender)
            if sender in roots.heads and chains.denies(sender, id, message):
                lowest = replace(
                    verdict,
                    verdict=MISMATCH,
                    cause=UNSENT,
                    step=str(at),
                    at_height=step.height,
                    path=f"data.consumed[{number}]",
                    recorded=str(id),
                    reason=f"the history of {message.sender}, which is in the same file, did not send it",
                )
        at = step.parent
    return lowest


class _Roots:
    """The heads that a file names."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.heads = {target.actor: target.head for target in targets}

    def head(self, actor: ActorId) -> StepId | None:
        """The head of an actor, None if it is not in the file."""
        return self.heads.get(actor)

    def named(self, name: str) -> ActorId | None:
        """None: a file has no names."""
        return None

    def steps(self, actor: ActorId, *, low: int, high: int) -> list[StepId]:
        """Nothing: a file has no index."""
        return []

    def fetch(self, ids: Iterable[bytes]) -> None:
        """Nothing: all blocks are here."""
