"""What went wrong in a wit, for its author: message, place and source line, and nothing of the machine it ran on."""

from __future__ import annotations

import dis
import linecache
from asyncio import current_task
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType
from typing import Final, NamedTuple

from understudy.actors.errors import Refusal, Retry, WitError
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


def in_package(module: str) -> Belongs:
    """Like `in_core` for code outside: what is in the top-level package of a module, with paths made of names."""
    package = module.partition(".")[0]

    def belongs(frame: FrameType) -> str | None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] == package:
            return name.replace(".", "/") + ".py"
        return in_core(frame)

    return belongs


def outcome_of(error: BaseException, belongs: Belongs) -> Outcome:
    """The outcome of a step whose wit raised."""
    if isinstance(error, Refusal):
        return Outcome(REFUSED, _code_of(error, "Refused"), _bounded(_said(lambda: str(error.text))))
    return Outcome(FAILED, _code_of(error, "Failed"), _bounded(describe(error, belongs)))


def reason_of(error: Retry) -> str:
    """Why a wit wants its messages again."""
    return _said(lambda: str(error)) or "the wit asked for it"


@contextmanager
def loading(module: str, belongs: Belongs = in_core) -> Iterator[None]:
    """Raise whatever the author's code raises meanwhile as the WitError of a module that could not be imported."""
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise _load_error(error, module, belongs) from error


def _load_error(error: BaseException, module: str, belongs: Belongs) -> WitError:
    """The error of a module whose code could not be imported, for its sender: bounded, and well-formed Unicode."""
    if isinstance(error, WitError):
        return WitError(_code_of(error, "ImportFailed"), _bounded(_said(lambda: str(error.text))))
    if isinstance(error, SyntaxError):
        return WitError("SyntaxError", _bounded(describe(error, belongs)))
    name = _code_of(error, "Exception")
    return WitError("ImportFailed", _bounded(f"{module} can't be imported: {name}: {describe(error, belongs)}"))


def is_cancelled() -> bool:
    """True if whoever began the running task has cancelled it."""
    task = current_task()
    return task is None or task.cancelling() > 0


def is_interrupt(error: BaseException) -> bool:
    """True for a Ctrl-C of the person at the terminal, which is not the wit's: no `raise` of Python code made it."""
    if not isinstance(error, KeyboardInterrupt) or error.__traceback__ is None:
        return False
    at = error.__traceback__
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame.f_code.co_code[at.tb_lasti] != _RAISE


def describe(error: BaseException, belongs: Belongs) -> str:
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
        return _said(lambda: _syntax_message(error, error.filename or ""))
    return _said(lambda: str(error)) or _code_of(error, "Exception")


def _syntax_message(error: SyntaxError, filename: str) -> str:
    path = source_path(filename) or filename.replace("\\", "/").rsplit("/", 1)[-1]
    source = (error.text or "").strip()
    return f"{path}:{error.lineno}: {error.msg}" + (f"\n    {source}" if source else "")


def _code_of(error: BaseException, default: str) -> str:
    """An outcome's code: the error's own, or the name of its class."""
    code = _said(lambda: str(error.code) if isinstance(error, (Refusal, WitError)) else type(error).__name__, default)
    return _word(code, default)


def _said(read: Callable[[], str], default: str = "(the exception has no readable message)") -> str:
    """What an exception says of itself, as well-formed Unicode. Its class is the author's, and may be as broken as the wit."""
    try:
        return clean(read())
    except BaseException as error:
        if is_interrupt(error):
            raise
        return default


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
