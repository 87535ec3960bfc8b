"""Wits that run for long: Python can't stop them, so they are named in the log, with the line they are at, while they last."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Final

from msgspec import Struct

from understudy.engines.python.names import source_path
from understudy.engines.wasm.compiling import is_compiling

SLOW_SECONDS: Final = 2.0  # a wit that runs longer is named: long for a computation, short for a person who waits
AGAIN_SECONDS: Final = 30.0  # how often it is named after that
_OURS: Final = str(Path(__file__).resolve().parents[2])

_log = logging.getLogger("understudy.slow")


class Run(Struct, frozen=True, gc=False):
    """A wit that runs: whose it is, since when (on the clock that `look` is told), and on which thread."""

    actor: str
    since: float
    thread: int


class SlowWits:
    """Names the runs that are slow. Call `look` now and then, from one thread."""

    def __init__(self) -> None:
        self._due: dict[Run, float] = {}

    def look(self, runs: Iterable[Run], now: float) -> None:
        """Name those of the runs that are slow and were not named for a while; forget those that are over."""
        due: dict[Run, float] = {}
        for run in runs:
            due[run] = self._due.get(run, run.since + SLOW_SECONDS)
            if now >= due[run] and not is_compiling(run.thread):
                due[run] = now + AGAIN_SECONDS
                _log.warning("actor %s: %s", run.actor, _what(place_in(run.thread), now - run.since))
        self._due = due


def _what(place: str | None, seconds: float) -> str:
    if place is None:
        return (
            f"the node has been busy with its step for {seconds:.0f} s, and none of its code runs: a large core is read "
            "or written, or large messages are"
        )
    return f"its wit has been running for {seconds:.0f} s, now at {place}; if it never ends, restart the node"


def place_in(thread: int) -> str | None:
    """The line of the wit that a thread is at, e.g. "code/greeter.py:7 in greet"; None if it runs no wit."""
    frame = sys._current_frames().get(thread)
    outermost: FrameType | None = None
    while frame is not None:
        path = source_path(frame.f_code.co_filename)
        if path is not None:
            return _place(path, frame)
        if not frame.f_code.co_filename.startswith(_OURS):
            outermost = frame
        elif outermost is not None:
            # Code that is in no core: what the engine called is the wit, whatever libraries that called in turn.
            return _place(Path(outermost.f_code.co_filename).name, outermost)
        frame = frame.f_back
    # Only frames of ours, above those that begin each thread.
    return None


def _place(path: str, frame: FrameType) -> str:
    return f"{path}:{frame.f_lineno} in {frame.f_code.co_qualname}"
