"""How deep Python code may call: the same number of frames in each step and query, live and in a replay.

The law: an author's code always begins at the same depth, `DEPTH`, and with the same recursion limit, whoever calls it.
A limit that code sets in a step ends with that step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import getrecursionlimit, getswitchinterval, setrecursionlimit, setswitchinterval
from typing import Final, TypeVar

ROOM: Final = 1000  # frames below the beginning of author code: it is part of FORMAT
DEPTH: Final = 64  # where author code begins; all our ways to it need fewer frames
LOOP_DEPTH: Final = 40  # where the event loops of asynchronous code run: what they take to a task is below DEPTH
# Where threads that step actors do their work. It is deep, so that each step has only a few frames left to fill, and so
# that their longest way to author code, which is through the import of its modules, still ends above DEPTH.
STEPS_DEPTH: Final = 44
# From the import of a module to its code: as many frames as Python's own import takes. It may count some less once it is
# warm, as the interpreter does not count each call of C in code that ran often.
IMPORT_FRAMES: Final = 7
FIRST_IMPORT: Final = DEPTH + 8  # where the runtime imports the first module; its own way there is shorter

# A host with a higher limit may need it, so the limit is kept. Steps then don't record their room.
_HOST_LIMIT: Final = getrecursionlimit()
IS_KEPT: Final = _HOST_LIMIT <= DEPTH + ROOM

# How often threads take turns in a process that is a node, and in one that judges: code can ask for it. A computing wit
# gives the committer and the web a turn this often; the default of 5 ms starves them.
SWITCH_SECONDS: Final = 0.0005

_SAYS: Final = "cannot set the recursion limit to 1 at the recursion depth "
_T = TypeVar("_T")


class _Import(threading.local):
    """Where the import began that a thread is in, None while no module is being looked for."""

    depth: int | None = None


_import: Final = _Import()


class _Usual:
    limit = max(_HOST_LIMIT, DEPTH + ROOM)
    interval = getswitchinterval()
    pads = True


def use_room(*, is_kept: bool, more: int) -> None:
    """Give code of this process its room and `more` from now on. Only for a process that runs one step at a time.

    Without `is_kept`, code begins where it happens to be called, as before nodes kept its room.
    """
    _Usual.pads = is_kept
    _Usual.interval = SWITCH_SECONDS
    _Usual.limit = (DEPTH + ROOM if is_kept else ROOM) + more


def keep_interval() -> None:
    """How often threads take turns at this moment is what steps begin and end with: whose process it is has set it."""
    _Usual.interval = getswitchinterval()


def put_back(own: int | None = None) -> None:
    """Set what the interpreter has one of for all threads as it is where code of an author begins.

    `own` is the recursion limit that modules of the code set while they were imported: the code has so much room.
    """
    limit = _Usual.limit if own is None else _Usual.limit - ROOM + own
    if getrecursionlimit() != limit:
        setrecursionlimit(limit)
    if getswitchinterval() != _Usual.interval:
        setswitchinterval(_Usual.interval)


def load_in_room(work: Callable[..., _T], *args: object) -> tuple[_T, int | None]:
    """Run the imports of some code; also gives the recursion limit that they set, if they did."""
    put_back()
    try:
        loaded = at_depth(DEPTH, work, *args)
        limit = getrecursionlimit()
        return loaded, None if limit == _Usual.limit else limit
    finally:
        put_back()


@contextmanager
def importing(depth: int) -> Iterator[None]:
    """While Python imports a module that is asked for at this depth."""
    before, _import.depth = _import.depth, depth
    try:
        yield
    finally:
        _import.depth = before


@contextmanager
def module_depth() -> Iterator[int]:
    """The depth at which the code of a module begins that is imported now; 0 if the depth is not known."""
    begun, _import.depth = _import.depth, None
    try:
        # Not known where code runs a loader by itself.
        yield 0 if begun is None else begun + IMPORT_FRAMES
    finally:
        _import.depth = begun


def depth_here() -> int:
    """How deep the stack of the caller is, counted as `at_depth` counts."""
    # The interpreter counts calls of C too, so that frames can't be counted instead. It says its count when it refuses.
    try:
        setrecursionlimit(1)
    except RecursionError as error:
        said: str = error.args[0]
        assert said.startswith(_SAYS), error
        return int(said[len(_SAYS) : said.index(":")])
    raise AssertionError("a limit of one frame can't be set from within a function")


def at_depth(depth: int, work: Callable[..., _T], *args: object) -> _T:
    """Call something where the stack has this depth; where it is deeper already, as it is."""
    return _deeper(depth - depth_here() if _Usual.pads else 0, work, args)


def _deeper(more: int, work: Callable[..., _T], args: tuple[object, ...]) -> _T:
    return work(*args) if more <= 0 else _deeper(more - 1, work, args)
