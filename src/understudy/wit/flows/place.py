"""The line of an author's code that something was asked in, as a person would look for it."""

from __future__ import annotations

import sys
from traceback import walk_tb
from types import FrameType
from typing import Final

from understudy.actors.author_errors import traceback_of
from understudy.wit.parameters import is_core_file

_OURS: Final = __name__.partition(".")[0]
_LOOP: Final = "understudy.wit.flows.loop"
_NOT_THEIRS: Final = (_OURS, "asyncio", "contextlib")


def calling_place() -> str:
    """The innermost line of the author's code that led here; of a core's code, if there is any."""
    frame: FrameType | None = sys._getframe(1)
    other = ""
    while frame is not None:
        if is_core_file(frame.f_code.co_filename):
            return _place(frame, frame.f_lineno)
        name = str(frame.f_globals.get("__name__", ""))
        if not other and name.partition(".")[0] not in _NOT_THEIRS:
            other = _place(frame, frame.f_lineno)
        if name == _LOOP and frame.f_code.co_name == "run":
            break  # what is above it runs the flow, and is not the flow
        frame = frame.f_back
    return other


def failing_place(error: BaseException) -> str:
    """The innermost line of the author's code that an exception came through."""
    found = other = ""
    for frame, line in walk_tb(traceback_of(error)):
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if is_core_file(frame.f_code.co_filename):
            found = _place(frame, line)
        elif name not in _NOT_THEIRS:
            other = _place(frame, line)
    return found or other


def _place(frame: FrameType, line: int) -> str:
    code = frame.f_code
    if is_core_file(code.co_filename):
        # Without the version, which is another one after each update.
        file = code.co_filename.partition("/")[2]
    else:
        # By the module's name: a path would name the machine.
        file = str(frame.f_globals.get("__name__", "")).replace(".", "/") + ".py"
    return f"{file}:{line} in {code.co_name}"
