"""A witness: watches code while it runs, and notes each time that it asks the clock, chance or the machine.

It slows the code down several times, so it is asked only when a replay did not give what is recorded.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import random
import socket
import sys
import threading
from asyncio import BaseEventLoop
from collections.abc import Callable
from datetime import date
from types import FrameType, TracebackType
from typing import Any, Final

from understudy.judging.author import Belongs
from understudy.judging.virtual_loop import VirtualLoop
from understudy.judging.wire import Noted
from understudy.kernel.verdict import CLOCK, HASH, WORLD

MAX_NOTED: Final = 3  # the first is what to mend; more only to show that there are more
_MAX_DEPTH: Final = 100  # frames between the wit and the call

_CLOCK: Final = frozenset(
    {
        *("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime"),
        *("time_ns", "monotonic_ns", "perf_counter_ns", "process_time_ns", "thread_time_ns", "clock_gettime_ns"),
        *("localtime", "gmtime", "ctime", "asctime", "strftime"),
    }
)
_DATES: Final = frozenset({"now", "utcnow", "today"})
_ZONES: Final = frozenset({"fromtimestamp", "astimezone", "timestamp"})  # they ask for the machine's time zone
_WHOLE_MODULES: Final = frozenset(
    {"posix", "nt", "_socket", "_posixsubprocess", "_winapi", "_uuid", "select", "resource"}
)
_OUTSIDE: Final = frozenset(
    {"os", "open", "socket", "posixsubprocess", "winapi", "select", "resource", "signal", "threading", "asyncio"}
)
_CHANCE: Final = frozenset({"os.urandom", "os.getrandom", "os.times"})
_READS_FOR_OTHERS: Final = ("os", "_collections_abc", "collections.abc")
_HARMLESS: Final = frozenset({"fspath"})
_SIGNALS: Final = frozenset({"signal", "alarm", "setitimer", "pause", "raise_signal"})
_NUMBERS: Final = frozenset({"get_ident", "get_native_id"})  # of threads
_SHARED_RANDOM: Final = getattr(random.random, "__self__", None)
_ENVIRONMENT: Final = type(os.environ)
_PYTHON: Final = {
    _ENVIRONMENT.__getitem__.__code__: "os.environ",
    _ENVIRONMENT.__iter__.__code__: "os.environ",
    _ENVIRONMENT.__len__.__code__: "os.environ",
    socket.socket.__init__.__code__: "socket.socket",
}
# By the author's own line alone: libraries ask for these all the time, for their own sake.
_DIRECT: Final = {
    threading.Thread.name.fget.__code__: "threading.Thread.name",  # type: ignore[attr-defined]
    threading.Thread.ident.fget.__code__: "threading.Thread.ident",  # type: ignore[attr-defined]
    BaseEventLoop.time.__code__: "time.monotonic, by its event loop",
    VirtualLoop.time.__code__: "time.monotonic, by its event loop",
}
_UNSEEDED: Final = random.Random.__init__.__code__


class Witness:
    """Watches while it is entered. `noted` says for each place what it asked, e.g. "code/clock.py:7 calls time.time".

    `belongs` gives the path of the wit's code that a frame runs, None for other code.
    """

    def __init__(self, belongs: Belongs, skip: Callable[[FrameType], bool] | None = None) -> None:
        """What a frame that `skip` names does, or has done, is not noted."""
        self.noted: list[Noted] = []
        self._belongs = belongs
        self._skip = skip

    def __enter__(self) -> Witness:
        threading.setprofile(self.see)
        sys.setprofile(self.see)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def see(self, frame: FrameType, event: str, argument: Any) -> None:
        """What `sys.setprofile` wants."""
        if event == "c_call":
            name = _asked(argument, direct=self._belongs(frame) is not None)
            if name is not None:
                self._note(name, frame)
        elif event == "call":
            name = _PYTHON.get(frame.f_code)
            if name is None and frame.f_code in _DIRECT and frame.f_back is not None:
                name = _DIRECT[frame.f_code] if self._belongs(frame.f_back) is not None else None
            if frame.f_code is _UNSEEDED and frame.f_locals.get("x") is None:
                name = "random.Random, without a seed"
            if name is not None and frame.f_back is not None:
                self._note(name, frame.f_back, exact=True)

    def _note(self, name: str, frame: FrameType, *, exact: bool = False) -> None:
        cause = WORLD if name.partition(".")[0] in _OUTSIDE and name not in _CHANCE else CLOCK
        # A number of a thread differs in each process, and in each race.
        sure = not name.startswith("threading.")
        at: FrameType | None = frame
        for _ in range(_MAX_DEPTH):
            if at is None or at.f_code.co_filename.startswith("<frozen importlib"):
                return
            path = self._belongs(at)
            if path is not None:
                noted = Noted(f"{path}:{at.f_lineno} calls {name}", HASH if name == "hash" else cause, sure)
                if len(self.noted) < MAX_NOTED and noted not in self.noted:
                    self.noted.append(noted)
                return
            if self._skip is not None and self._skip(at):
                return
            if exact:
                # A library reads the environment for its own sake; the author's code does through `os` alone.
                sure = sure and at.f_globals.get("__name__") in _READS_FOR_OTHERS
            else:
                # Each line of a log has a time, which nearly nobody prints.
                sure = sure and at.f_globals.get("__name__") != "logging"
                # What the wit's own line names: `uuid.uuid4`, not the `os.urandom` inside it.
                name = f"{at.f_globals.get('__name__', '?')}.{at.f_code.co_name}"
            at = at.f_back


def _asked(function: Any, *, direct: bool) -> str | None:
    """How to call a built-in function that depends on more than its arguments; None for the others."""
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if module == "time" and name in _CLOCK:
        return f"time.{name}"
    if name in _DATES and isinstance(owner, type) and issubclass(owner, date):
        return f"{owner.__name__}.{name}"
    if name in _ZONES and (isinstance(owner, date) or (isinstance(owner, type) and issubclass(owner, date))):
        return f"{(owner if isinstance(owner, type) else type(owner)).__name__}.{name}, by the machine's time zone"
    if direct and function is builtins.hash:
        return "hash"
    if direct and module == "_thread" and name in _NUMBERS:
        return f"threading.{name}"
    if direct and name == "get_name" and isinstance(owner, asyncio.Task):
        return "asyncio.Task.get_name"
    if module == "_signal" and name in _SIGNALS:
        return f"signal.{name}"
    if owner is not None and owner is _SHARED_RANDOM:
        return f"random.{name}"
    if module in _WHOLE_MODULES and name not in _HARMLESS:
        return f"{'os' if module in ('posix', 'nt') else module.lstrip('_')}.{name}"
    if module in ("io", "_io") and name in ("open", "open_code"):
        return "open"
    # Addresses differ from run to run; inside the library `id` only tells objects apart.
    return "id" if direct and function is builtins.id else None
