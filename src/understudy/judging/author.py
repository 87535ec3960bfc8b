"""The author's line behind what Python code does: found along the frames that led to it."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Final

_MAX_DEPTH: Final = 200  # frames between the author's line and what it comes to
_IMPORTS: Final = "<frozen importlib"

Belongs = Callable[[FrameType], str | None]  # the path of the author's code that a frame runs, None for other code


def _nowhere(frame: FrameType) -> bool:
    return False


def find_author(
    frame: FrameType, belongs: Belongs, skip: Callable[[FrameType], bool] = _nowhere
) -> tuple[str | None, bool]:
    """The author's line that led to a frame, and what it calls; and whether that only imports something.

    None if a frame that `skip` names comes first: it did it on its own account.
    """
    called, at_import = None, False
    at: FrameType | None = frame
    for _ in range(_MAX_DEPTH):
        if at is None:
            break
        code = at.f_code
        path = belongs(at)
        if path is not None:
            return f"{path}:{at.f_lineno}" + (f" calls {called}" if called else ""), at_import
        if skip(at):
            break
        if code.co_filename.startswith(_IMPORTS):
            at_import = True
        elif not code.co_filename.startswith("<"):
            called = f"{at.f_globals.get('__name__', '?')}.{code.co_qualname}"
        at = at.f_back
    return None, at_import
