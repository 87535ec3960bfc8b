"""A case: one history on its way to a verdict, cut into spans that are judged apart and tied together again."""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple

from msgspec.structs import replace

from understudy.judging.wire import Done, Span
from understudy.kernel.verdict import INTEGRITY, MISMATCH, Problem, Verdict, reading_problem, worse
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId
from understudy.store.errors import StoreError
from understudy.store.keys import head_ref, height_row
from understudy.store.port import Backend
from understudy.store.reader import Reader

SPAN: Final = (
    512  # steps judged in one go: enough to share among processes; each costs a performer, which loads the code
)


class Target(NamedTuple):
    """A history: an actor up to one of its steps."""

    actor: ActorId
    head: StepId


class Case:
    """One history on its way to a verdict."""

    def __init__(self, backend: Backend, reader: Reader, target: Target, right: str) -> None:
        self.target = target
        self.height = -1
        self.spans: list[Span] = []
        self.problem: Problem | None = None
        self.lost = 0
        self._backend = backend
        self._reader = reader
        self._whole = backend.ref(head_ref(target.actor)) is not None
        self._done: dict[int, tuple[Span, Done]] = {}
        self._tied = False
        self._right = right  # the word for a history that nothing is wrong with
        self._replayed = 0
        try:
            self.height = reader.step(target.head).height
        except (StoreError, ObjectError) as error:
            self.problem = reading_problem(error, whole=self._whole)

    @property
    def is_open(self) -> bool:
        """True if judging can still change the verdict."""
        return self.problem is None and not self._tied

    def plan(self, *, by_walking: bool) -> None:
        """Cut the history into spans: along the index of the store, or along the parents where that does not help."""
        self._done.clear()
        self._replayed = 0
        highs = range(self.height, -1, -SPAN)
        tops: dict[int, StepId] = {}
        if not by_walking and self._whole:
            tops = self._index(highs)
        # The index may be wrong about the head, too; what is judged is the one that was asked for.
        tops[self.height] = self.target.head
        if not (len(tops) >= len(highs) and tops.keys() >= {*highs, 0}):
            tops = self._walk()
        self.spans = [
            Span(
                actor=self.target.actor,
                top=tops[high],
                high=high,
                low=max(0, high - SPAN + 1),
                genesis=tops.get(0, self.target.head),
                head=self.target.head,
                whole=self._whole,
            )
            for high in sorted(tops)
            if high > 0 or self.height % SPAN == 0
        ]

    def plan_again(self) -> None:
        """Have the spans looked at again that may hold an earlier fault than the one that was found, if one was.

        What a judge left out (`StoredChains.follow`) rests on all steps being right, as far as no replay is needed for that.
        """
        done = [self._done.get(span.high) for span in self.spans]
        is_sound = self._tied and all(found is not None and found[1].sound for found in done)
        spans = () if is_sound else self.spans
        self.spans = [replace(span, again=True, skip=()) for span in spans if not self._is_above_a_mismatch(span)]

    def take(self, span: Span, done: Done) -> None:
        """Take what a judge found."""
        self._done[span.high] = span, done
        self._replayed += done.replayed
        self.problem = worse(self.problem, done.problem)

    def tie(self) -> None:
        """See whether the spans make one chain; if not, the index is wrong, and walking will tell."""
        spans = [self._done.get(span.high) for span in self.spans]
        self._tied = all(
            found is not None and self._is_tied(*found, before)
            for before, found in zip([None, *self.spans], spans, strict=False)
        )

    def verdict(self) -> Verdict:
        """What was found."""
        problem = self.problem
        if problem is None and not self._tied:
            problem = Problem(verdict=MISMATCH, cause=INTEGRITY, reason="the steps do not make one chain")
        verdict = Verdict(
            verdict=self._right,
            actor=str(self.target.actor),
            head=str(self.target.head),
            height=self.height,
            steps=self._replayed,
        )
        if problem is None:
            return verdict
        return replace(
            verdict,
            verdict=problem.verdict,
            step=problem.step,
            at_height=problem.height,
            cause=problem.cause,
            path=problem.path,
            recorded=problem.recorded,
            replayed=problem.replayed,
            reason=problem.reason,
        )

    def _is_above_a_mismatch(self, span: Span) -> bool:
        problem = self.problem
        return problem is not None and problem.verdict == MISMATCH and -1 < (problem.height or 0) < span.low

    def _is_tied(self, span: Span, done: Done, below: Span | None) -> bool:
        if below is None:
            return done.lowest == span.genesis and done.below is None
        return done.below == below.top

    def _index(self, highs: range) -> dict[int, StepId]:
        """What the index names at the tops of the spans and at the genesis, from there up as far as it goes."""
        tops: dict[int, StepId] = {}
        for high in chain([0], reversed(highs[1:])):
            # The head may claim any height: what is not in the index ends the search.
            if (id := self._indexed(high)) is None:
                break
            tops[high] = id
        return tops

    def _indexed(self, height: int) -> StepId | None:
        value = self._backend.row(height_row(self.target.actor, height))
        return None if value is None else StepId(Id(value))

    def _walk(self) -> dict[int, StepId]:
        """The tops of the spans and the genesis, along the parents as far as they can be read; a judge says why no further."""
        found: dict[int, StepId] = {}
        at: StepId | None = self.target.head
        height = self.height
        while at is not None and height >= 0:
            if (self.height - height) % SPAN == 0 or height == 0:
                found[height] = at
            try:
                at = self._reader.step(at).parent
            except (StoreError, ObjectError):
                break
            height -= 1
        return found
