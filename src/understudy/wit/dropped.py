"""What a type drops of the JSON that it reads: fields that it does not know, found without asking what kind of type it is.

A field is dropped if it is missing when what was read is written again, and if it makes no difference what stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

MAX_TRIED: Final = 200  # each costs reading the whole again; what is over is taken as dropped
MAX_NAMED: Final = 20
_OTHER: Final = {"understudy": ["something", "else"]}  # what no field expects
_Path = tuple[str | int, ...]


def find_dropped(data: bytes, written: bytes, read_and_write: Callable[[bytes], bytes]) -> tuple[str, ...]:
    """The paths of the JSON `data` that are dropped when it is read, and `written` is what comes out.

    `read_and_write` reads JSON as the type and writes that; it may raise anything.
    """
    plain = msgspec.json.decode(data)
    found: dict[str, None] = {}
    for number, path in enumerate(_missing(plain, msgspec.json.decode(written), ())):
        if len(found) == MAX_NAMED:
            break
        if number >= MAX_TRIED or _makes_no_difference(plain, path, written, read_and_write):
            found[_shown(path)] = None
    return tuple(found)


def _missing(plain: Any, again: Any, path: _Path) -> Iterator[_Path]:
    if isinstance(plain, dict) and isinstance(again, dict):
        for key, value in plain.items():
            if key in again:
                yield from _missing(value, again[key], (*path, key))
            else:
                yield (*path, key)
    elif isinstance(plain, list) and isinstance(again, list) and len(plain) == len(again):
        for number, (one, other) in enumerate(zip(plain, again, strict=True)):
            yield from _missing(one, other, (*path, number))


def _makes_no_difference(plain: Any, path: _Path, written: bytes, read_and_write: Callable[[bytes], bytes]) -> bool:
    holder = plain
    for key in path[:-1]:
        holder = holder[key]
    before, holder[path[-1]] = holder[path[-1]], _OTHER
    try:
        return read_and_write(msgspec.json.encode(plain)) == written
    except Exception:
        # It is read, and did not fit.
        return False
    finally:
        holder[path[-1]] = before


def _shown(path: _Path) -> str:
    return "$" + "".join("[...]" if isinstance(key, int) else f".{key}" for key in path)
