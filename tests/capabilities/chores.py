"""Plain functions that a wit has the host run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from tests.node.stage import PATIENCE
from understudy import CallFailed, Retry


class Parcel(Struct):
    """What a function gives back, as a type of its own."""

    weight: int
    to: str


class Ran(NamedTuple):
    """What ran here."""

    name: str
    thread: str


ran: list[Ran] = []
troubles: dict[str, int] = {}
free = threading.Event()


def note(name: str) -> None:
    ran.append(Ran(name, threading.current_thread().name))


def weigh(to: str, *, stones: int) -> Parcel:
    """Something typed."""
    note("weigh")
    return Parcel(weight=stones * 2, to=to)


async def weigh_later(to: str) -> Parcel:
    """The same, awaited."""
    note("weigh later")
    return Parcel(weight=1, to=to)


def photo() -> bytes:
    """Bytes."""
    note("photo")
    return b"\x00\xff"


def number() -> int:
    """How often it ran, which is another answer each time."""
    note("number")
    return len(ran)


def write(path: str) -> None:
    """Something that a replay must not do."""
    note("write")
    Path(path).write_text("here")


def stumble(name: str) -> str:
    """What fails of the world some times."""
    if troubles.get(name, 0):
        troubles[name] -= 1
        raise Retry("not yet")
    return "done"


def fall() -> None:
    """What fails."""
    raise LookupError("nothing there")


def endless() -> object:
    """What JSON can't hold."""
    return {"it": object()}


def wait() -> str:
    """What blocks its thread."""
    note("wait")
    assert free.wait(PATIENCE)
    return "free"


async def linger() -> str:
    """What goes on although it is cancelled."""
    note("linger")
    while not free.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    return "late"


class Mute(Exception):
    """One whose text can't be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Odd(BaseException):
    """One that `except Exception` does not catch."""


RAISED: dict[str, Callable[[], BaseException]] = {
    "StopIteration": lambda: StopIteration("none left"),
    "StopAsyncIteration": lambda: StopAsyncIteration("none left"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": lambda: SystemExit(3),
    "Odd": lambda: Odd("odd"),
    "Mute": Mute,
    "CallFailed": lambda: CallFailed("", "of the author's own", step="no step"),
    "FileNotFoundError": lambda: FileNotFoundError("caf\udce9"),
}


def throw(name: str) -> None:
    """Raise one of them."""
    raise RAISED[name]()


async def throw_later(name: str) -> None:
    """The same, awaited."""
    raise RAISED[name]()


def half_a_character() -> str:
    """Text of which there is no UTF-8."""
    return "caf\udce9"
