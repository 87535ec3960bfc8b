"""The C library's pools of memory: as few as keep threads out of each other's way, so that memory stays flat."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# glibc gives each new thread a pool of its own, up to eight for each processor. What a commit frees in one pool another
# thread does not find: after a million steps a third of the resident memory was such leftovers.
MAX_ARENAS: Final = 2
_M_ARENA_MAX: Final = -8  # malloc.h


def bound_arenas() -> None:
    """Keep glibc to a few pools from now on; changes nothing where the C library is another one."""
    # Elsewhere there is no such function, or no library that can be opened without a name.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MAX_ARENAS)
