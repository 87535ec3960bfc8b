"""What failed in a wit, for its author: message, place and source line, and no path of the machine."""

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
from understudy.engines.python.names import clean, source_path
from understudy.objects.step import FAILED, MAX_OUTCOME_BYTES, REFUSED, Outcome

MAX_FRAMES: Final = 16  # innermost lines shown: a recursion has a thousand equal ones
MAX_THROUGH: Final = 4  # lines of libraries shown below one line of the wit
MAX_ERRORS: Final = 10  # of a chain of causes and of groups; and notes of each
_MAX_CODE: Final = 100
# Characters of one text that are looked at. More than an outcome holds, also when the names that `clean` takes out are gone.
_MAX_SAID: Final = 8 * MAX_OUTCOME_BYTES
_OURS: Final = __name__.partition(".")[0]
_RAISE: Final = dis.opmap["RAISE_VARARGS"]

Belongs = Callable[[FrameType], str | None]


class Place(NamedTuple):
    """A line of the wit's code."""

    file: str
    line: int
    name: str
    source: str
    through: tuple[str, ...] = ()  # the lines of libraries that this line called, the innermost last

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
    """Why a wit asked for a retry."""
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
    """The error's message and its notes, below them the lines of the wit that it came through, innermost first, each with
    its source and the lines of libraries that it called; then the members of a group, further in, and what caused it.
    """
    return "\n".join(_described(error, belongs, Left(MAX_ERRORS)))


class Left:
    """How many more errors of a chain or a group are described: both may go round in a circle."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen: set[int] = set()

    def take(self, error: BaseException) -> bool:
        """True if this one is to be described, too."""
        if id(error) in self._seen or not self._count:
            return False
        self._seen.add(id(error))
        self._count -= 1
        return True


def _described(error: BaseException, belongs: Belongs, left: Left) -> list[str]:
    left.take(error)
    lines = [_message(error), *_notes(error), *_lines(error, belongs)]
    if isinstance(error, BaseExceptionGroup):
        for number, member in enumerate(error.exceptions, 1):
            if left.take(member):
                inner = _described(member, belongs, left)
                lines.append(f"{number}. {_named(member, inner[0])}")
                lines += [f"   {line}" for line in inner[1:]]
    other, how = _before(error)
    if other is not None and left.take(other):
        inner = _described(other, belongs, left)
        lines += [f"{how} {_named(other, inner[0])}", *inner[1:]]
    return lines


def _before(error: BaseException) -> tuple[BaseException | None, str]:
    if isinstance(error, WitError):
        # One of ours: its text is complete.
        return None, ""
    if error.__cause__ is not None:
        return error.__cause__, "caused by"
    return (None if error.__suppress_context__ else error.__context__), "while handling"


def _named(error: BaseException, message: str) -> str:
    name = _code_of(error, "Exception")
    return name if message == name else f"{name}: {message}"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    return [_said(lambda note=note: str(note)) for note in notes[:MAX_ERRORS]] if isinstance(notes, list) else []  # type: ignore[misc]


def _lines(error: BaseException, belongs: Belongs) -> list[str]:
    lines = []
    places = _places(error, belongs)
    for number, place in enumerate(reversed(places)):
        if number == MAX_FRAMES:
            lines.append(f"… and from {len(places) - MAX_FRAMES} more")
            break
        lines.append(f"{'at' if number == 0 else 'called from'} {place}")
        if place.source:
            lines.append(f"    {place.source}")
        if place.through:
            lines.append(f"    through {', '.join(place.through)}")
    return lines


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
        # An exact str: methods of an author's subclass must not be called for a part of it.
        return clean(str.__getitem__(read(), slice(_MAX_SAID)))
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


def _places(error: BaseException, belongs: Belongs) -> list[Place]:
    """The lines of the wit. The frames that called the first one are the runtime's, and left out."""
    places: list[Place] = []
    for frame, line in walk_tb(error.__traceback__):
        file = belongs(frame)
        name = clean(frame.f_code.co_qualname)
        if file is not None:
            source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
            places.append(Place(file, line, name, clean(source[:_MAX_SAID])))
        elif places and not _is_ours(frame):
            through = (*places[-1].through, f"{_library_file(frame)}:{line} in {name}")
            places[-1] = places[-1]._replace(through=through[-MAX_THROUGH:])
    return places


def _is_ours(frame: FrameType) -> bool:
    """True for our own code, and for Python's way from an import to the module."""
    module = _module_of(frame)
    return module.partition(".")[0] == _OURS or module.startswith("importlib._bootstrap")


def _library_file(frame: FrameType) -> str:
    """A file by the name of its module: its path would name the machine."""
    is_package = frame.f_code.co_filename.endswith("__init__.py")
    return clean(_module_of(frame)).replace(".", "/") + ("/__init__.py" if is_package else ".py")


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
