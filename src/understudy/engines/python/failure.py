"""What went wrong in a wit, for its author: message, place and source line, and nothing of the machine it ran on."""

from __future__ import annotations

import dis
import linecache
from collections.abc import Callable, Iterator
from traceback import walk_tb
from types import FrameType
from typing import Final, NamedTuple

from understudy.actors.errors import Refusal, WitError
from understudy.engines.python.importer import clean, source_path
from understudy.objects.step import FAILED, MAX_OUTCOME_BYTES, REFUSED, Outcome

MAX_FRAMES: Final = 16  # innermost ones shown: a recursion has a thousand that say the same
_MAX_CODE: Final = 100
_RAISE: Final = dis.opmap["RAISE_VARARGS"]

Belongs = Callable[[FrameType], str | None]


class Place(NamedTuple):
    """A line of the wit's code."""

    file: str
    line: int
    name: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.name}"


def in_core(frame: FrameType) -> str | None:
    """The path in the core of the code that a frame runs, None for other code."""
    return source_path(frame.f_code.co_filename)


def in_package(package: str) -> Belongs:
    """Like `in_core` for code outside: the modules of one top-level package, with paths made of their names."""

    def belongs(frame: FrameType) -> str | None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] == package:
            return name.replace(".", "/") + ".py"
        return in_core(frame)

    return belongs


def outcome_of(error: BaseException, belongs: Belongs) -> Outcome:
    """The outcome of a step whose wit raised."""
    if isinstance(error, Refusal):
        return Outcome(REFUSED, _word(str(error.code), "Refused"), _bounded(clean(str(error.text))))
    code = error.code if isinstance(error, WitError) else type(error).__name__
    return Outcome(FAILED, _word(str(code), "Failed"), _bounded(describe(error, belongs)))


def load_error(error: BaseException, module: str) -> WitError:
    """The error of a module whose code could not be imported."""
    if isinstance(error, WitError):
        return error
    if isinstance(error, SyntaxError):
        return WitError("SyntaxError", _bounded(describe(error)))
    return WitError("ImportFailed", _bounded(f"{module} can't be imported: {type(error).__name__}: {describe(error)}"))


def is_interrupt(error: BaseException) -> bool:
    """True for a Ctrl-C of the person at the terminal, which is not the wit's: no `raise` of Python code made it."""
    if not isinstance(error, KeyboardInterrupt) or error.__traceback__ is None:
        return False
    at = error.__traceback__
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame.f_code.co_code[at.tb_lasti] != _RAISE


def describe(error: BaseException, belongs: Belongs = in_core) -> str:
    """The error's message, and below it the lines of the wit that it came through, innermost first."""
    lines = [_message(error)]
    places = list(_places(error, belongs))
    for number, place in enumerate(reversed(places)):
        if number == MAX_FRAMES:
            lines.append(f"… and from {len(places) - MAX_FRAMES} more")
            break
        lines.append(f"{'at' if number == 0 else 'called from'} {place}")
        if place.source:
            lines.append(f"    {place.source}")
    return "\n".join(lines)


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        path = source_path(error.filename) or error.filename.replace("\\", "/").rsplit("/", 1)[-1]
        source = (error.text or "").strip()
        return clean(f"{path}:{error.lineno}: {error.msg}" + (f"\n    {source}" if source else ""))
    try:
        text = str(error)
    except Exception:
        # The wit's own exception class may be as broken as the wit.
        text = "(the exception has no readable message)"
    return clean(text or type(error).__name__)


def _bounded(text: str) -> str:
    data = text.encode()
    if len(data) <= MAX_OUTCOME_BYTES:
        return text
    return data[: MAX_OUTCOME_BYTES - 3].decode("utf-8", "ignore") + "…"


def _word(code: str, default: str) -> str:
    kept = "".join(character for character in code[:_MAX_CODE] if character.isprintable() and not character.isspace())
    return kept or default


def _places(error: BaseException, belongs: Belongs) -> Iterator[Place]:
    for frame, line in walk_tb(error.__traceback__):
        file = belongs(frame)
        if file is not None:
            source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
            yield Place(file, line, clean(frame.f_code.co_qualname), clean(source))
