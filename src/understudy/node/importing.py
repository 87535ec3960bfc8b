"""Import: the blocks of a CAR file, and the heads of the actors whose history it holds.

The laws: nothing of a file enters the store before it was judged, and of what can't be reached from its roots, nothing
does; a head moves only forward along its own chain, and only to a history whose integrity was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO, Final

from msgspec import Struct

from understudy.judging.verification import Target, verify_targets
from understudy.kernel.seal import waiting_row_for
from understudy.node.errors import Conflict, Rejected
from understudy.node.node import Node
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ID_BYTES, ActorId, Id, StepId
from understudy.objects.mailbox import Cursor, mailbox_key
from understudy.objects.step import Step
from understudy.objects.timer import TIMERS
from understudy.store.car import Progress, store_blocks, unseen
from understudy.store.closure import Closure
from understudy.store.errors import StoreError
from understudy.store.keys import cursor_value, head_ref, height_row, imported_row, outside_row, read_cursor_value
from understudy.store.port import Move, Row, Unit
from understudy.store.quarantine import Quarantine, quarantine
from understudy.store.reader import Reader
from understudy.store.timer_files import differences
from understudy.store.verified import Grit

_SEGMENT: Final = 20_000  # rows to a commit, and one step's more: the head goes up by so much, and stops at a good one
Stage = Callable[[str], AbstractContextManager[Progress]]


class Imported(Struct, frozen=True, kw_only=True):
    """What became of one root. `what` is "new", "forward", "known", or "object" for a root that is no step.

    `sleeps` is true for an actor with timers, which begin with its next step here.
    """

    root: Id
    what: str
    actor: ActorId | None = None
    height: int | None = None
    sleeps: bool = False


def _unwatched(stage: str) -> AbstractContextManager[Progress]:
    return nullcontext(unseen)


def import_car(node: Node, file: BinaryIO, *, stage: Stage = _unwatched) -> list[Imported]:
    """Store what a file's roots need, and move the heads of its histories. The node must not be live.

    `stage` is told of each stage of the work, and gives what is told how far it is. Raises BadCar, Corrupt and
    NotCanonical with nothing stored; Rejected for a root that is not whole or not right, Conflict for a history that is
    not the continuation of ours: then what the roots before it brought is there, and nothing of this one. A crash in
    between leaves a history that ends early, or blocks that nobody links to; import the file again.
    """
    with quarantine(node.backend) as held:
        with stage("reading") as progress:
            roots = store_blocks(held.blocks, file, progress=progress)
        return [_take(node, held, root, stage) for root in dict.fromkeys(roots)]


def _take(node: Node, held: Quarantine, root: Id, stage: Stage) -> Imported:
    reader = Grit(held)
    try:
        step = None if reader.kind(root) != "a step" else reader.step(root)
        if step is None:
            Closure(reader).check(root)
    except (StoreError, ObjectError) as error:
        raise Rejected(f"the object {root} is not taken: {error}") from error
    if step is None:
        _store(held, root, stage)
        return Imported(root=root, what="object")
    return _take_history(node, held, StepId(root), step, stage)


def _take_history(node: Node, held: Quarantine, head: StepId, step: Step, stage: Stage) -> Imported:
    ours = node.lookup.head(step.actor)
    if node.step_at(step.actor, step.height) == head:
        # Blocks of it that got lost here come back.
        _store(held, head, stage)
        return Imported(root=head, what="known", actor=step.actor, height=step.height)
    with stage("checking") as progress:
        [verdict] = verify_targets(held, [Target(step.actor, head)], integrity_only=True, progress=progress)
    if not verdict.ok:
        raise Rejected(f"the history of {step.actor} up to {head} is not taken: {verdict.verdict}: {verdict.reason}")
    trail = _trail(Grit(held), head, step, ours)
    _store(held, head, stage)
    with stage("taking over") as progress:
        _advance(node, trail, step.actor, ours, progress)
    what = "new" if ours is None else "forward"
    return Imported(root=head, what=what, actor=step.actor, height=step.height, sleeps=_has_timers(node.reader, step))


def _has_timers(reader: Reader, step: Step) -> bool:
    return next(differences(reader, None, reader.find(step.core, TIMERS)), None) is not None


def _store(held: Quarantine, root: Id, stage: Stage) -> None:
    with stage("storing") as progress:
        held.take_over(root, progress=progress)


def _trail(reader: Reader, head: StepId, newest: Step, ours: StepId | None) -> bytes:
    """The ids of the steps after ours, newest first, one after the other: of a million steps they are 36 MB."""
    height = -1 if ours is None else reader.step(ours).height
    trail, at, step = bytearray(), head, newest
    while step.height > height:
        trail += at
        if step.parent == ours:
            return bytes(trail)
        assert step.parent is not None
        at = step.parent
        step = reader.step(at)
    raise Conflict(
        f"the file's history of {newest.actor} (height {newest.height}) is not the continuation of the one here "
        f"(height {height}): they part somewhere, and only one of them can be this actor's"
    )


def _advance(node: Node, trail: bytes, actor: ActorId, ours: StepId | None, progress: Progress) -> None:
    """Move the head along a trail, some steps at a time."""
    total = len(trail) // ID_BYTES
    done = 0
    for unit in _units(node, trail, actor, ours):
        [receipt] = node.backend.commit([unit])
        if receipt.conflict is not None:
            raise Conflict(f"the head of {actor} moved while the file was read; import it again")
        done += len(unit.feed)
        progress(done, total)


def _units(node: Node, trail: bytes, actor: ActorId, ours: StepId | None) -> Iterator[Unit]:
    """What moves the head along a trail, oldest step first."""
    # What it sent, or was sent, may be older or younger than the histories that are here.
    rows: dict[bytes, bytes | None] = {imported_row(actor): b""}
    feed: list[StepId] = []
    head = ours
    for end in range(len(trail), 0, -ID_BYTES):
        id = StepId(Id(trail[end - ID_BYTES : end]))
        rows.update((row.key, row.value) for row in _rows(node, id))
        feed.append(id)
        if len(rows) >= _SEGMENT or end == ID_BYTES:
            yield Unit(moves=[Move(head_ref(actor), head, id)], rows=[Row(*row) for row in rows.items()], feed=feed)
            rows, feed, head = {}, [], id


def _rows(node: Node, id: StepId) -> Iterator[Row]:
    """The rows of one step that is taken over."""
    step = node.reader.step(id)
    yield Row(height_row(step.actor, step.height), id)
    for consumed in step.consumed:
        message = node.reader.message(consumed)
        yield Row(waiting_row_for(message), None)
        if not message.sender.startswith(f"out/{node.name}/"):
            continue
        # Our own callers go on where the history left them, or their next messages would count as duplicates.
        key = outside_row(message.sender, mailbox_key(message.to, message.lane))
        known = node.backend.row(key)
        if known is None or read_cursor_value(known).seq < message.seq:
            yield Row(key, cursor_value(Cursor(message.seq, consumed)))
