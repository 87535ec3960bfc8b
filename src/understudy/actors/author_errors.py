"""What an exception of an author's code says of itself.

The law: its class is the author's, so whatever it does when it is read (raises, ends the process, gives no text, or gives
megabytes of it), who reads it gets a text that is bounded.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar

from understudy.actors.errors import CallFailed, CallNeedsWorld, HostFailed, Refusal, Retry, WitError
from understudy.objects.step import MAX_OUTCOME_BYTES
from understudy.store.errors import Missing, StoreError

Value = TypeVar("Value")
UNREADABLE: Final = "(the exception has no readable message)"
# Characters of one text that are looked at. More than an outcome holds, also when names are taken out of it afterwards.
MAX_SAID: Final = 8 * MAX_OUTCOME_BYTES
_RAISE: Final = dis.opmap["RAISE_VARARGS"]


def is_a(error: BaseException, *kinds: type[BaseException]) -> bool:
    """What `isinstance` says of an honest exception. An author's class may have a `__class__` that raises."""
    return issubclass(type(error), kinds)


def traceback_of(error: BaseException) -> TracebackType | None:
    """Where it was raised. An author's class may have a `__traceback__` of its own."""
    return own_attribute(BaseException, "__traceback__", error)  # type: ignore[no-any-return]


def own_attribute(kind: type[BaseException], name: str, error: BaseException) -> Any:
    """What one of Python's classes holds for an exception of it, whatever the author's class has under that name."""
    return vars(kind)[name].__get__(error)


class Terminal:
    """Whether the thread that asks can hear a Ctrl-C. The engine hands it in, as threads are no matter of this room."""

    hears: Callable[[], bool] = staticmethod(lambda: True)


def is_interrupt(error: BaseException) -> bool:
    """True for a Ctrl-C of the person at the terminal, which is not the wit's: no `raise` of Python code made it.

    Code can bring one about without a `raise`, by `throw` of a generator, so it is believed only where one can be heard.
    """
    at = traceback_of(error) if is_a(error, KeyboardInterrupt) and Terminal.hears() else None
    if at is None:
        return False
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame.f_code.co_code[at.tb_lasti] != _RAISE


def is_of_the_machine(error: BaseException) -> bool:
    """True for what the code can do nothing about, and no record may hold: the step ends with it."""
    if is_a(error, Missing):
        return False
    return is_interrupt(error) or is_a(error, StoreError, Retry, CallNeedsWorld, HostFailed, MemoryError)


def read_safely(read: Callable[[], Value], default: Value) -> Value:
    """What reading gives, or the default if it raises. Raises KeyboardInterrupt from the terminal."""
    try:
        return read()
    except BaseException as error:
        if is_interrupt(error):
            raise
        return default


def said(read: Callable[[], str], default: str = UNREADABLE) -> str:
    """The beginning of a text that an exception gives. It may hold surrogates."""
    # An exact str: methods of an author's subclass must not be called for a part of it.
    return read_safely(lambda: str.__getitem__(read(), slice(MAX_SAID)), default)


def name_of(error: BaseException) -> str:
    """The name of its class; empty if that can't be read."""
    return said(lambda: type(error).__name__, "")


def own_code(error: BaseException) -> str | None:
    """The code of an exception of ours, which an author may raise too; None for all others."""
    return said(lambda: str(error.code), "") if is_a(error, Refusal, WitError, CallFailed) else None  # type: ignore[attr-defined]


def whole_text(error: BaseException) -> str:
    """What `str` gives."""
    return said(lambda: str(error))


def own_text(error: BaseException) -> str:
    """The text of an exception of ours without its code; of all others, what `str` gives."""
    return said(lambda: str(error.text) if is_a(error, Refusal, WitError, CallFailed) else str(error))  # type: ignore[attr-defined]


def code_and_text(error: BaseException) -> tuple[str, str]:
    """Its code and its text, as a record can hold them; where it has no code, the name of its class is that."""
    return storable(own_code(error) or name_of(error)) or "Failed", storable(own_text(error))


def storable(text: str) -> str:
    """A text as a record of our own can hold it: as long as an outcome may be, and well-formed Unicode."""
    data = text[:MAX_OUTCOME_BYTES].encode("utf-8", "backslashreplace")
    return data[:MAX_OUTCOME_BYTES].decode("utf-8", "ignore")
