"""The threads of a process beside the one that asks and our own: whether any of them is at work."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Final

OWN_THREAD: Final = "understudy-watch"


def others_run() -> bool:
    """True if another thread does something, as far as it can be seen from outside."""
    if threading.active_count() == 1:
        return False
    own = {threading.get_ident(), *(thread.ident for thread in threading.enumerate() if thread.name == OWN_THREAD)}
    return any(_is_busy(frame) for ident, frame in sys._current_frames().items() if ident not in own)


def _is_busy(frame: FrameType) -> bool:
    # Threads of a pool that wait for work never end by themselves.
    return frame.f_code.co_name != "_worker"
