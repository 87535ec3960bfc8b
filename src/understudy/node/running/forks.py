"""Copies of the process: a wit may call `fork`, itself or through `multiprocessing`, and the copy must not harm the node.

A copy has the node's sockets, signal handlers and half-finished step, but none of its other threads.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Final

_COPY_EXIT: Final = 70  # EX_SOFTWARE: a wit that forks and returns twice is wrong
_copies: list[int] = []


def guard_forks() -> None:
    """From now on, a copy of this process handles its own signals, and `end_copy` recognizes it. A second call does nothing."""
    if not _guarded and hasattr(os, "register_at_fork"):
        _guarded.append(True)
        os.register_at_fork(before=_before, after_in_parent=_unblock, after_in_child=_in_copy)


def end_copy() -> None:
    """End this process if it is a copy: to be called wherever code of a wit has returned."""
    if _copies:
        sys.stderr.write("understudy: a copy of the process returned from a wit that called os.fork(); it is ended\n")
        sys.stderr.flush()
        os._exit(_COPY_EXIT)


_guarded: list[bool] = []
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_masks = threading.local()


def _before() -> None:
    # A copy that gets SIGTERM before it has its own handlers would pass it to the node's event loop.
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _in_copy() -> None:
    _copies.append(os.getpid())
    # The event loop gets signals through a socket that both processes share: a SIGTERM to the copy, as `multiprocessing`
    # sends it, would have stopped the node.
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    _unblock()
