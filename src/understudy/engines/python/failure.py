"""What failed in a wit, for its author: message, place and source line, and no path of the machine."""

from __future__ import annotations

import linecache
from asyncio import current_task
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from traceback import walk_tb
from types import FrameType
from typing import Any, Final, NamedTuple

from understudy.actors.author_errors import (
    MAX_SAID,
    UNREADABLE,
    Terminal,
    is_a,
    is_interrupt,
    name_of,
    own_attribute,
    own_code,
    own_text,
    read_safely,
    said,
    traceback_of,
    whole_text,
)
from understudy.actors.errors import Refusal, WitError
from understudy.engines.python.names import clean, source_path
from understudy.objects.step import FAILED, MAX_OUTCOME_BYTES, REFUSED, Outcome

MAX_FRAMES: Final = 16  # innermost lines shown: a recursion has a thousand equal ones
MAX_THROUGH: Final = 4  # lines of libraries shown below one line of the wit
MAX_ERRORS: Final = 10  # of a chain of causes and of groups; and notes of each
_MAX_CODE: Final = 100
_OURS: Final = __name__.partition(".")[0]

Belongs = Callable[[FrameType], str | None]
# Python raises the KeyboardInterrupt of a Ctrl-C in the main thread alone, and a node runs no wit there.
Terminal.hears = staticmethod(lambda: current_thread() is main_thread())


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
    if is_a(error, Refusal):
        return Outcome(REFUSED, _code_of(error, "Refused"), _bounded(clean(own_text(error))))
    return Outcome(FAILED, _code_of(error, "Failed"), _bounded(describe(error, belongs)))


def reason_of(error: BaseException) -> str:
    """Why a wit asked for a retry."""
    return clean(whole_text(error)) or "the wit asked for it"


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
    if is_a(error, WitError):
        return WitError(_code_of(error, "ImportFailed"), _bounded(clean(own_text(error))))
    if is_a(error, SyntaxError):
        return WitError("SyntaxError", _bounded(describe(error, belongs)))
    name = _code_of(error, "Exception")
    return WitError("ImportFailed", _bounded(f"{module} can't be imported: {name}: {describe(error, belongs)}"))


def is_cancelled() -> bool:
    """True if whoever began the running task has cancelled it."""
    task = current_task()
    return task is None or task.cancelling() > 0


def describe(error: BaseException, belongs: Belongs) -> str:
    """The error's message and its notes, below them the lines of the wit that it came through, innermost first, each with
    its source and the lines of libraries that it called; then the members of a group, further in, and what caused it.
    """
    # As a whole, too: the frames that it came through, and the globals there, are the author's as well.
    return read_safely(lambda: "\n".join(_described(error, belongs, Left(MAX_ERRORS))), UNREADABLE)


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
    if is_a(error, BaseExceptionGroup):
        for number, member in enumerate(own_attribute(BaseExceptionGroup, "exceptions", error), 1):
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
    if is_a(error, WitError):
        # One of ours: its text is complete.
        return None, ""
    cause: BaseException | None = own_attribute(BaseException, "__cause__", error)
    if cause is not None:
        return cause, "caused by"
    is_hidden = own_attribute(BaseException, "__suppress_context__", error)
    return (None if is_hidden else own_attribute(BaseException, "__context__", error)), "while handling"


def _named(error: BaseException, message: str) -> str:
    name = _code_of(error, "Exception")
    return name if message == name else f"{name}: {message}"


def _notes(error: BaseException) -> list[str]:
    notes: Any = read_safely(lambda: getattr(error, "__notes__", None), None)
    some: list[Any] = list.__getitem__(notes, slice(MAX_ERRORS)) if issubclass(type(notes), list) else []
    return [clean(said(lambda note=note: str(note))) for note in some]  # type: ignore[misc]


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
    if is_a(error, SyntaxError) and own_attribute(SyntaxError, "filename", error) is not None:
        return clean(said(lambda: _syntax_message(error)))
    return clean(whole_text(error)) or _code_of(error, "Exception")


def _syntax_message(error: BaseException) -> str:
    assert isinstance(error, SyntaxError)
    filename = error.filename or ""
    path = source_path(filename) or filename.replace("\\", "/").rsplit("/", 1)[-1]
    source = (error.text or "").strip()
    return f"{path}:{error.lineno}: {error.msg}" + (f"\n    {source}" if source else "")


def _code_of(error: BaseException, default: str) -> str:
    """An outcome's code: the error's own, or the name of its class."""
    own = own_code(error) if is_a(error, Refusal, WitError) else None
    return _word(clean(name_of(error) if own is None else own), default)


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
    for frame, line in walk_tb(traceback_of(error)):
        file = belongs(frame)
        name = clean(frame.f_code.co_qualname)
        if file is not None:
            source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
            places.append(Place(file, line, name, clean(source[:MAX_SAID])))
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
