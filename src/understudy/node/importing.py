"""Import: the blocks of a CAR file, and the heads of the actors whose history it holds.

The laws: nothing is stored of a file that is cut off or damaged; a head moves only forward along its own chain, and
only to a history whose integrity was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final

from msgspec import Struct

from understudy.kernel.seal import waiting_row_for
from understudy.node.errors import Conflict, Rejected
from understudy.node.node import Node
from understudy.node.verification import Target, verify_targets
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ID_BYTES, ActorId, Id, StepId
from understudy.objects.step import Step
from understudy.store.car import read_car
from understudy.store.keys import cursor_value, head_ref, height_row, outside_row, read_cursor_value
from understudy.store.maps import mailbox_items
from understudy.store.port import Backend, Move, Row, Unit
from understudy.store.reader import Reader

_BATCH: Final = 512  # blocks to a commit: at most 1 GiB, usually well under one MiB
_SEGMENT: Final = 10_000  # steps to a commit: the head moves so far at a time, and wherever it stops it is a good one

Progress = Callable[[int, int], None]


class Imported(Struct, frozen=True, kw_only=True):
    """What became of one root. `what` is "new", "forward", "known", or "object" for a root that is no step."""

    root: Id
    what: str
    actor: ActorId | None = None
    height: int | None = None


def import_car(node: Node, file: BinaryIO, *, progress: Progress | None = None) -> list[Imported]:
    """Store a file's blocks and move the heads of its histories. The node must not be live.

    `file` must be seekable: it is read twice. Raises BadCar, Corrupt and NotCanonical with nothing stored; Rejected for
    a history that is not whole or not right, Conflict for one that is not the continuation of ours: then the blocks
    are there and its head has not moved. A crash in between leaves a history that ends early; import the file again.
    """
    return [_take(node, root, progress) for root in dict.fromkeys(store_blocks(node.backend, file))]


def store_blocks(backend: Backend, file: BinaryIO) -> list[Id]:
    """Store the blocks of a CAR file and give its roots. Raises BadCar, Corrupt and NotCanonical with nothing stored."""
    start = file.tell()
    roots, blocks = read_car(file)
    for _ in blocks:
        pass  # Reading checks each block; a file that is bad at its end must not leave its beginning behind.
    file.seek(start)
    _, blocks = read_car(file)
    while batch := list(islice(blocks, _BATCH)):
        backend.commit([Unit(blocks=batch)])
    return roots


def _take(node: Node, root: Id, progress: Progress | None) -> Imported:
    try:
        step = node.reader.step(root)
    except WrongKind:
        return Imported(root=root, what="object")
    head = StepId(root)
    ours = node.lookup.head(step.actor)
    known = node.step_at(step.actor, step.height) == head
    if known:
        return Imported(root=root, what="known", actor=step.actor, height=step.height)
    [verdict] = verify_targets(node.backend, [Target(step.actor, head)], integrity_only=True, progress=progress)
    if not verdict.ok:
        raise Rejected(f"the history of {step.actor} up to {head} is not taken: {verdict.verdict}: {verdict.reason}")
    at = ours
    for steps in _segments(node.reader, _trail(node.reader, head, step, ours)):
        [receipt] = node.backend.commit([_unit(node, steps, at)])
        if receipt.conflict is not None:
            raise Conflict(f"the head of {step.actor} moved while the file was read; import it again")
        at = steps[-1][0]
    return Imported(root=root, what="new" if ours is None else "forward", actor=step.actor, height=step.height)


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


def _segments(reader: Reader, trail: bytes) -> Iterator[list[tuple[StepId, Step]]]:
    """The steps of a trail, oldest first, some at a time."""
    width = _SEGMENT * ID_BYTES
    for end in range(len(trail), 0, -width):
        start = max(end - width, 0)
        ids = [StepId(Id(trail[at : at + ID_BYTES])) for at in range(start, end, ID_BYTES)]
        yield [(id, reader.step(id)) for id in reversed(ids)]


def _unit(node: Node, steps: Sequence[tuple[StepId, Step]], ours: StepId | None) -> Unit:
    """The head moves to the last of some steps."""
    head, step = steps[-1]
    rows = [Row(height_row(step.actor, each.height), id) for id, each in steps]
    rows += _outside_rows(node, step)
    if ours is not None:
        messages = (node.reader.message(id) for _, each in steps for id in each.consumed)
        rows += [Row(waiting_row_for(message), None) for message in messages]
    return Unit(moves=[Move(head_ref(step.actor), ours, head)], rows=rows, feed=[id for id, _ in steps])


def _outside_rows(node: Node, step: Step) -> Iterator[Row]:
    """Our own callers go on where the history left them, or their next messages would count as duplicates."""
    ours = f"out/{node.name}/"
    for key, cursor in mailbox_items(node.reader, step.inbox):
        lane, ours_too, sender = key.rpartition(ours)
        if not ours_too:
            continue
        row = outside_row(f"{ours}{sender}", f"{lane}{step.actor}")
        known = node.backend.row(row)
        if known is None or read_cursor_value(known).seq < cursor.seq:
            yield Row(row, cursor_value(cursor))
