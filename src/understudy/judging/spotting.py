"""Spotting: the line of an author's code that changed something which all code in a process shares."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

Belongs = Callable[[FrameType], str | None]
_ABSENT: Final = object()
_VARIABLE: Final = "os.environ["


class Spotter:
    """Watches some names, as `json.dumps`, while it is entered, and notes in `spotted` the line that changed each.

    `belongs` gives the path of the author's code that a frame runs, None for other code.
    """

    def __init__(self, names: Sequence[str], belongs: Belongs) -> None:
        self.spotted: dict[str, str] = {}
        self._belongs = belongs
        self._values = {name: value_of(name) for name in names}
        self._at = ""

    def __enter__(self) -> Spotter:
        sys.settrace(self._call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sys.settrace(None)
        self._look()

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return None if self._belongs(frame) is None else self._line

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        # A line was run when the next one is reached.
        self._look()
        self._at = f"{self._belongs(frame)}:{frame.f_lineno}"
        return self._line

    def _look(self) -> None:
        for name, value in self._values.items():
            if name not in self.spotted and self._at and not _is_same(value_of(name), value):
                self.spotted[name] = self._at


def value_of(name: str) -> object:
    """What a name stands for: a module and attributes of it, or `os.environ['NAME']`. Runs no code of what it passes."""
    if name.startswith(_VARIABLE):
        return os.environ.get(ast.literal_eval(name[len(_VARIABLE) : -1]))
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        found: object = sys.modules.get(".".join(parts[:count]))
        if found is not None:
            for part in parts[count:]:
                found = getattr(found, "__dict__", {}).get(part, _ABSENT)
            return found
    return _ABSENT


def _is_same(a: object, b: object) -> bool:
    # What the environment holds is decoded each time that it is asked for.
    return a is b or (type(a) is str and type(b) is str and a == b)
