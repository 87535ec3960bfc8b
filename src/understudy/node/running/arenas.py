"""The C library's memory arenas: a few for all threads, so that the process does not keep memory that it has freed."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# glibc gives each new thread its own arena, up to eight for each processor. Memory that is freed in one arena can't be used
# from another: after a million steps a third of the resident memory was free memory of that kind.
MAX_ARENAS: Final = 2
_M_ARENA_MAX: Final = -8  # malloc.h


def bound_arenas() -> None:
    """Limit glibc to a few arenas from now on. Does nothing with another C library."""
    # Elsewhere there is no such function, or no library that can be opened without a name.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MAX_ARENAS)
