"""The interpreter of a process that is a node: settings of the whole process, for whoever owns it to make.

A program that has a node among other things keeps its own.
"""

from __future__ import annotations

import gc
import signal
import sys
from typing import Final

from understudy.engines.room import SWITCH_SECONDS

# Steps make many objects that live until they are durable and hold no cycles: at the interpreter's own thresholds the
# collector looked at them again and again, for half of the time of a step.
GC_THRESHOLDS: Final = (50_000, 20, 100)
# What the timers of the whole process bring (`signal.alarm`, `signal.setitimer`): by default they end it, long after the
# step of the wit that set one, and with nobody to blame. A handler would not do: a timer can go off 100,000 times a second.
_TIMERS: Final = ("SIGALRM", "SIGVTALRM", "SIGPROF")


def tune_interpreter() -> None:
    """Set the interpreter up for a node: to be called once all modules are loaded, before the node starts."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    for name in _TIMERS:
        # Not every system has them.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
