"""What a node gives to all its components together: threads to compute on, memory, and an upper bound for each `/limits`.

The law: one actor may take what its limits say; all of them together take no more than this. A replay for a verdict has no
such bounds, since it must give what is recorded.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from understudy.actors.errors import HostFailed
from understudy.engines.wasm.limits import Limits

QUICK_FUEL: Final = 25_000_000  # some twenty milliseconds; a step that needs more goes on among the long ones
QUICK_SECONDS: Final = 0.1  # of a processor: what takes longer for so little fuel gets no quick attempts any more
MAX_FUEL: Final = 100_000_000_000  # what /limits may ask for here: some two minutes
MEMORY_SHARE: Final = 2  # components together may use the machine's memory divided by this
MEMORY_SECONDS: Final = 10.0  # how long a step waits for memory that others use, before it is tried again later
MAX_ASKERS: Final = 64  # steps that may wait for an answer of others: they compute little, and wait long
MAX_ANSWERERS: Final = 8  # long queries that compute at once: more would leave too little to long steps
MAX_ANSWERERS_OF_ONE: Final = (
    2  # of one actor: four actors whose queries never end leave nothing to long ones of others
)
IDLE_SECONDS: Final = 10.0  # how long a thread waits for the next long step before it ends
_NICE: Final = 19
_CGROUP: Final = Path("/sys/fs/cgroup/memory.max")

Value = TypeVar("Value")
_thread = threading.local()


class Machine:
    """The bounds of one node. Safe to use from any thread.

    `threads` long steps compute at once; the others wait, and none of them delays a quick one.
    """

    def __init__(self, *, threads: int, memory: int, fuel: int = MAX_FUEL) -> None:
        self._memory = memory
        self._fuel = fuel
        self._lock = threading.Condition(threading.Lock())
        self._memory_free = memory
        self._wanting = 0
        # Of one actor one: its steps follow each other, as long as none is cut.
        self._computers = _Threads(threads, of_one=1)
        self._askers = _Threads(MAX_ASKERS, of_one=1)
        self._answerers = _Threads(MAX_ANSWERERS, of_one=MAX_ANSWERERS_OF_ONE)

    def check(self, limits: Limits, room: int) -> None:
        """Raise HostFailed if a core asks for more than this node gives to any actor; its instances may take `room`
        bytes.
        """
        if limits.fuel > self._fuel:
            raise HostFailed(
                f"/limits asks for {limits.fuel:,} units of fuel, and this node gives {self._fuel:,}: "
                "lower it, or start the node with a larger UNDERSTUDY_COMPONENT_FUEL",
                again=False,
            )
        if room > self._memory:
            raise HostFailed(
                f"the memories and tables of the component may take {room:,} bytes, and this node has {self._memory:,} for all "
                "components: lower `memory` in /limits, or start it with a larger UNDERSTUDY_COMPONENT_MEMORY",
                again=False,
            )

    def memory(self, size: int, way_in: int = 0) -> AbstractContextManager[None]:
        """Reserve memory for a component within a `with`. Raises HostFailed if the others leave too little for long.

        `way_in` is what it takes to hand messages over, which counts for half of all the memory at most: one large message
        must not block all others. A component that needs more than there is reserves all of it; `check` refuses those that
        may not.
        """
        return _Lent(self, min(size + min(way_in, self._memory // 2), self._memory))

    def take(self, size: int) -> None:
        """Reserve memory; called by `memory`."""
        with self._lock:
            if self._memory_free < size:
                self._wait_for(size)
            self._memory_free -= size

    def give(self, size: int) -> None:
        """Give it back."""
        with self._lock:
            self._memory_free += size
            if self._wanting:
                self._lock.notify_all()

    def _wait_for(self, size: int) -> None:
        self._wanting += 1
        try:
            if not self._lock.wait_for(lambda: self._memory_free >= size, MEMORY_SECONDS):
                raise HostFailed(f"other components use the {self._memory:,} bytes that this node has for them")
        finally:
            self._wanting -= 1

    def compute(self, work: Callable[[], Value], *, owner: str, waits: bool = False) -> Future[Value]:
        """Do a long step of an actor on one of the threads, after those that came before; what `waits` for others has its own.

        What is cancelled in time is never begun. What goes on after that keeps its thread, and the next of its owner waits.
        """
        return (self._askers if waits else self._computers).submit(work, owner)

    def answer(self, work: Callable[[], Value], *, owner: str) -> Future[Value]:
        """Do what a long query of an actor wants, after those that came before; what is cancelled in time is never begun."""
        return self._answerers.submit(work, owner)

    @property
    def gives_way(self) -> bool:
        """True on one of these threads: long work can be done right here."""
        return getattr(_thread, "gives_way", False)


class _Lent(AbstractContextManager[None]):
    """Memory that is held within a `with`. A class, since a generator for each message would cost as much as all the rest."""

    __slots__ = ("_machine", "_size")

    def __init__(self, machine: Machine, size: int) -> None:
        self._machine = machine
        self._size = size

    def __enter__(self) -> None:
        self._machine.take(self._size)

    def __exit__(self, *_: object) -> None:
        self._machine.give(self._size)


class _Work(Generic[Value]):
    """Something to do, for whom, and what hears of its end."""

    __slots__ = ("_do", "future", "owner")

    def __init__(self, do: Callable[[], Value], owner: str) -> None:
        self._do = do
        self.owner = owner
        self.future: Future[Value] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._do())
        except BaseException as error:
            self.future.set_exception(error)


class _Threads:
    """At most so many threads, which end when there is no work. None of them keeps the process alive. Work is done in the
    order in which it came, but at most `of_one` of one owner at once.
    """

    def __init__(self, most: int, *, of_one: int) -> None:
        self._most = most
        self._of_one = of_one
        self._lock = threading.Condition()
        self._waiting: deque[_Work[Any]] = deque()
        self._at_work: Counter[str] = Counter()
        self._threads = 0
        self._idle = 0

    def submit(self, do: Callable[[], Value], owner: str) -> Future[Value]:
        work = _Work(do, owner)
        with self._lock:
            self._waiting.append(work)
            self._lock.notify_all()
            if self._idle < len(self._waiting) and self._threads < self._most:
                threading.Thread(target=self._work, name="understudy-components", daemon=True).start()
                self._threads += 1
        work.future.add_done_callback(lambda future: self._drop(work) if future.cancelled() else None)
        return work.future

    def _drop(self, work: _Work[Any]) -> None:
        """Drop work that nobody waits for any more: it must not wait behind others and keep its data in memory."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(work)

    def _work(self) -> None:
        _give_way()
        while (work := self._next()) is not None:
            work.run()
            with self._lock:
                self._at_work -= Counter([work.owner])

    def _next(self) -> _Work[Any] | None:
        with self._lock:
            self._idle += 1
            work = self._lock.wait_for(self._find, IDLE_SECONDS)
            self._idle -= 1
            if work is None:
                self._threads -= 1
                return None
            self._waiting.remove(work)
            self._at_work[work.owner] += 1
            return work

    def _find(self) -> _Work[Any] | None:
        return next((work for work in self._waiting if self._at_work[work.owner] < self._of_one), None)


def default_machine() -> Machine:
    """This machine's, as far as UNDERSTUDY_COMPONENT_MEMORY (bytes) and UNDERSTUDY_COMPONENT_FUEL do not say otherwise."""
    return Machine(
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_asked("UNDERSTUDY_COMPONENT_MEMORY") or _machine_memory() // MEMORY_SHARE,
        fuel=_asked("UNDERSTUDY_COMPONENT_FUEL") or MAX_FUEL,
    )


def _asked(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}: it must be a number above 0")
    return int(text)


def _machine_memory() -> int:
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        # "max" is no number: a container without a bound of its own.
        found = min(found, int(_CGROUP.read_text()))
    return found


def _give_way() -> None:
    """Give this thread low priority from now on: it gets only processor time that no other thread wants."""
    _thread.gives_way = True
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
