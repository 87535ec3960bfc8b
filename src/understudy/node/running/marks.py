"""Marks: which code runs now, in a small file that outlives the process.

When code ends the process, by `os._exit` or a fault in an extension, nothing can write down afterwards which code it was.
So it is written before: each run has a slot in a memory-mapped file. The system keeps what was written when a process ends, so
nothing is synced, and a mark costs less than a microsecond.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

import msgspec

from understudy.node.running.forks import end_copy
from understudy.objects.ids import NODE, ActorId, Id, TreeId

FILE: Final = "running"  # in the store's folder
SLOTS: Final = 1024  # more that run at once than this are not marked
_HEAD: Final = 64
_SLOT: Final = Struct("<BBBxIH32s22s")  # flag, what, depth, question, messages, actor, name
_SIZE: Final = _HEAD + SLOTS * _SLOT.size
_MAGIC: Final = b"understudy running 1\n"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_FREE: Final = 0
NO_SLOT: Final = -1


class Flag(IntEnum):
    """What a marked run does."""

    WAITING = 1  # an asynchronous wit that has given control away
    RUNNING = 2
    ALONE = 3  # it is being tried, and nothing else steps


class What(IntEnum):
    """What runs."""

    STEP = 1
    QUERY = 2
    CHECK = 3  # of a core that comes in; its id stands in the place of an actor's


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A run. `question` tells which queries belong together, `depth` which of them asked which; `messages` are a step's."""

    actor: ActorId
    what: What
    flag: Flag = Flag.RUNNING
    name: str = ""
    messages: int = 0
    question: int = 0
    depth: int = 0


def pack(mark: Mark) -> bytes:
    """A mark as it stands in its slot."""
    name = mark.name.encode()[:22] if mark.name else b""
    question = mark.question & 0xFFFFFFFF
    return _SLOT.pack(mark.flag, mark.what, mark.depth, question, mark.messages, mark.actor[4:], name)


class Marks:
    """The marks of a process. From any thread. Until `keep_in` they are in memory alone."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SIZE)
        self._free = list(range(_HEAD + (SLOTS - 1) * _SLOT.size, _HEAD - 1, -_SLOT.size))
        self._on_busy: Callable[[], None] | None = None

    def on_busy(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, from any thread, whenever something begins to run. It must be quick."""
        self._on_busy = tell

    @property
    def is_idle(self) -> bool:
        """True if nothing runs."""
        return len(self._free) == SLOTS

    def keep_in(self, folder: Path) -> list[Mark]:
        """Keep them in a folder from here on; gives those that the last process left there, if it did not close them.

        Marks from before the machine was restarted do not count: then no code ended the process. Raises OSError.
        """
        with open(folder / FILE, "a+b") as file:
            self._map, left = _take_over(file)
        return left

    def enter(self, mark: Mark) -> int:
        """Mark a run; gives its slot."""
        return self.enter_packed(pack(mark))

    def enter_packed(self, mark: bytes) -> int:
        """The same with a mark that was packed before."""
        try:
            slot = self._free.pop()
        except IndexError:
            return NO_SLOT
        if self._on_busy is not None:
            self._on_busy()
        self._map[slot : slot + _SLOT.size] = mark
        return slot

    @contextmanager
    def running(self, mark: Mark) -> Iterator[None]:
        """Mark a run until the end of the block. A copy of the process that comes out of it is ended."""
        slot = self.enter(mark)
        try:
            yield
        finally:
            end_copy()
            self.leave(slot)

    def change(self, slot: int, flag: Flag) -> None:
        """The run of a slot does something else now."""
        if slot != NO_SLOT:
            self._map[slot] = flag

    def leave(self, slot: int) -> None:
        """The run is over."""
        if slot != NO_SLOT:
            self._map[slot] = _FREE
            self._free.append(slot)

    @contextmanager
    def beside(self, mark: bytes) -> Iterator[None]:
        """Mark code of a run that goes on while the run itself waits; `mark` is that of the run."""
        slot = self.enter_packed(bytes([Flag.RUNNING]) + mark[1:])
        try:
            yield
        finally:
            self.leave(slot)

    def close(self) -> None:
        """The process ends normally: code that still runs is not suspected."""
        for slot in range(_HEAD, len(self._map), _SLOT.size):
            self._map[slot] = _FREE


def _take_over(file: BinaryIO) -> tuple[mmap.mmap, list[Mark]]:
    file.seek(0)
    before = file.read(_SIZE)
    head = _head()
    left = _read(before) if before[:_HEAD] == head and len(before) == _SIZE else []
    file.truncate(0)
    # Written, not left as a hole: with a full disk, the first write to such a page would end the process.
    file.write(head + bytes(_SIZE - _HEAD))
    file.flush()
    return mmap.mmap(file.fileno(), _SIZE), left


def _read(data: bytes) -> list[Mark]:
    found: list[Mark] = []
    for at in range(_HEAD, len(data), _SLOT.size):
        flag, what, depth, question, messages, digest, name = _SLOT.unpack_from(data, at)
        if flag != _FREE:
            actor = ActorId(TreeId(Id(NODE + digest)))
            text = name.rstrip(b"\0").decode("utf-8", "replace")
            found.append(Mark(actor, What(what), Flag(flag), text, messages, question, depth))
    return found


def _head() -> bytes:
    try:
        boot = _BOOT_ID.read_bytes().strip()
    except OSError:
        boot = b""
    return (_MAGIC + boot)[:_HEAD].ljust(_HEAD, b"\0")
