"""Plain functions that a wit has the host run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from tests.node.stage import PATIENCE
from understudy import Retry


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
