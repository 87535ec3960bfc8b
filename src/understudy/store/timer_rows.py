"""The rows of timers, as docs/FORMAT.md section 11 lays them out: when each is due, and of each actor which there are."""

from __future__ import annotations

from typing import Final, NamedTuple

from understudy.objects.ids import ID_BYTES, NODE, ActorId, Id, MessageId, StepId, TreeId

DUE: Final = b"t"
TIMERS: Final = b"u"
BACKLOG: Final = b"v"
NEVER: Final = 2**64 - 1  # of what is no timer: it sorts behind all that is due


class DueRow(NamedTuple):
    """A row in the order of time: when which timer is due next."""

    due: int
    actor: ActorId
    name: str


class TimerValue(NamedTuple):
    """What a row by actor and name says: when it is due, of which file, and the message that was sent and is not consumed."""

    due: int
    file: Id
    rang: MessageId | None = None


def due_row(due: int, actor: bytes, name: str) -> bytes:
    """The row of a timer in the order of time."""
    return DUE + due.to_bytes(8, "big") + actor[4:] + name.encode()


def read_due_row(key: bytes) -> DueRow:
    """Take such a key apart. Raises ValueError, ObjectError."""
    return DueRow(int.from_bytes(key[1:9], "big"), _actor(key[9:41]), key[41:].decode())


def timers_of(actor: bytes) -> bytes:
    """The prefix of an actor's timers; as a row, the `/timers` that these rows stand for."""
    return TIMERS + actor[4:]


def timer_row(actor: bytes, name: str) -> bytes:
    """The row of an actor's timer."""
    return timers_of(actor) + name.encode()


def read_timer_row(key: bytes) -> tuple[ActorId, str]:
    """Take such a key apart; without a name it is the row of `/timers` itself. Raises ValueError, ObjectError."""
    return _actor(key[1:33]), key[33:].decode()


def timer_value(due: int, file: Id, *, rang: MessageId | None = None) -> bytes:
    """What such a row holds."""
    return due.to_bytes(8, "big") + file + (rang or b"")


def read_timer_value(value: bytes) -> TimerValue:
    """Take it apart. Raises ObjectError."""
    file, rang = value[8 : 8 + ID_BYTES], value[8 + ID_BYTES :]
    return TimerValue(int.from_bytes(value[:8], "big"), Id(file), MessageId(Id(rang)) if rang else None)


def backlog_row(actor: bytes, height: int) -> bytes:
    """The row that says that a step's change of `/timers` is not in the other rows yet."""
    return BACKLOG + actor[4:] + height.to_bytes(8, "big")


def read_backlog_row(key: bytes) -> ActorId:
    """The actor of such a row. Raises ObjectError."""
    return _actor(key[1:33])


def backlog_value(step: StepId, before: Id | None) -> bytes:
    """What it holds: the step, and what stood at `/timers` before it."""
    return step + (before or b"")


def read_backlog_value(value: bytes) -> tuple[StepId, Id | None]:
    """Take it apart. Raises ObjectError."""
    before = value[ID_BYTES:]
    return StepId(Id(value[:ID_BYTES])), Id(before) if before else None


def _actor(digest: bytes) -> ActorId:
    return ActorId(TreeId(Id(NODE + digest)))
