"""The roster: what a store's actors do, kept in memory, so that they can be searched and sorted without reading each head.

The law: it says what is durable. It is read from the store in pieces, each bounded in time, and then follows the feed; what
is not read yet is counted, and never taken for absent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from threading import Lock
from typing import Final

from msgspec import Struct

from understudy.node.looking.code_version import code_version
from understudy.node.looking.stopped_flows import why_stalled_at
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.step import Step
from understudy.store.errors import StoreError
from understudy.store.keys import FEED, HEADS, actor_of_head, feed_row, head_ref
from understudy.store.port import Backend
from understudy.store.reader import Reader

MAX_ACTORS: Final = 250_000  # some 400 bytes each; those behind them are only listed by their ids
_MAX_BEHIND: Final = 20_000  # steps that are read one by one; further behind, it is quicker to look at all heads
_CHUNK: Final = 64  # actors or steps that are read between two looks at the clock
_MAX_WHY: Final = 200  # characters of the reason why a flow stands still: a list shows no more
UNREADABLE: Final = "unreadable"


class Seen(Struct, frozen=True, gc=False):
    """An actor as its head has it. `outcome` is that of its last step, or UNREADABLE.

    `stalled` is how the reason begins why a flow of it stands still, None if none does.
    """

    actor: ActorId
    head: StepId
    height: int
    time: int
    outcome: str
    engine: str
    code: str
    stalled: str | None = None


class Roster:
    """The actors of one store. Thread-safe."""

    def __init__(self, backend: Backend, reader: Reader, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._reader = reader
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[ActorId, Seen] = {}
        self._scanning = False
        self._scanned_to = b""
        self._feed: int | None = None  # the number of the feed up to which it follows; None before the first look
        self.is_complete = False
        self.is_full = False

    def refresh(self, seconds: float, *, first: Iterable[ActorId] = ()) -> list[Seen]:
        """Read on for at most some seconds, `first` before all others; all that is known then, in no order."""
        # Who comes while another one reads waits no longer than it would read itself, and takes what is known.
        if not self._lock.acquire(timeout=seconds):
            return list(self._seen.values())
        try:
            end = self._clock() + seconds
            for actor in () if self.is_complete else first:
                self._take_newest(actor)
            if not self._scanning and (self._feed is None or self._newest() - self._feed > _MAX_BEHIND):
                self._begin_scan()
            if self._scanning:
                self._go_on(end)
            if not self._scanning:
                self._follow(end)
            return list(self._seen.values())
        finally:
            self._lock.release()

    def _begin_scan(self) -> None:
        # Noted first: what is committed during the scan is in the feed behind this number.
        self._feed = self._newest()
        self._scanned_to = HEADS
        self._scanning = True

    def _go_on(self, end: float) -> None:
        heads = self._backend.refs(HEADS, self._scanned_to)
        while self._clock() < end:
            chunk = list(islice(heads, _CHUNK))
            for ref, value in chunk:
                self._take(actor_of_head(ref), StepId(Id(value)))
                self._scanned_to = ref + b"\x00"
            if len(chunk) < _CHUNK:
                self._scanning, self.is_complete = False, True
                return

    def _follow(self, end: float) -> None:
        assert self._feed is not None
        steps = self._backend.rows(FEED, feed_row(self._feed + 1))
        while self._clock() < end:
            chunk = list(islice(steps, _CHUNK))
            for actor in {self._actor_of(value) for _, value in chunk} - {None}:
                assert actor is not None
                self._take_newest(actor)
            if chunk:
                self._feed = int.from_bytes(chunk[-1][0][1:], "big")
            if len(chunk) < _CHUNK:
                return

    def _actor_of(self, step: bytes) -> ActorId | None:
        """Whose step it is. One that can't be read must not keep those behind it from being seen."""
        try:
            return self._reader.step(step).actor
        except (StoreError, ObjectError):
            return None

    def _take_newest(self, actor: ActorId) -> None:
        head = self._backend.ref(head_ref(actor))
        if head is not None:
            self._take(actor, StepId(Id(head)))

    def _take(self, actor: ActorId, head: StepId) -> None:
        known = self._seen.get(actor)
        if known is not None and known.head == head:
            return
        if known is None and len(self._seen) >= MAX_ACTORS:
            self.is_full = True
            return
        self._seen[actor] = self._look_at(actor, head)

    def _look_at(self, actor: ActorId, head: StepId) -> Seen:
        try:
            step = self._reader.step(head)
            code = code_version(self._reader, step.core)
        except (StoreError, ObjectError):
            # It hides no other. Whoever opens it reads what is wrong.
            return Seen(actor, head, 0, 0, UNREADABLE, "", "")
        outcome = "ok" if step.outcome is None else step.outcome.kind
        # A hundred thousand actors have a handful of engines and versions.
        engine, code = sys.intern(step.engine), sys.intern(code)
        return Seen(actor, head, step.height, step.time, outcome, engine, code, self._why_stalled(step))

    def _why_stalled(self, step: Step) -> str | None:
        why = why_stalled_at(self._reader, step)
        return None if why is None else why[:_MAX_WHY]

    def _newest(self) -> int:
        last = next(iter(self._backend.rows(FEED, FEED + b"\xff" * 8, reverse=True)), None)
        return 0 if last is None else int.from_bytes(last[0][1:], "big")
