"""A history as a judge reads it: from a step down along the parents, its objects fetched many at once, none believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from understudy.judging.pipe_store import PipeReader, PipeStore
from understudy.judging.wire import Span
from understudy.kernel.actor import Actor, actor_at, unborn
from understudy.kernel.replay import Record, read_record
from understudy.kernel.verdict import INTEGRITY, MISMATCH, Problem, reading_problem
from understudy.objects import ids
from understudy.objects.errors import ObjectError
from understudy.objects.forms import plain_message, plain_step
from understudy.objects.ids import ActorId, Id, StepId, TreeId
from understudy.objects.message import Message
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.reader import Reader
from understudy.store.recent import Remembered

MAX_REMEMBERED: Final = 32 * 1024 * 1024  # bytes of steps, and of messages, that were read last
_STEP: Final = 2_000
_LINK: Final = 100
_MESSAGE: Final = 1_000

Object = TypeVar("Object", Step, Message)


class Link(NamedTuple):
    """A step of a chain."""

    id: StepId
    step: Step


class Chain(NamedTuple):
    """The steps of a span from the top down, and what kept us from reaching its lowest."""

    links: Sequence[Link]
    problem: Problem | None


class ReadOnce(PipeReader):
    """A door that remembers the steps and messages that went through it last: a judge looks at each from several sides."""

    def __init__(self, store: PipeStore) -> None:
        super().__init__(store)
        self._steps = Remembered[bytes, Step](MAX_REMEMBERED)
        self._messages = Remembered[bytes, Message](MAX_REMEMBERED)

    def step(self, id: bytes) -> Step:
        found = self._steps.get(id)
        if found is None:
            found = self._plain(id, plain_step) or super().step(id)
            self._steps.put(id, found, _STEP + _LINK * (len(found.consumed) + len(found.sent)))
        return found

    def message(self, id: bytes) -> Message:
        found = self._messages.get(id)
        if found is None:
            found = self._plain(id, plain_message) or super().message(id)
            self._messages.put(id, found, _MESSAGE)
        return found

    def _plain(self, id: bytes, read: Callable[[bytes], Object | None]) -> Object | None:
        return None if ids.is_raw(id) else read(self.block(id))


class Histories:
    """Reads the steps of spans."""

    def __init__(self, store: PipeStore, reader: Reader) -> None:
        self._store = store
        self._reader = reader

    def chain(self, span: Span) -> Chain:
        """The steps of a span."""
        actor = ActorId(TreeId(Id(span.actor)))
        self._store.fetch(self._store.steps(actor, low=span.low, high=span.high))
        links: list[Link] = []
        at: StepId | None = StepId(Id(span.top))
        for height in range(span.high, span.low - 1, -1):
            assert at is not None
            try:
                step = self._reader.step(at)
            except (StoreError, ObjectError) as error:
                return Chain(links, located(reading_problem(error, whole=span.whole), at, height))
            if step.height != height or step.actor != actor:
                return Chain(links, located(_foreign(step, height, actor), at, height))
            links.append(Link(at, step))
            at = step.parent
        return Chain(links, None)

    def records(self, span: Span, links: Sequence[Link], below: Link | None) -> Iterator[Record | Problem]:
        """The records of some steps from the top down, or why one can't be read; `below` is the step under the last."""
        self._fetch(links)
        for (id, step), under in zip(links, [*links[1:], below], strict=True):
            try:
                yield read_record(self._reader, id, step=step, before=self._before(step, under))
            except (StoreError, ObjectError) as error:
                yield located(reading_problem(error, whole=span.whole), id, step.height)

    def _before(self, step: Step, under: Link | None) -> Actor:
        if under is not None:
            return Actor(id=step.actor, text=str(step.actor), head=under.id, step=under.step)
        return unborn(step.actor) if step.parent is None else actor_at(self._reader, step.parent)

    def _fetch(self, links: Sequence[Link]) -> None:
        """Ask for what the steps need, in two rounds: what they link to, then what that links to."""
        parents = [links[-1].step.parent] if links and links[-1].step.parent is not None else []
        self._store.fetch([*_direct(links), *parents])
        self._store.fetch(self._second(links))

    def _second(self, links: Sequence[Link]) -> Iterator[bytes]:
        for _, step in links:
            consumed = set(step.consumed)
            for id in (*step.consumed, *step.sent):
                try:
                    message = self._reader.message(id)
                    yield message.content
                    if message.after is not None and id in consumed:
                        yield ids.parse(message.after)
                except (StoreError, ObjectError):
                    # It is wrong, and will be read once more, by who says so.
                    continue
            try:
                tree = self._reader.node(step.core).get("tree", {})
                yield from tree.values()
            except (StoreError, ObjectError, AttributeError):
                continue


def located(problem: Problem, step: StepId, height: int) -> Problem:
    """The problem with the step that it is about."""
    return msgspec.structs.replace(problem, step=str(step), height=height)


def _direct(links: Sequence[Link]) -> Iterator[bytes]:
    for _, step in links:
        yield step.core
        yield from step.consumed
        yield from step.sent
        for link in (step.journal, step.log, step.inbox, step.outbox):
            if isinstance(link, bytes):
                yield link


def _foreign(step: Step, height: int, actor: ActorId) -> Problem:
    return Problem(
        verdict=MISMATCH,
        cause=INTEGRITY,
        path="data.height" if step.actor == actor else "data.actor",
        recorded=step.height if step.actor == actor else str(step.actor),
        replayed=height if step.actor == actor else str(actor),
        reason="the step that the chain leads to is not the one before",
    )
